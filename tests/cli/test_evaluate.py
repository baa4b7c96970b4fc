"""The evaluate command on the real embedded model, over clips spoken on the spot."""

import json
from pathlib import Path

import numpy as np
import pytest

from audiochat.__main__ import main
from audiochat.audio import Waveform, write_wav
from audiochat.cli import evaluate_asr, evaluate_chat
from audiochat.evaluation.peers import PEERS
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.voices.espeak import EspeakVoice

QUESTIONS = {"What is the capital of France?": "Paris", "How many days are in a week?": "seven"}
STAMP = {"schema", "created", "commit", "command", "machine"}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the questions as clips, their manifest, and a noise."""
    folder = tmp_path_factory.mktemp("spoken")
    voice = EspeakVoice()
    lines = []
    for index, (text, answer) in enumerate(QUESTIONS.items()):
        write_wav(voice.speak(text), folder / f"{index}.wav")
        lines.append({"audio": f"{index}.wav", "text": text, "answer": answer, "age": "forties"})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (folder / "noise").mkdir()
    hiss = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    write_wav(Waveform(hiss), folder / "noise/hiss.wav")
    return folder


@pytest.fixture(autouse=True)
def _loaded_once(bot: AudioChatLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_asr, "load", lambda name: bot)


def arguments(folder: Path, out: Path) -> list[str]:
    manifest = str(folder / "manifest.jsonl")
    return ["--manifest", manifest, "--audio-root", str(folder), "--json", str(out)]


def test_hearing_is_measured(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "asr.json"
    noise = ["--snr", "20,0", "--noise", str(spoken / "noise")]
    assert main(["evaluate", "asr", *arguments(spoken, out), *noise]) == 0
    found = json.loads(out.read_text())
    assert set(found) - STAMP == {
        *("overall", "sets", "groups", "streaming", "noise", "peers", "rows")
    }
    assert found["overall"]["clips"] == len(QUESTIONS)
    assert found["overall"]["words"] == 13
    errors = sum(row["errors"] for row in found["rows"])
    assert found["overall"]["wer"] == pytest.approx(errors / 13)
    assert found["groups"]["age"]["forties"] == found["sets"]["all"]
    assert list(found["noise"]) == ["20", "0"]
    assert found["streaming"] == {}
    assert "WER" in capsys.readouterr().out


def test_hearing_while_it_is_spoken_is_measured(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "asr.json"
    argv = ["asr", *arguments(spoken, out), "--streaming", "640,1280"]
    assert main(["evaluate", *argv]) == 0
    found = json.loads(out.read_text())
    assert list(found["streaming"]) == ["640", "1280"]
    for figures in found["streaming"].values():
        assert set(figures) == {*found["overall"], "wer_cost", "wer_cost_ci95", "tail_ms", "sets"}
        cost = figures["wer"] - found["overall"]["wer"]
        assert figures["wer_cost"] == pytest.approx(cost)
    assert "left to do at the end" in capsys.readouterr().out


@pytest.mark.parametrize(
    "extra",
    [
        ["--arms", "cascade"],
        ["--arms", "text,telepathy"],
        ["--arms", "text", "--snr", "5"],
        ["--arms", "text", "--snr", "nan", "--noise", "."],
        ["--arms", "text", "--snr", "5,inf", "--noise", "."],
        ["--arms", "text", "--limit", "0"],
        ["--arms", "text", "--streaming", "640"],
        ["--arms", "text", "--max-new-tokens", "100001"],
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(
    extra: list[str], spoken: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "chat", *arguments(spoken, tmp_path / "out.json"), *extra])
    assert stopped.value.code == 2


def test_a_missing_folder_for_the_figures_is_said_before_the_model_loads(
    spoken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(evaluate_asr, "load", lambda name: pytest.fail("loaded"))
    assert main(["evaluate", "asr", *arguments(spoken, tmp_path / "absent/out.json")]) == 1
    assert "There is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("task", [["asr"], ["chat", "--arms", "text"]])
def test_a_folder_without_noise_is_said_before_the_model_loads(
    task: list[str],
    spoken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in (evaluate_asr, evaluate_chat):
        monkeypatch.setattr(module, "load", lambda name: pytest.fail("loaded"))
    noise = ["--snr", "5", "--noise", str(tmp_path / "nowhere")]
    argv = ["evaluate", *task, *arguments(spoken, tmp_path / "out.json"), *noise]
    assert main(argv) == 1
    assert "holds no noise" in capsys.readouterr().err


def test_a_missing_manifest_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "asr", *arguments(tmp_path, tmp_path / "out.json")]) == 1
    assert "manifest.jsonl" in capsys.readouterr().err


def test_a_peer_hears_or_says_what_is_missing(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pocketsphinx")
    out = tmp_path / "asr.json"
    argv = ["evaluate", "asr", *arguments(spoken, out), "--peer", "pocketsphinx"]
    assert main(argv) == 0
    assert json.loads(out.read_text())["peers"]["pocketsphinx"]["words"] == 13


def test_an_absent_peer_is_said(
    spoken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("audiochat.evaluation.peers.find_spec", lambda name: None)
    out = tmp_path / "asr.json"
    argv = ["evaluate", "asr", *arguments(spoken, out), "--peer", next(iter(PEERS))]
    assert main(argv) == 1
    assert "peers" in capsys.readouterr().err
    assert not out.exists()
