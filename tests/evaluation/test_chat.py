"""The figures of the arms, from replies written by hand."""

from pathlib import Path

import numpy as np
import pytest

from audiochat.audio import Waveform
from audiochat.evaluation.arms import Reply
from audiochat.evaluation.chat import Answered, report
from audiochat.evaluation.clips import Clip
from audiochat.speech_data.manifest import ManifestLine

ARMS = ("text", "cascade", "end_to_end")


def reply(heard: str | None, text: str, nll: float | None, *, success: bool | None) -> Reply:
    return Reply(heard, text, (1, 2), 100.0, nll=nll, n_tokens=2, success=success)


def answered(name: str, *, cascade: Reply, end_to_end: Reply, success: bool | None) -> Answered:
    extra = {} if success is None else {"answer": "Paris"}
    line = ManifestLine(Path(name), "Which city?", "Which city?", "set", extra)
    clip = Clip(name, line, Waveform(np.zeros(16_000)))
    written = reply(None, "Paris.", 2 * np.log(2), success=success)
    return Answered(clip, {"text": written, "cascade": cascade, "end_to_end": end_to_end})


@pytest.fixture
def rows() -> list[Answered]:
    """Two questions: the cascade mishears the second, the end-to-end arm answers both."""
    right = reply("which city", "Paris!", 2 * np.log(2), success=True)
    wrong = reply("witch kitty", "A cat.", 2 * np.log(8), success=False)
    return [
        answered("a.wav", cascade=right, end_to_end=right, success=True),
        answered("b.wav", cascade=wrong, end_to_end=right, success=True),
    ]


def test_each_arm_has_its_figures(rows: list[Answered]) -> None:
    arms = report(rows, ARMS)["arms"]
    assert arms["text"]["success"] == 1.0
    assert arms["text"]["perplexity"] == pytest.approx(2.0)
    assert arms["text"]["exact"] == 1.0
    assert arms["text"]["wer"] is None
    assert arms["cascade"]["success"] == 0.5
    assert arms["cascade"]["success_n"] == 2
    assert arms["cascade"]["perplexity"] == pytest.approx(4.0)
    assert arms["cascade"]["exact"] == 0.5
    assert arms["cascade"]["wer"] == 0.5
    assert arms["end_to_end"]["chrf"] > arms["cascade"]["chrf"]
    assert arms["cascade"]["first_text_ms"] == {"median": 100.0, "p95": 100.0}


def test_retention_is_told_for_all_and_for_what_was_heard_well(rows: list[Answered]) -> None:
    kept = report(rows, ARMS)["retention"]
    assert kept["cascade"]["all"] == {"retention": 0.5, "n": 2}
    assert kept["cascade"]["wer<=0.1"] == {"retention": 1.0, "n": 1}
    assert "text" not in kept


def test_arms_are_compared_on_the_same_rows(rows: list[Answered]) -> None:
    paired = report(rows, ARMS)["paired"]
    assert list(paired) == ["end_to_end-cascade"]
    assert paired["end_to_end-cascade"]["success"] == 0.5
    assert paired["end_to_end-cascade"]["perplexity"] == pytest.approx(-2.0)
    low, high = paired["end_to_end-cascade"]["ci95"]
    assert low <= 0.5 <= high


def test_without_answers_success_is_unknown_and_the_rest_is_told() -> None:
    same = reply("which city", "Paris.", 2 * np.log(3), success=None)
    found = report([answered("a.wav", cascade=same, end_to_end=same, success=None)], ARMS)
    assert found["arms"]["cascade"]["success"] is None
    assert found["arms"]["cascade"]["exact"] == 1.0
    assert found["retention"]["cascade"]["all"]["retention"] is None
    assert found["paired"]["end_to_end-cascade"]["ci95"] == (0.0, 0.0)


def test_a_clip_in_which_nothing_was_heard_counts_as_failed() -> None:
    deaf = Reply("", "", (), None, n_tokens=2, success=False)
    right = reply("which city", "Paris", 2 * np.log(2), success=True)
    found = report([answered("a.wav", cascade=deaf, end_to_end=right, success=True)], ARMS)
    assert found["arms"]["cascade"]["success"] == 0.0
    assert found["arms"]["cascade"]["wer"] == 1.0
    assert found["arms"]["cascade"]["perplexity"] is None
    assert found["arms"]["cascade"]["perplexity_n"] == 0
    assert found["paired"]["end_to_end-cascade"]["perplexity"] is None


def test_rows_hold_every_arm(rows: list[Answered]) -> None:
    (_, second) = report(rows, ARMS)["rows"]
    assert second["audio"] == "b.wav"
    assert second["answer"] == ["Paris"]
    assert second["arms"]["cascade"]["heard"] == "witch kitty"
    assert set(second["arms"]["text"]) == {"heard", "reply", "success", "nll", "tokens"}
