"""`evaluate chat` on the real embedded model: every kind of line, through every arm."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiochat.__main__ import main
from audiochat.audio import SAMPLE_RATE, Waveform, write_wav
from audiochat.backends.audiochat_llama import AudioChatLlamaBackend
from audiochat.backends.base import Heard, TextPiece, Usage
from audiochat.cli import evaluate_chat
from audiochat.cli.evaluate_tables import print_overflows
from audiochat.conversation import AudioPart
from audiochat.errors import ModelError
from audiochat.evaluation.answered import Answered
from audiochat.evaluation.arms import ARMS, TEXT, Examiner, Reply, Setting, check_arms
from audiochat.evaluation.cases import Case, read_cases
from audiochat.model import audio_chat_llama
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.sampling import Sampling

CLIPS = {
    "capital.flac": "What is the capital of France?",
    "week.flac": "How many days are there in a week?",
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
        logits = bot.lm.score(whole)[0][len(prompt.embeds) - 1 : -1].astype(np.float64)
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


def sounding(case: Case, samples: np.ndarray) -> Case:
    """The case with another recording in its newest message."""
    waveform = Waveform(samples)
    message = case.messages[-1]
    parts = tuple(
        replace(part, waveform=waveform) if isinstance(part, AudioPart) else part
        for part in message.parts
    )
    messages = (*case.messages[:-1], replace(message, parts=parts))
    return replace(case, clip=replace(case.clip, waveform=waveform), messages=messages)


def test_a_clip_without_words_is_a_failed_answer(
    cases: tuple[Case, ...], examiner: Examiner
) -> None:
    found = examiner.ask(sounding(cases[0], np.zeros(16_000)), "cascade", (1, 2))
    assert found.text == found.heard == ""
    assert found.success is False
    assert found.nll is None
    assert found.n_tokens == 2
    assert not found.overflowed


def test_a_turn_that_does_not_fit_is_heard_and_counted_apart(
    cases: tuple[Case, ...],
    examiner: Examiner,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = Reply(None, "Paris.", (5, 6), 1.0, nll=1.0, n_tokens=2)
    heard = examiner.ask(cases[0], "cascade", known.ids).heard
    monkeypatch.setattr(audio_chat_llama, "MAX_CONTEXT", 20)
    found = examiner.ask(cases[0], "cascade", known.ids)
    assert (found.heard, found.text, found.success) == (heard, "", False)
    assert found.overflowed
    print_overflows([Answered(cases[0], {TEXT: known, "cascade": found})], (TEXT, "cascade"))
    assert capsys.readouterr().out.strip().startswith("cascade: 1 of 1 did not fit")


def test_a_long_recording_is_answered_as_on_the_page(
    cases: tuple[Case, ...], examiner: Examiner, bot: AudioChatLlama
) -> None:
    whole = np.tile(cases[2].clip.waveform.samples, 10)[: 20 * SAMPLE_RATE]
    case, setting = sounding(cases[2], whole), examiner.setting
    found = examiner.ask(case, "hybrid", (1, 2))
    bot.close()
    asked = case.conversation(setting.system_prompt, written=False)
    events = list(AudioChatLlamaBackend("embedded", bot, "hybrid").reply(asked, setting.sampling))
    (heard,) = (event.text for event in events if isinstance(event, Heard))
    text = "".join(event.text for event in events if isinstance(event, TextPiece))
    assert "\n\n" in text
    assert (found.heard, found.text) == (heard, text.strip())
    assert found.nll is None  # there is no one prompt
    usage = events[-1]
    assert isinstance(usage, Usage)
    assert usage.reply_tokens == len(found.ids) == 12
    assert usage.finish_reason == "length"
    assert usage.prompt_tokens > usage.reused_tokens > 0


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
