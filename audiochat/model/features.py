"""Log-mel features: 80 bands every 10 ms of 16 kHz sound, on whatever device the samples are.

A frame looks 15 ms past its hop and no further, and the normalisation is global, so the features
of a stream are those of the whole.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from audiochat.audio import SAMPLE_RATE

HOP = SAMPLE_RATE // 100
"""Samples from one frame to the next: 10 ms."""
WINDOW = SAMPLE_RATE // 40
"""Samples a frame sees: 25 ms."""
FFT_SIZE = 512
LOG_FLOOR = 1e-6
"""Added to the power before the logarithm: about 16-bit quantisation noise."""


def frame_count(n_samples: Tensor | int) -> Tensor | int:
    """Feature frames of `n_samples`: one for each begun 10 ms."""
    return (n_samples + HOP - 1) // HOP


def mel_filterbank(n_mels: int) -> Tensor:
    """Triangular filters on the HTK mel scale, 20 Hz to 8 kHz: (FFT_SIZE // 2 + 1, F)."""

    def to_mel(hz: Tensor) -> Tensor:
        return 2595.0 * torch.log10(1.0 + hz / 700.0)

    edges_mel = torch.linspace(
        to_mel(torch.tensor(20.0)).item(),
        to_mel(torch.tensor(SAMPLE_RATE / 2.0)).item(),
        n_mels + 2,
    )
    edges_hz = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    bins_hz = torch.linspace(0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1)
    rising = (bins_hz[:, None] - edges_hz[:-2]) / (edges_hz[1:-1] - edges_hz[:-2])
    falling = (edges_hz[2:] - bins_hz[:, None]) / (edges_hz[2:] - edges_hz[1:-1])
    return torch.minimum(rising, falling).clamp(min=0.0)


class LogMel(nn.Module):
    """Samples to normalised log-mel frames; its mean and deviation are part of the weights."""

    mean: Tensor
    deviation: Tensor
    filters: Tensor
    window: Tensor

    def __init__(self, n_mels: int) -> None:
        """`n_mels`: bands (F)."""
        super().__init__()
        self.n_mels = n_mels
        self.register_buffer("filters", mel_filterbank(n_mels), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        # Typical of speech at -20 dB; replaced by the training data's own.
        self.register_buffer("mean", torch.full((n_mels,), -6.0))
        self.register_buffer("deviation", torch.full((n_mels,), 4.0))

    def raw(self, samples: Tensor) -> Tensor:
        """samples: (B, N) in [-1, 1] → log power (B, ⌈N/HOP⌉, F), not normalised."""
        n_frames = int(frame_count(samples.shape[-1]))
        padded = nn.functional.pad(samples, (0, (n_frames - 1) * HOP + WINDOW - samples.shape[-1]))
        frames = padded.unfold(-1, WINDOW, HOP) * self.window
        spectrum = torch.fft.rfft(frames, FFT_SIZE)
        power = spectrum.real.square() + spectrum.imag.square()
        return (power @ self.filters + LOG_FLOOR).log()

    def forward(
        self, samples: Tensor, n_samples: Tensor, warp: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """samples: (B, N), n_samples: (B,) → frames (B, T, F) and their counts (B,).

        Frames past a clip's end are zero, so padding carries no sound. `warp` may change the raw
        frames (B, T, F) before they are normalised.
        """
        n_frames = torch.as_tensor(frame_count(n_samples))
        raw = self.raw(samples)
        frames = ((raw if warp is None else warp(raw)) - self.mean) / self.deviation
        inside = torch.arange(frames.shape[1], device=frames.device) < n_frames[:, None]
        return frames * inside[..., None], n_frames

    @torch.no_grad()
    def fit(self, samples: Tensor, n_samples: Tensor) -> None:
        """Set the normalisation from the frames of one batch of clips."""
        frames = self.raw(samples)
        n_frames = torch.as_tensor(frame_count(n_samples))
        inside = torch.arange(frames.shape[1], device=frames.device) < n_frames[:, None]
        chosen = frames[inside]
        self.mean.copy_(chosen.mean(0))
        # One deviation for all bands keeps their relative weight; 1e-2 guards constant input.
        self.deviation.fill_(max(math.sqrt(chosen.var(0).mean().item()), 1e-2))
