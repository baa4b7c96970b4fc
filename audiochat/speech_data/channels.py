"""What lies between a mouth and the samples: rooms, microphones, overload, a telephone line.

Batched torch on whatever device the samples are on; knows no probabilities and draws nothing.
"""

import math

import torch
from torch import Tensor

from audiochat.audio import SAMPLE_RATE

ROOM_SAMPLES = SAMPLE_RATE // 2
"""Length of a room's response."""

_MU = 255


def fast_size(length: int) -> int:
    """The least of 4, 5, 6 or 7 times a power of two that holds `length`: quick to transform."""
    power = 1 << max(0, (length - 1).bit_length() - 3)
    return next(times * power for times in (4, 5, 6, 7, 8) if times * power >= length)


def filtered(samples: Tensor, response: Tensor) -> Tensor:
    """samples: (C, N), response: (C, M), M ≤ ROOM_SAMPLES → (C, N), convolved, the tail cut off."""
    length = samples.shape[1]
    size = fast_size(length + response.shape[1])
    spectrum = torch.fft.rfft(samples, size) * torch.fft.rfft(response, size)
    heard: Tensor = torch.fft.irfft(spectrum, size)[:, :length]
    return heard


def simulated_rooms(noise: Tensor, decay_s: Tensor, direct_db: Tensor) -> Tensor:
    """Responses (C, ROOM_SAMPLES) of unit energy: a direct sound, then noise that decays.

    Args:
        noise: (C, ROOM_SAMPLES), white.
        decay_s: (C,) time in which the echo falls by 60 dB.
        direct_db: (C,) direct over reverberant energy.
    """
    at_s = torch.arange(ROOM_SAMPLES, device=noise.device) / SAMPLE_RATE
    tail = noise * torch.pow(10, -3 * at_s / decay_s[:, None])
    tail[:, 0] = 0
    tail = tail / tail.norm(dim=1, keepdim=True) * 10 ** (-direct_db[:, None] / 20)
    tail[:, 0] = 1
    response: Tensor = tail / tail.norm(dim=1, keepdim=True)
    return response


def through_bands(
    samples: Tensor, *, low_hz: Tensor, high_hz: Tensor, tilt_db: Tensor, bump: Tensor
) -> Tensor:
    """Samples (C, N) through microphones: what each passes is smooth over the frequencies.

    Args:
        samples: (C, N)
        low_hz: (C,) lower edge; 0 leaves the bass.
        high_hz: (C,) upper edge; the half of SAMPLE_RATE leaves the treble.
        tilt_db: (C,) slope in dB an octave, around 1 kHz.
        bump: (C, 2) a resonance: its Hz, and its height in dB.
    """
    length = samples.shape[1]
    size = fast_size(length + SAMPLE_RATE // 50)  # room for a filter's ringing
    hz = torch.linspace(0, SAMPLE_RATE / 2, size // 2 + 1, device=samples.device)[None]
    octaves = torch.log2(hz.clamp(min=30.0) / 1000)
    off_bump = octaves - torch.log2(bump[:, :1] / 1000)
    gain_db = tilt_db[:, None] * octaves + bump[:, 1:] * torch.exp(-((off_bump / 0.4) ** 2))
    # Edges of some octaves' breadth at the bottom, some hundred Hz at the top.
    passed = torch.sigmoid((hz - low_hz[:, None]) / 25)
    passed = passed * torch.sigmoid((high_hz[:, None] - hz) / 60)
    response = passed * torch.pow(10, gain_db / 20)
    heard: Tensor = torch.fft.irfft(torch.fft.rfft(samples, size) * response, size)[:, :length]
    return heard


def clipped(samples: Tensor, n_samples: Tensor, *, share: Tensor, hard: Tensor) -> Tensor:
    """Samples (C, N) with the loudest `share` (C,) of each clip's over the microphone's limit.

    Where `hard` (C,) is true they are cut at the limit; elsewhere all bend towards it.
    """
    over = (share * n_samples).long().clamp(min=1)
    inside = torch.arange(samples.shape[1], device=samples.device) < n_samples[:, None]
    loudest = (samples.abs() * inside).topk(int(over.max()), dim=1).values
    limit = loudest.gather(1, over[:, None] - 1).clamp(min=1e-6)
    cut = samples.clamp(-limit, limit)
    return torch.where(hard[:, None], cut, limit * torch.tanh(samples / limit))


def mu_law(samples: Tensor) -> Tensor:
    """Samples in [-1, 1] through 8 bits of mu-law (ITU-T G.711's curve): 256 levels are left."""
    curve = samples.sign() * torch.log1p(_MU * samples.abs()) / math.log1p(_MU)
    level = ((curve + 1) / 2 * _MU).round() / _MU * 2 - 1
    return level.sign() * torch.expm1(level.abs() * math.log1p(_MU)) / _MU


def telephone(samples: Tensor, *, peak: Tensor) -> Tensor:
    """Samples (C, N) over a line of 8 kHz, 8-bit mu-law, on which their peak is `peak` (C,)."""
    length = samples.shape[1]
    size = fast_size(length + SAMPLE_RATE // 50)
    half = size // 2
    scale = peak[:, None] / samples.abs().amax(1, keepdim=True).clamp(min=1e-6)
    spectrum = torch.fft.rfft(samples * scale, size)[:, : half // 2 + 1]
    # Half as many bins are the same sound at half the rate.
    line = mu_law((torch.fft.irfft(spectrum, half) / 2).clamp(-1, 1))
    back = torch.fft.rfft(line, half) * 2
    wide = torch.zeros(len(samples), half + 1, dtype=back.dtype, device=samples.device)
    wide[:, : half // 2] = back[:, :-1]  # the bin on the edge belongs to both sides
    heard: Tensor = torch.fft.irfft(wide, size)[:, :length] / scale
    return heard


def active_power(samples: Tensor) -> Tensor:
    """(B,) mean power of clips (B, N) where somebody speaks: within 30 dB of the loudest 20 ms."""
    frame = SAMPLE_RATE // 50
    whole = samples.shape[1] // frame * frame
    power = samples[:, :whole].reshape(len(samples), -1, frame).square().mean(2)
    active = power > power.amax(1, keepdim=True) * 1e-3
    mean: Tensor = (power * active).sum(1) / active.sum(1).clamp(min=1)
    return mean.clamp(min=1e-10)
