"""From CTC posteriors to words: greedy reading with confidences, and forced alignment."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audiochat.audio import Waveform
from audiochat.conversation import TimedWord
from audiochat.model.units import BLANK, Units

QUIET_BLOCK_S, QUIET_DB = 0.02, -35.0
"""What lies so far below a clip's loudest block is not yet speech."""


@dataclass(frozen=True)
class HeardWord:
    """One word that was heard."""

    text: str
    confidence: float
    """Geometric mean of its units' posteriors, 0 to 1."""
    first_frame: int
    last_frame: int
    """Encoder frames of its first and last unit, punctuation aside."""

    def start_s(self, frame_s: float) -> float:
        """Seconds from the clip's start to the word's, from the length of an encoder frame."""
        return self.first_frame * frame_s

    def end_s(self, frame_s: float) -> float:
        """Seconds from the clip's start to the end of the word's last frame."""
        return (self.last_frame + 1) * frame_s


@dataclass(frozen=True)
class Reading:
    """What one clip says, by whatever search."""

    text: str
    words: tuple[HeardWord, ...]
    confidence: float
    """Geometric mean of all units' posteriors; 0 when nothing was heard."""
    frames: tuple[int, ...]
    """The frame where each unit peaks."""
    units: tuple[int, ...] = ()
    """The units read, one to each of `frames`."""


def timed_words(reading: Reading, frame_s: float, waveform: Waveform) -> tuple[TimedWord, ...]:
    """The words of a reading in seconds of its recording.

    The ear writes a unit where it is sure of it, which is seldom where its sound begins: a word
    starts up to a few tenths of a second before its time here, and never before the last one's end.
    """
    earliest_s = _sound_starts_s(waveform)
    words: list[TimedWord] = []
    for word in reading.words:
        start_s, end_s = word.start_s(frame_s), word.end_s(frame_s)
        if not words and len(reading.words) > 1:
            # Hearing the whole clip, the ear writes its first unit in the silence before the word.
            following_s = reading.words[1].start_s(frame_s)
            start_s = max(start_s, min(earliest_s, following_s - frame_s))
            end_s = min(max(end_s, start_s + frame_s), following_s)
        start_s, end_s = min(start_s, waveform.duration_s), min(end_s, waveform.duration_s)
        words.append(TimedWord(word.text.strip(), start_s, end_s, word.confidence))
    return tuple(words)


def _sound_starts_s(waveform: Waveform) -> float:
    """Where the first block comes near the loudest; 0 where the noise before it does too."""
    block = int(QUIET_BLOCK_S * waveform.sample_rate)
    whole = waveform.samples[: len(waveform.samples) // block * block].reshape(-1, block)
    if not len(whole):
        return 0.0
    power = np.square(whole, dtype=np.float64).mean(1)
    return int((power >= power.max() * 10 ** (QUIET_DB / 10)).argmax()) * QUIET_BLOCK_S


def greedy_units(log_probs: Tensor) -> list[tuple[int, int, float]]:
    """log_probs: (T, V) → (unit, frame of its peak, log posterior there), repeats merged."""
    best, units = log_probs.max(-1)
    found: list[tuple[int, int, float]] = []
    previous = BLANK
    for frame, (unit, value) in enumerate(zip(units.tolist(), best.tolist(), strict=True)):
        if unit != BLANK and unit == previous:
            if value > found[-1][2]:
                found[-1] = (unit, frame, value)
        elif unit != BLANK:
            found.append((unit, frame, value))
        previous = unit
    return found


def read_greedily(log_probs: Tensor, units: Units) -> Reading:
    """log_probs: (T, V) of one clip → its text, words and confidences."""
    return _reading(greedy_units(log_probs), units)


def read_units(log_probs: Tensor, chosen: list[int], units: Units) -> Reading:
    """The reading of units that a search chose from `log_probs` (T, V), by their alignment.

    A word's confidence is what the sound alone gives its units, whatever else chose them.
    """
    spans = forced_alignment(log_probs, chosen)
    assert spans is not None, "a search chose more units than there are frames"
    found = []
    for unit, (first, last) in zip(chosen, spans, strict=True):
        value, offset = log_probs[first : last + 1, unit].max(0)
        found.append((unit, first + int(offset), float(value)))
    return _reading(found, units)


def _reading(found: list[tuple[int, int, float]], units: Units) -> Reading:
    groups: list[list[tuple[int, int, float]]] = []
    for item in found:
        if not groups or units.starts_word(item[0]):
            groups.append([])
        groups[-1].append(item)
    words = tuple(_word(group, units) for group in groups)
    return Reading(
        text=units.decode([unit for unit, _, _ in found]),
        words=words,
        confidence=_mean_probability(found),
        frames=tuple(frame for _, frame, _ in found),
        units=tuple(unit for unit, _, _ in found),
    )


def _word(group: list[tuple[int, int, float]], units: Units) -> HeardWord:
    # A full stop is written when the silence after it is heard, long after the word.
    frames = [frame for unit, frame, _ in group if any(map(str.isalnum, units.piece(unit)))]
    frames = frames or [frame for _, frame, _ in group]
    return HeardWord(
        text=units.decode([unit for unit, _, _ in group]),
        confidence=_mean_probability(group),
        first_frame=frames[0],
        last_frame=frames[-1],
    )


def _mean_probability(found: list[tuple[int, int, float]]) -> float:
    if not found:
        return 0.0
    return float(torch.tensor([value for _, _, value in found]).mean().exp())


def forced_alignment(log_probs: Tensor, targets: list[int]) -> list[tuple[int, int]] | None:
    """The most likely frames of given units: Viterbi over the CTC lattice (Graves et al. 2006).

    Args:
        log_probs: (T, V) of one clip.
        targets: its unit ids, without blanks.

    Returns:
        First and last frame of each unit, or None when the clip is too short for them.
    """
    if not targets:
        return []
    states = torch.full((2 * len(targets) + 1,), BLANK, device=log_probs.device)
    states[1::2] = torch.tensor(targets, device=log_probs.device)
    # A blank between two units may be skipped, but not between equal ones.
    skip = log_probs.new_full((len(states),), -torch.inf)
    skip[3::2] = skip[3::2].masked_fill(states[3::2] != states[1:-2:2], 0.0)
    emitted = log_probs[:, states]
    # Two states that no path is in come first, so that every state has two before it.
    score = log_probs.new_full((len(states) + 2,), -torch.inf)
    score[2:4] = emitted[0, :2]
    came_from = []
    for here in emitted[1:]:
        best, step = torch.stack((score[2:], score[1:-1], score[:-2] + skip)).max(0)
        score[2:] = best + here
        came_from.append(step)
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    if score[2 + state] == -torch.inf:
        return None
    return _spans(state, [step.tolist() for step in came_from], len(targets))


def _spans(state: int, came_from: list[list[int]], n_targets: int) -> list[tuple[int, int]]:
    """Follow the best path back from its last state: first and last frame of each target."""
    first, last = [0] * n_targets, [-1] * n_targets
    for frame in range(len(came_from), -1, -1):
        target, is_unit = divmod(state, 2)
        if is_unit:
            first[target] = frame
            last[target] = max(last[target], frame)
        if frame:
            state -= came_from[frame - 1][state]
    return list(zip(first, last, strict=True))
