"""Pauses as people make them: where a text is cut, and how long it is quiet there and at the ends.

The pieces are spoken one by one, which every engine can do; a piece that a pause cuts off before
the end of its sentence gets a comma, so that the engine does not let its voice fall.
"""

import random
import re
from collections.abc import Sequence

import numpy as np

from audiochat.audio import SAMPLE_RATE

CLAUSE_PAUSE = 0.3
"""Probability of a pause behind each mark inside a line."""
HESITANT = 0.2
"""Share of the lines in which somebody also pauses between plain words."""
WORD_PAUSE = 0.15
"""Probability of a pause between two words of a hesitant line."""
CLAUSE_PAUSE_S = (0.1, 1.2)
WORD_PAUSE_S = (0.05, 0.6)
QUIET_ENDS_S = (0.05, 0.45)
LONG_QUIET_ENDS_S = (0.45, 1.5)
LONG_QUIET = 0.1
"""Probability of a long quiet at an end."""

_QUIET = 10 ** (-45 / 20)  # under the peak
_MARGIN_S = 0.02  # the last sound fades within it
_LETTER = re.compile("[A-Za-z]")  # without one a piece is nothing to say


def cut_at_pauses(text: str, draw: random.Random) -> tuple[list[str], list[float]]:
    """The pieces of a text, in order, and the seconds of quiet between them (one less)."""
    words = text.split()
    hesitant = draw.random() < HESITANT
    pieces: list[str] = []
    pauses_s: list[float] = []
    start = 0
    for stop in range(1, len(words)):
        marked = words[stop - 1][-1] in ",.?!"
        chance = CLAUSE_PAUSE if marked else WORD_PAUSE * hesitant
        piece, rest = " ".join(words[start:stop]), " ".join(words[stop:])
        if draw.random() < chance and _LETTER.search(piece) and _LETTER.search(rest):
            pieces.append(piece if marked else f"{piece},")
            pauses_s.append(_between(CLAUSE_PAUSE_S if marked else WORD_PAUSE_S, draw))
            start = stop
    return [*pieces, " ".join(words[start:])], pauses_s


def _between(range_s: tuple[float, float], draw: random.Random) -> float:
    """Short pauses are more frequent than long ones: even in the logarithm."""
    low, high = range_s
    return float(low * (high / low) ** draw.random())


def with_pauses(
    pieces: Sequence[np.ndarray], pauses_s: Sequence[float], draw: random.Random
) -> np.ndarray:
    """Join spoken pieces (N,) at 16 kHz with quiet between and, drawn here, at both ends."""
    ends_s = [
        draw.uniform(*(LONG_QUIET_ENDS_S if draw.random() < LONG_QUIET else QUIET_ENDS_S))
        for _ in range(2)
    ]
    joined: list[np.ndarray] = []
    for piece, before_s in zip(pieces, [ends_s[0], *pauses_s], strict=True):
        joined += [_quiet(before_s), _trimmed(piece)]
    return np.concatenate([*joined, _quiet(ends_s[1])])


def _quiet(duration_s: float) -> np.ndarray:
    return np.zeros(int(duration_s * SAMPLE_RATE), np.float32)


def _trimmed(samples: np.ndarray) -> np.ndarray:
    """Without the quiet that the engine put at the ends."""
    level = np.abs(samples)
    loud = np.flatnonzero(level > _QUIET * level.max(initial=0.0))
    if not len(loud):
        return samples[:0]
    margin = int(_MARGIN_S * SAMPLE_RATE)
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]
