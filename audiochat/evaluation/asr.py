"""How well speech is heard: word error rates, whole, by set and by who speaks.

Knows no model: what hears is given as a function.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from audiochat.audio import Waveform
from audiochat.evaluation.clips import Clip
from audiochat.evaluation.metrics import Errors, count_errors, ratio, ratio_ci95

Hear = Callable[[Waveform], str]

GROUPS = ("accent", "age")
"""Fields of the manifest that rates are given by."""


@dataclass(frozen=True)
class HeardClip:
    """One clip with what was heard of it."""

    clip: Clip
    heard: str
    errors: Errors
    took_s: float


def hear_all(
    hear: Hear, clips: Sequence[Clip], waveforms: Iterable[Waveform] | None = None
) -> list[HeardClip]:
    """Hear every clip, one after the other; `waveforms` sound in place of the clips' own."""
    rows = []
    sounds = (clip.waveform for clip in clips) if waveforms is None else waveforms
    for clip, waveform in zip(clips, sounds, strict=True):
        start = time.perf_counter()
        heard = hear(waveform)
        took_s = time.perf_counter() - start
        rows.append(HeardClip(clip, heard, count_errors(clip.line.spoken, heard), took_s))
    return rows


def report(rows: Sequence[HeardClip], skipped: int) -> dict[str, Any]:
    """Return the overall figures, those of each set and group, and every row."""
    sets = sorted({row.clip.line.set_name for row in rows})
    return {
        "overall": summary(rows, skipped),
        "sets": {name: summary([r for r in rows if r.clip.line.set_name == name]) for name in sets},
        "groups": {field: _by(field, rows) for field in GROUPS},
        "rows": [_as_json(row) for row in rows],
    }


def summary(rows: Sequence[HeardClip], skipped: int = 0) -> dict[str, Any]:
    """Return the rates of some rows; they are weighted by words, so long clips count for more."""
    errors = [row.errors.errors for row in rows]
    words = [row.errors.words for row in rows]
    durations = [row.clip.waveform.duration_s for row in rows]
    return {
        "wer": ratio(errors, words),
        "wer_ci95": ratio_ci95(errors, words),
        "cer": ratio([row.errors.char_errors for row in rows], [row.errors.chars for row in rows]),
        "clips": len(rows),
        "words": sum(words),
        "audio_s": round(sum(durations), 3),
        "rtf": ratio([row.took_s for row in rows], durations),
        "skipped": skipped,
    }


def _as_json(row: HeardClip) -> dict[str, Any]:
    """One row; `spoken`, which the errors are counted against, where it is not the text itself."""
    line = row.clip.line
    return {
        "audio": row.clip.name,
        "text": line.text,
        **({"spoken": line.spoken} if line.spoken != line.text else {}),
        "heard": row.heard,
        "errors": row.errors.errors,
        "words": row.errors.words,
    }


def _by(field: str, rows: Sequence[HeardClip]) -> dict[str, Any]:
    groups: dict[str, list[HeardClip]] = {}
    for row in rows:
        value = str(row.clip.line.extra.get(field) or "").strip()
        if value:
            groups.setdefault(value, []).append(row)
    return {value: summary(members) for value, members in sorted(groups.items())}
