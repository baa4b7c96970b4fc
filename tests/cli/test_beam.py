"""`train lm` writes what `evaluate asr --beam` reads; on a tiny untrained ear, its plumbing."""

import json
from pathlib import Path

import pytest
import torch

from audiochat.__main__ import main
from audiochat.audio import SAMPLE_RATE, Waveform, write_wav
from audiochat.cli import evaluate_asr
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.model.beam_search import BeamSearch
from audiochat.model.checkpoint import TrainedParts, save_parts
from audiochat.model.config import AudioChatLlamaConfig, EncoderConfig
from audiochat.model.ear import Ear
from audiochat.model.ngram import FILE_NAME, FOLDER_NAME, Ngrams
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.model.units import Units
from audiochat.model.weights_folder import beam_reader
from tests.model import tiny_llama

LINES = ["The cat sat on the mat.", "Where did the cat go?", "the dog ran on"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> AudioChatLlama:
    torch.manual_seed(0)
    config = EncoderConfig(dim=32, n_layers=2, n_heads=2, n_units=32)
    units = Units.trained(LINES * 3, config.n_units)
    parts = TrainedParts(AudioChatLlamaConfig(encoder=config), units, Ear(config).eval(), {})
    folder = tmp_path_factory.mktemp("llama")
    return AudioChatLlama(parts, TorchLanguageModel.load(tiny_llama.write_folder(folder)))


@pytest.fixture
def weights(tmp_path: Path, model: AudioChatLlama, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder without an n-gram model; loading it gives the tiny model, read greedily."""
    monkeypatch.setattr(evaluate_asr, "load", lambda name: model)
    model.close()
    model.read = None
    save_parts(model.parts, tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in LINES))
    return path


def evaluated(folder: Path, weights: Path, *more: str) -> dict[str, object]:
    torch.manual_seed(1)
    lines = []
    for index, words in enumerate(LINES):
        write_wav(Waveform(0.1 * torch.randn(SAMPLE_RATE).numpy()), folder / f"{index}.wav")
        lines.append(json.dumps({"audio": f"{index}.wav", "text": words}))
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    where = ["--manifest", str(folder / "manifest.jsonl"), "--audio-root", str(folder)]
    out = folder / "figures.json"
    argv = ["evaluate", "asr", *where, "--json", str(out), "--model", str(weights), *more]
    assert main(argv) == 0
    return dict(json.loads(out.read_text()))


def test_the_ngram_model_beside_the_weights_is_used(
    tmp_path: Path, weights: Path, text: Path, model: AudioChatLlama
) -> None:
    assert main(["train", "lm", "--text", str(text), "--weights", str(weights)]) == 0
    ngrams = Ngrams.load(weights / FOLDER_NAME / FILE_NAME)
    assert {"cat", "mat", "dog"} <= set(ngrams.vocabulary())
    plain = evaluated(tmp_path, weights)
    assert "greedy" not in plain
    model.close()
    model.read = beam_reader(weights, model.parts.units)  # as loading the folder does
    found = evaluated(tmp_path, weights, "--beam")
    assert evaluated(tmp_path, weights)["rows"] == found["rows"]
    for key in ("wer", "cer", "clips", "words"):
        assert found["greedy"][key] == plain["overall"][key]  # type: ignore[index]
    search = BeamSearch(model.parts.units, ngrams)
    for index, row in enumerate(found["rows"]):  # type: ignore[arg-type, var-annotated]
        waveform = (
            evaluate_asr.read_clips(tmp_path / "manifest.jsonl", tmp_path).clips[index].waveform
        )
        found_alone = search.found(model.hear(waveform).log_probs)[0].units
        assert row["heard"] == model.parts.units.decode(found_alone)


def test_another_folder_may_be_given(
    tmp_path: Path, weights: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "elsewhere"
    argv = ["train", "lm", "--text", str(text), "--out", str(folder), "--order", "2"]
    assert main(argv) == 0
    assert "3 lines" in capsys.readouterr().out
    assert Ngrams.load(folder / FILE_NAME).order == 2
    evaluated(tmp_path, weights, "--beam", "--lm", str(folder))
    printed = capsys.readouterr()
    assert "greedy" in printed.out
    assert printed.err == ""


def test_without_an_ngram_model_sound_alone_is_read_and_said(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(tmp_path, weights, "--beam")
    assert "by sound alone" in capsys.readouterr().err


def test_an_absent_folder_that_was_given_is_trouble(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(tmp_path, weights)
    (tmp_path / "figures.json").unlink()
    where = ["--manifest", str(tmp_path / "manifest.jsonl"), "--audio-root", str(tmp_path)]
    out = ["--json", str(tmp_path / "figures.json"), "--model", str(weights)]
    absent = ["--beam", "--lm", str(tmp_path / "absent")]
    assert main(["evaluate", "asr", *where, *out, *absent]) == 1
    assert "train lm" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "asr", *where, *out, *absent[1:]])
    assert stopped.value.code == 2


def test_evaluation_text_is_refused(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = text.rename(tmp_path / "eval_questions.jsonl")
    assert main(["train", "lm", "--text", str(held_out), "--out", str(tmp_path / "lm")]) == 1
    assert "evaluation file" in capsys.readouterr().err


def test_where_it_goes_must_be_said(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "lm", "--text", str(text)]) == 1
    assert "--weights or --out" in capsys.readouterr().err
