"""From CTC posteriors to words: greedy reading with confidences, and forced alignment."""

from dataclasses import dataclass

import torch
from torch import Tensor

from audiochat.model.units import BLANK, Units


@dataclass(frozen=True)
class HeardWord:
    """One word that was heard."""

    text: str
    confidence: float
    """Geometric mean of its units' posteriors, 0 to 1."""
    first_frame: int
    last_frame: int
    """Encoder frames of its first and last unit."""


@dataclass(frozen=True)
class Reading:
    """The greedy reading of one clip."""

    text: str
    words: tuple[HeardWord, ...]
    confidence: float
    """Geometric mean of all units' posteriors; 0 when nothing was heard."""
    frames: tuple[int, ...]
    """The frame where each unit peaks."""


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
    found = greedy_units(log_probs)
    groups: list[list[tuple[int, int, float]]] = []
    for item in found:
        if not groups or units.starts_word(item[0]):
            groups.append([])
        groups[-1].append(item)
    words = tuple(
        HeardWord(
            text=units.decode([unit for unit, _, _ in group]),
            confidence=_mean_probability(group),
            first_frame=group[0][1],
            last_frame=group[-1][1],
        )
        for group in groups
    )
    return Reading(
        text=units.decode([unit for unit, _, _ in found]),
        words=words,
        confidence=_mean_probability(found),
        frames=tuple(frame for _, frame, _ in found),
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
    may_skip = torch.zeros(len(states), dtype=torch.bool, device=log_probs.device)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    score = log_probs.new_full((len(states),), -torch.inf)
    score[:2] = log_probs[0, states[:2]]
    came_from = []
    for frame in log_probs[1:]:
        one = torch.nn.functional.pad(score[:-1], (1, 0), value=-torch.inf)
        two = torch.nn.functional.pad(score[:-2], (2, 0), value=-torch.inf)
        two = two.masked_fill(~may_skip, -torch.inf)
        score, step = torch.stack([score, one, two]).max(0)
        score = score + frame[states]
        came_from.append(step)
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    if score[state] == -torch.inf:
        return None
    path = [state]
    for step in reversed(came_from):
        state -= int(step[state])
        path.append(state)
    path.reverse()
    spans: list[tuple[int, int]] = []
    for index in range(len(targets)):
        frames = [frame for frame, at in enumerate(path) if at == 2 * index + 1]
        spans.append((frames[0], frames[-1]))
    return spans
