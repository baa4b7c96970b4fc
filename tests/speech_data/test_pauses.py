"""Pauses: every word is still said, and the quiet is as long as was drawn."""

import random

import numpy as np
import pytest

from audiochat.speech_data import pauses
from audiochat.speech_data.pauses import cut_at_pauses, with_pauses

TEXT = "Well, I think - you know - that it rains, today. Take a coat!"


def test_no_word_is_lost_and_pieces_end_with_a_mark() -> None:
    for seed in range(200):
        pieces, pauses_s = cut_at_pauses(TEXT, random.Random(seed))
        assert len(pauses_s) == len(pieces) - 1
        assert " ".join(pieces).replace(",", "").split() == TEXT.replace(",", "").split()
        assert all(piece[-1] in ",.?!" for piece in pieces)
        assert all(any(char.isalpha() for char in piece) for piece in pieces)


def test_some_lines_are_fluent_and_pauses_keep_their_range() -> None:
    cuts = [cut_at_pauses(TEXT, random.Random(seed)) for seed in range(500)]
    fluent = sum(len(pieces) == 1 for pieces, _ in cuts) / len(cuts)
    assert 0.1 < fluent < 0.6
    drawn = [pause_s for _, pauses_s in cuts for pause_s in pauses_s]
    assert min(drawn) >= pauses.WORD_PAUSE_S[0]
    assert max(drawn) <= pauses.CLAUSE_PAUSE_S[1]


def test_a_word_alone_and_nothing_are_one_piece() -> None:
    assert cut_at_pauses("Yes.", random.Random(1)) == (["Yes."], [])
    assert cut_at_pauses("", random.Random(1)) == ([""], [])


def test_the_quiet_is_what_was_asked_for() -> None:
    tone = np.pad(np.ones(1600, np.float32), 8000)  # with quiet ends, which are cut
    joined = with_pauses([tone, tone], [0.5], random.Random(3))
    loud = np.flatnonzero(joined)
    assert len(loud) == 3200
    gap_s = np.diff(loud).max() / 16_000
    assert gap_s == pytest.approx(0.5 + 2 * 0.02, abs=0.001)
    before_s, after_s = loud[0] / 16_000, (len(joined) - loud[-1]) / 16_000
    assert min(before_s, after_s) >= pauses.QUIET_ENDS_S[0]
    assert max(before_s, after_s) <= pauses.LONG_QUIET_ENDS_S[1] + 0.03


def test_silence_stays_silence() -> None:
    assert not with_pauses([np.zeros(500, np.float32)], [], random.Random(1)).any()
