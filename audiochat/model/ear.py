"""The ear: features, encoder and units together. Waveforms in, frames and words out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.model.alignment import Reading, read_greedily
from audiochat.model.config import EncoderConfig
from audiochat.model.conformer import WHOLE_CLIP, Conformer, Context, Encoded
from audiochat.model.features import LogMel
from audiochat.model.units import Units


@dataclass(frozen=True)
class Hearing:
    """One clip as the ear has it: its words, and the frames they came from."""

    reading: Reading
    frames: Tensor
    """(T, D)"""
    log_probs: Tensor
    """(T, V)"""
    phone_log_probs: Tensor
    """(R·T, P), R to a frame; R is 0 where the ear guesses no phones."""

    @property
    def text(self) -> str:
        """The words."""
        return self.reading.text

    @property
    def confidence(self) -> float:
        """0 to 1."""
        return self.reading.confidence

    def cut(self, first: int, last: int, reading: Reading) -> Self:
        """The frames from one to the one before another, with a reading of their own."""
        rate = len(self.phone_log_probs) // max(1, len(self.log_probs))
        phones = self.phone_log_probs[first * rate : last * rate]
        return type(self)(reading, self.frames[first:last], self.log_probs[first:last], phones)


class Read(Protocol):
    """A hearing to a better reading of it."""

    def __call__(self, hearing: Hearing, expected: Collection[str] = (), /) -> Reading:
        """`expected`: words that are likelier here than elsewhere."""


class Ear(nn.Module):
    """The trained part that listens."""

    def __init__(self, config: EncoderConfig) -> None:
        """Fresh weights of the sizes in `config`."""
        super().__init__()
        self.features = LogMel(config.n_mels)
        self.encoder = Conformer(config)

    def forward(
        self,
        samples: Tensor,
        n_samples: Tensor,
        context: Context = WHOLE_CLIP,
    ) -> Encoded:
        """samples: (B, N) in [-1, 1] with zeros past n_samples (B,) → `Encoded`."""
        features, n_features = self.features(samples, n_samples)
        encoded: Encoded = self.encoder(features, n_features, context)
        return encoded


def as_batch(
    waveforms: Sequence[Waveform], device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Pad waveforms to (B, N) samples and (B,) counts."""
    assert all(waveform.sample_rate == SAMPLE_RATE for waveform in waveforms)
    counts = [len(waveform.samples) for waveform in waveforms]
    samples = torch.zeros(len(waveforms), max(counts))
    for row, waveform in zip(samples, waveforms, strict=True):
        # A Waveform is read-only and torch warns of that: the copy into `row` follows at once.
        row[: len(waveform.samples)] = torch.from_numpy(waveform.samples.copy())
    return samples.to(device), torch.tensor(counts, device=device)


@torch.inference_mode()
def listen(
    ear: Ear, units: Units, waveforms: Sequence[Waveform], context: Context = WHOLE_CLIP
) -> list[Hearing]:
    """Hear several clips in one batch; the result is that of hearing each alone."""
    device = ear.encoder.head.weight.device
    encoded = ear(*as_batch(waveforms, device), context)
    hearings = []
    for row, count in enumerate(encoded.n_frames.tolist()):
        log_probs = encoded.log_probs[row, :count].float().cpu()
        frames = encoded.frames[row, :count].float().cpu()
        phones = phones_heard(encoded)[row].float().cpu()
        rate = len(phones) // encoded.frames.shape[1]
        reading = read_greedily(log_probs, units)
        hearings.append(Hearing(reading, frames, log_probs, phones[: rate * count]))
    return hearings


def phones_heard(encoded: Encoded) -> Tensor:
    """(B, R·T, P) log posteriors of the last guess at phones; (B, 0, 0) where there is none."""
    guesses = encoded.phone_log_probs
    return guesses[-1] if guesses else encoded.frames.new_zeros(len(encoded.frames), 0, 0)
