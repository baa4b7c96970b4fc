"""Batches of packed speech: clips of like length together, human ones drawn more often.

The order is a function of the seed and the epoch, so a resumed run sees what it would have seen.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audiochat.audio import SAMPLE_RATE
from audiochat.errors import DataError
from audiochat.model.features import HOP
from audiochat.model.phones import phone_ids
from audiochat.model.units import Units
from audiochat.speech_data.held_out_voices import refuse_held_out
from audiochat.speech_data.packed import FULL_SCALE, PackedSpeech

_POOL_BATCHES = 40
"""Batches whose clips are sorted by length together: long enough for little padding."""
_MAX_UNITS_A_FRAME = 0.75
"""CTC needs a frame for each unit and one between equal ones, also when sped up."""


@dataclass(frozen=True)
class SpeechBatch:
    """Some clips, padded."""

    samples: Tensor
    """(B, N) in [-1, 1]"""
    n_samples: Tensor
    """(B,)"""
    targets: Tensor
    """(B, L) unit ids, padded with 0"""
    n_targets: Tensor
    """(B,)"""
    phones: Tensor
    """(B, L') phone units, padded with 0"""
    n_phones: Tensor
    """(B,); 0 where the phones are not known"""
    texts: tuple[str, ...]
    """The spoken forms."""
    wordless: Tensor
    """(B,) true where nothing is said: no units and no phones are then what is right."""

    def without_words(self, wordless: Tensor) -> "SpeechBatch":
        """The same sound with nothing to hear in some clips (B,): they are to become noise."""
        return replace(
            self,
            n_targets=self.n_targets.masked_fill(wordless, 0),
            n_phones=self.n_phones.masked_fill(wordless, 0),
            wordless=wordless,
        )


class SpeechBatches:
    """An endless sequence of batches, read by index."""

    def __init__(
        self,
        sources: Sequence[PackedSpeech],
        units: Units,
        *,
        batch_s: float,
        max_clip_s: float,
        human_weight: float = 1.0,
        set_weights: Mapping[str, float] | None = None,
        frame_samples: int = 8 * HOP,
        seed: int = 1,
        device: str = "cpu",
    ) -> None:
        """Choose the clips that fit; on a GPU their samples are all moved there, as 16 bits.

        Raises:
            DataError: no clip fits, one is of a voice kept for tests, or a set that is to be
                weighed is not there.
        """
        refuse_held_out(sources)
        _check_names(set_weights or {}, sources)
        self._sources, self._seed, self._device = sources, seed, device
        self._audio = [source.tensors(device) for source in sources]
        self._batch_samples = int(batch_s * SAMPLE_RATE)
        self._weighted: list[tuple[float, int, int, int]] = []
        self._targets: dict[tuple[int, int], list[int]] = {}
        for at, source in enumerate(sources):
            for index, clip in enumerate(source):
                ids = units.encode(clip.spoken)
                room = clip.samples / frame_samples * _MAX_UNITS_A_FRAME
                if 0 < len(ids) <= room and clip.duration_s <= max_clip_s:
                    weight = human_weight if clip.human else 1.0
                    weight *= (set_weights or {}).get(clip.set_name, 1.0)
                    self._weighted.append((weight, clip.samples, at, index))
                    self._targets[at, index] = ids
        if not self._weighted:
            raise DataError("No clip is usable: all are too long, or too short for their words.")
        self._epoch = -1
        self._order: list[list[tuple[int, int]]] = []
        self._first = 0

    def batch(self, step: int) -> SpeechBatch:
        """The `step`-th batch."""
        if step < self._first:
            self._epoch, self._order, self._first = -1, [], 0
        while step >= self._first + len(self._order):
            self._first += len(self._order)
            self._epoch += 1
            self._order = self._plan(self._epoch)
        return self.load(self._order[step - self._first])

    def _plan(self, epoch: int) -> list[list[tuple[int, int]]]:
        """One epoch's batches; fractional weights are drawn."""
        draw = random.Random(f"{self._seed}/{epoch}")
        clips: list[tuple[int, int, int]] = []
        for weight, samples, at, index in self._weighted:
            times = int(weight) + (draw.random() < weight % 1)
            clips += [(samples, at, index)] * times
        draw.shuffle(clips)
        mean = sum(samples for samples, _, _ in clips) / max(1, len(clips))
        pool = max(1, int(_POOL_BATCHES * self._batch_samples / mean))
        batches: list[list[tuple[int, int]]] = []
        for start in range(0, len(clips), pool):
            batches += self._cut(sorted(clips[start : start + pool]))
        draw.shuffle(batches)
        return batches

    def _cut(self, clips: list[tuple[int, int, int]]) -> list[list[tuple[int, int]]]:
        """Sorted clips, shortest first, cut where the padded length would pass the budget."""
        batches: list[list[tuple[int, int]]] = [[]]
        for samples, at, index in clips:
            if batches[-1] and (len(batches[-1]) + 1) * samples > self._batch_samples:
                batches.append([])
            batches[-1].append((at, index))
        return batches

    def load(self, chosen: list[tuple[int, int]]) -> SpeechBatch:
        """Read and pad the chosen clips."""
        clips = [self._sources[at][index] for at, index in chosen]
        longest = max(clip.samples for clip in clips)
        padded = torch.zeros(len(clips), longest, dtype=torch.int16, device=self._device)
        for row, clip, (at, _) in zip(padded, clips, chosen, strict=True):
            row[: clip.samples] = self._audio[at][clip.shard][
                clip.start : clip.start + clip.samples
            ]
        targets = [self._targets[key] for key in chosen]
        ids, n_ids = _padded(targets)
        phones, n_phones = _padded([phone_ids(clip.phones) for clip in clips])
        return SpeechBatch(
            samples=padded.float() / FULL_SCALE,
            n_samples=torch.tensor([clip.samples for clip in clips]),
            targets=ids,
            n_targets=n_ids,
            phones=phones,
            n_phones=n_phones,
            texts=tuple(clip.spoken for clip in clips),
            wordless=torch.zeros(len(clips), dtype=torch.bool),
        )


def _check_names(set_weights: Mapping[str, float], sources: Sequence[PackedSpeech]) -> None:
    known = {clip.set_name for source in sources for clip in source} if set_weights else set()
    for name in set_weights:
        if name not in known:
            raise DataError(f"No speech is of the set {name!r}; there are {sorted(known)}.")


def _padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """(B, L) padded with 0, and the lengths (B,)."""
    padded = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.long)
    for to, row in zip(padded, rows, strict=True):
        to[: len(row)] = torch.tensor(row, dtype=torch.long)
    return padded, torch.tensor([len(row) for row in rows])
