"""`evaluate chat` on the real embedded model: every kind of line, through every arm."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiochat.__main__ import main
from audiochat.audio import Waveform, write_wav
from audiochat.cli import evaluate_chat
from audiochat.errors import AudioError, ModelError
from audiochat.evaluation.arms import ARMS, TEXT, Examiner, Reply, Setting, check_arms
from audiochat.evaluation.cases import Case, read_cases
from audiochat.model.audio_chat_llama import AudioChatLlama, Prompt
from audiochat.sampling import Sampling

CLIPS = {
    "capital.flac": "What is the capital of France?",
    "italy.flac": "What is the capital of Italy?",
}
HISTORY = [
    {"role": "user", "text": CLIPS["capital.flac"], "audio": "capital.flac"},
    {"role": "assistant", "text": "Paris."},
]


@pytest.fixture(scope="module")
def folder(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A question, a question with a history, and a clip to transcribe; and a noise."""
    folder = tmp_path_factory.mktemp("asked")
    for name in CLIPS:
        (folder / name).write_bytes((assets / "examples" / name).read_bytes())
    question, other = ({"audio": name, "text": text} for name, text in CLIPS.items())
    lines = [
        question | {"answer": "Paris"},
        other | {"answer": "Rome", "set": "context", "history": HISTORY},
        question | {"task": "transcribe", "forbidden": "France"},
    ]
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (folder / "noise").mkdir()
    hiss = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    write_wav(Waveform(hiss), folder / "noise/hiss.wav")
    return folder


@pytest.fixture(autouse=True)
def _loaded_once(bot: AudioChatLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_chat, "load", lambda name: bot)


@pytest.fixture
def cases(folder: Path) -> tuple[Case, ...]:
    return read_cases(folder / "manifest.jsonl", folder).cases


@pytest.fixture
def examiner(bot: AudioChatLlama) -> Examiner:
    return Examiner(bot, Setting("Be brief.", Sampling(max_new_tokens=6)))


def arguments(folder: Path, out: Path, *more: str) -> list[str]:
    where = ["--manifest", str(folder / "manifest.jsonl"), "--audio-root", str(folder)]
    tokens = ["--max-new-tokens", "6"]
    return ["evaluate", "chat", *where, "--json", str(out), *tokens, *more]


def test_everything_is_asked_and_reported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plots = tmp_path / "chat.json", tmp_path / "plots"
    noise = ["--snr", "5", "--noise", str(folder / "noise"), "--plot", str(plots)]
    assert main(arguments(folder, out, "--arms", ",".join(ARMS), *noise)) == 0
    found = json.loads(out.read_text())
    assert list(found["arms"]) == list(ARMS)
    assert found["settings"]["sampling"]["max_new_tokens"] == 6
    assert found["settings"]["stopped"] is False
    text = found["arms"]["text"]
    assert (text["exact"], text["success_n"], text["n"]) == (1.0, 2, 3)
    assert list(found["sets"]) == ["all", "context"]
    assert list(found["tasks"]) == ["answer", "transcribe"]
    assert found["history"]["n"] == 1
    assert found["history"]["arms"]["hybrid"]["perplexity"]["n"] == 1
    assert found["obeyed"]["cascade"]["n"] == 1
    assert found["noise"]["5"]["arms"]["text"] == text  # it hears no noise
    assert found["summed"]["end_to_end-cascade"]["conditions"] == ["clean", "5"]
    assert found["first_text"]["cascade_greedy"]["median"] > 0
    assert found["first_text"]["ratios"]["hybrid/cascade"] > 0
    row = found["rows"][1]
    losses = [one["nll"] / one["tokens"] for one in row["arms"].values()]
    # The greedy reply to the words is likeliest after the words: sound comes near, not below.
    assert all(math.isfinite(loss) and loss >= 0.9 * losses[0] for loss in losses)
    assert sorted(path.name for path in plots.iterdir()) == ["chat.png", "chat.svg"]
    printed = capsys.readouterr().out
    assert "noise, 5 dB" in printed
    assert "history" in printed


def test_the_kept_system_prompt_changes_no_reply(
    cases: tuple[Case, ...], examiner: Examiner, bot: AudioChatLlama
) -> None:
    setting = examiner.setting
    for arm, written in ((TEXT, True), ("cascade", False)):
        found = examiner.ask(cases[1], arm)
        conversation = cases[1].conversation(setting.system_prompt, written=written)
        bot.close()
        prompt = bot.prepare(conversation, setting.sampling, arm="cascade")
        ids = tuple(token.id for token in bot.stream(prompt, setting.sampling))
        assert found.ids == ids
        whole = np.concatenate([prompt.embeds, bot.lm.embed(ids)])
        logits = bot.lm.score(whole)[len(prompt.embeds) - 1 : -1].astype(np.float64)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        expected = -sum(logits[at, id_] for at, id_ in enumerate(ids))
        assert found.nll == pytest.approx(expected, rel=0.02)


def test_only_the_newest_recording_counts_as_heard(
    cases: tuple[Case, ...], examiner: Examiner
) -> None:
    with_history = examiner.ask(cases[1], "cascade")
    assert with_history.heard == examiner.ask(cases[1].without_history(), "cascade").heard
    assert examiner.ask(cases[1], TEXT).heard is None


def test_the_text_arm_is_not_asked_again(cases: tuple[Case, ...], examiner: Examiner) -> None:
    known = Reply(None, "Known.", (5, 6, 7), 1.0, nll=1.0, n_tokens=3)
    found = examiner.ask_all(cases[0], (TEXT, "cascade"), known)
    assert found[TEXT] is known
    assert found["cascade"].n_tokens == 3


def test_the_greedy_cascade_is_timed_and_the_reader_put_back(
    cases: tuple[Case, ...], examiner: Examiner, bot: AudioChatLlama
) -> None:
    read = bot.read
    took_ms = examiner.greedy_first_text_ms(cases[0])
    assert took_ms is not None
    assert took_ms > 0
    assert bot.read == read


def test_a_clip_without_words_is_a_failed_answer(
    cases: tuple[Case, ...], examiner: Examiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(*_: object, **__: object) -> Prompt:
        raise AudioError("No words were heard.")

    monkeypatch.setattr(examiner.model, "prepare", deaf)
    found = examiner.ask(cases[0], "cascade", (1, 2))
    assert found.text == found.heard == ""
    assert found.success is False
    assert found.nll is None
    assert found.n_tokens == 2


def test_ctrl_c_keeps_what_was_asked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Examiner.ask_all

    def interrupted(self: Examiner, case: Case, *rest: Any) -> dict[str, Reply]:
        if case.has_history:
            raise KeyboardInterrupt
        return whole(self, case, *rest)

    monkeypatch.setattr(Examiner, "ask_all", interrupted)
    out = tmp_path / "chat.json"
    assert main(arguments(folder, out, "--arms", "text,cascade")) == 130
    found = json.loads(out.read_text())
    assert found["settings"]["stopped"] is True
    assert found["arms"]["text"]["n"] == len(found["rows"]) == 1


def test_an_arm_without_weights_is_said_first(
    bot: AudioChatLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_arms(bot, ARMS)
    monkeypatch.setattr(bot.parts, "connectors", {"hybrid": None})
    with pytest.raises(ModelError, match="no end_to_end connector"):
        check_arms(bot, ARMS)


def test_absent_matplotlib_is_said_before_the_model_loads(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("audiochat.evaluation.figures.find_spec", lambda name: None)
    monkeypatch.setattr(evaluate_chat, "load", lambda name: pytest.fail("loaded"))
    more = ["--arms", "text", "--plot", str(tmp_path / "plots")]
    assert main(arguments(folder, tmp_path / "out.json", *more)) == 1
    assert "matplotlib" in capsys.readouterr().err
