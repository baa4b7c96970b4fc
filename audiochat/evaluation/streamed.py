"""How well speech is heard while it is spoken, and what is left to do when the person stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.evaluation import asr
from audiochat.evaluation.clips import Clip
from audiochat.evaluation.metrics import count_errors, ratio, ratio_ci95
from audiochat.model.ear import Read
from audiochat.model.streaming import StreamedHearing

PIECE_SAMPLES = SAMPLE_RATE // 10
"""A microphone's piece of 100 ms."""


@dataclass(frozen=True)
class Streamed:
    """One clip heard piece by piece."""

    row: asr.HeardClip
    """With the time of all its pieces."""
    tail_s: float
    """From the arrival of the last piece to the words."""


def hear_streamed(
    begin: Callable[[], StreamedHearing], clips: Iterable[Clip], read: Read | None = None
) -> list[Streamed]:
    """Feed every clip in pieces, as fast as they are heard; the end is read greedily or by `read`.

    What is left at the end includes the reading.
    """
    return [_hear(begin(), clip, read) for clip in clips]


def _hear(heard: StreamedHearing, clip: Clip, read: Read | None) -> Streamed:
    samples = clip.waveform.samples
    starts = range(0, len(samples), PIECE_SAMPLES)
    began = last = time.perf_counter()
    for start in starts:
        last = time.perf_counter()
        heard = heard.feed(Waveform(samples[start : start + PIECE_SAMPLES]))
    hearing = heard.finish()
    text = read(hearing).text if read else hearing.text
    ended = time.perf_counter()
    errors = count_errors(clip.line.spoken, text)
    return Streamed(asr.HeardClip(clip, text, errors, ended - began), ended - last)


def report(rows: Sequence[Streamed], whole: Sequence[asr.HeardClip]) -> dict[str, Any]:
    """Return the figures of all rows, and those of each set."""
    pairs = list(zip(rows, whole, strict=True))
    sets: dict[str, list[tuple[Streamed, asr.HeardClip]]] = {}
    for pair in pairs:
        sets.setdefault(pair[1].clip.line.set_name, []).append(pair)
    return summary(pairs) | {"sets": {name: summary(sets[name]) for name in sorted(sets)}}


def summary(pairs: Sequence[tuple[Streamed, asr.HeardClip]]) -> dict[str, Any]:
    """The rates of `asr.summary`, what they cost, and the milliseconds left at the end.

    `pairs`: each clip as it was heard while spoken, and whole.
    """
    more = [ours.row.errors.errors - whole.errors.errors for ours, whole in pairs]
    words = [whole.errors.words for _, whole in pairs]
    median, p95 = np.percentile([1000 * ours.tail_s for ours, _ in pairs], [50, 95])
    return {
        **asr.summary([ours.row for ours, _ in pairs]),
        "wer_cost": ratio(more, words),
        "wer_cost_ci95": ratio_ci95(more, words),
        "tail_ms": {"median": round(float(median), 1), "p95": round(float(p95), 1)},
    }
