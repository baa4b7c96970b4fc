"""Augmentation of batches of speech, in torch, on the device the batch is on.

Rooms and band limits are one multiplication of spectra; noise is cut at random from a bank; the
vocal tract is changed by warping the mel axis; SpecAugment (Park et al. 2019) masks the features.
"""

from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor
from torch.nn import functional

from audiochat.audio import SAMPLE_RATE, resample
from audiochat.errors import DataError


@dataclass(frozen=True)
class AugmentationConfig:
    """How often and how far a batch is changed; probabilities are for each clip."""

    speed: tuple[float, float] = (0.95, 1.06)
    """Range of the speed factor, one for a batch (it moves the pitch too)."""
    gain_db: tuple[float, float] = (-15.0, 5.0)
    """Range of the gain."""
    noise: float = 0.15
    """Probability of added noise."""
    snr_db: tuple[float, float] = (8.0, 30.0)
    """Range of the signal-to-noise ratio."""
    room: float = 0.1
    """Probability of a room's echo."""
    band_limit: float = 0.15
    """Probability of a band limit: telephone or a poor microphone."""
    warp: tuple[float, float] = (0.95, 1.06)
    """Range of the vocal-tract factor, on the mel axis."""
    mask_share: float = 0.03
    """Longest time mask as a share of the clip; two are drawn."""
    mask_bands: int = 8
    """Widest band mask; two are drawn."""


class Augmentation:
    """Changes batches at random; the draws come from its own generator."""

    def __init__(self, config: AugmentationConfig, *, noise_folder: Path | None, seed: int) -> None:
        """Load noises and recorded rooms from `noise_folder` (names with ``rir`` are rooms)."""
        self.config = config
        self._seed = seed
        self._draw = torch.Generator().manual_seed(seed)
        noises, rooms = _load_sounds(noise_folder)
        self._noise = torch.cat(noises) if noises else self._hiss()
        self._rooms = [room / room.norm() for room in rooms]

    def begin(self, step: int) -> None:
        """Draw from here on as this step of a run does, whatever was drawn before."""
        self._draw.manual_seed(self._seed + 1_000_003 * step)

    def _hiss(self) -> Tensor:
        """A minute of white noise, for want of recordings."""
        return torch.randn(60 * SAMPLE_RATE, generator=self._draw) * 0.05

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._draw) * (high - low) + low

    def samples(self, samples: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """samples: (B, N), n_samples: (B,) → the same, changed; lengths change with the speed."""
        config = self.config
        factor = float(self._uniform(*config.speed, 1))
        samples = functional.interpolate(
            samples[:, None], scale_factor=1 / factor, mode="linear", align_corners=False
        )[:, 0]
        n_samples = (n_samples / factor).long().clamp(max=samples.shape[1])
        samples = self._through_rooms(samples)
        speech_power = _power(samples, n_samples)
        samples = samples + self._noises(samples, speech_power)
        wanted = 10 ** (self._uniform(*config.gain_db, len(samples)) / 20)
        scaled = samples * (wanted.to(samples.device) * 0.1 / speech_power.sqrt())[:, None]
        inside = torch.arange(samples.shape[1], device=samples.device) < n_samples[:, None]
        return scaled.clamp(-1, 1) * inside, n_samples

    def _through_rooms(self, samples: Tensor) -> Tensor:
        """Convolve some clips with rooms and band limits, by one product of spectra each."""
        length = samples.shape[1]
        size = 1 << (length + SAMPLE_RATE // 2 - 1).bit_length()
        hz = torch.linspace(0, SAMPLE_RATE / 2, size // 2 + 1)
        responses: dict[int, Tensor] = {}
        for clip in range(len(samples)):
            if float(self._uniform(0, 1, 1)) < self.config.room:
                responses[clip] = torch.fft.rfft(self._draw_room(), size)
            if float(self._uniform(0, 1, 1)) < self.config.band_limit:
                responses[clip] = responses.get(clip, torch.tensor(1.0)) * self._draw_band(hz)
        if not responses:
            return samples
        chosen = torch.tensor(list(responses), device=samples.device)
        response = torch.stack(list(responses.values())).to(samples.device)
        heard = torch.fft.irfft(torch.fft.rfft(samples[chosen], size) * response, size)
        return samples.index_copy(0, chosen, heard[:, :length])

    def _draw_room(self) -> Tensor:
        """A recorded room, or noise that decays by 60 dB in 0.1 to 0.7 s after the direct sound."""
        if self._rooms and float(self._uniform(0, 1, 1)) < 0.3:
            chosen = int(torch.randint(len(self._rooms), (1,), generator=self._draw))
            recorded: Tensor = self._rooms[chosen][: SAMPLE_RATE // 2]
            return recorded
        decay_s = float(self._uniform(0.1, 0.7, 1))
        at_s = torch.arange(int(min(decay_s, 0.5) * SAMPLE_RATE)) / SAMPLE_RATE
        tail: Tensor = torch.randn(len(at_s), generator=self._draw)
        tail = tail * torch.pow(10, -3 * at_s / decay_s)
        tail[0] = 0
        # Direct over reverberant sound: 0 to 15 dB, near and far speakers.
        tail = tail / tail.norm() * 10 ** (-float(self._uniform(0, 15, 1)) / 20)
        tail[0] = 1
        simulated: Tensor = tail / tail.norm()
        return simulated

    def _draw_band(self, hz: Tensor) -> Tensor:
        """A smooth band: of a telephone (300 to 3,400 Hz), or of some other poor path."""
        telephone = float(self._uniform(0, 1, 1)) < 0.6
        low = float(self._uniform(150, 350, 1)) if telephone else float(self._uniform(30, 200, 1))
        high = (
            float(self._uniform(3200, 3900, 1))
            if telephone
            else float(self._uniform(3500, 7800, 1))
        )
        band: Tensor = torch.sigmoid((hz - low) / 25) * torch.sigmoid((high - hz) / 60)
        return band

    def _noises(self, samples: Tensor, speech_power: Tensor) -> Tensor:
        batch, length = samples.shape
        chosen = self._uniform(0, 1, batch) < self.config.noise
        starts = torch.randint(len(self._noise), (batch,), generator=self._draw)
        noise = torch.zeros(batch, length)
        for clip in torch.nonzero(chosen)[:, 0].tolist():
            at = torch.arange(length) + starts[clip]
            noise[clip] = self._noise[at % len(self._noise)]
        noise = noise.to(samples.device)
        power = noise.square().mean(1).clamp(min=1e-12)
        ratio = 10 ** (self._uniform(*self.config.snr_db, batch) / 10).to(samples.device)
        return noise * (speech_power / power / ratio).sqrt()[:, None]

    def warp(self, log_mel: Tensor) -> Tensor:
        """log_mel: (B, T, F), not normalised → the same with each clip's mel axis stretched."""
        batch, _, n_mels = log_mel.shape
        factor = self._uniform(*self.config.warp, batch).to(log_mel.device)
        at = (torch.arange(n_mels, device=log_mel.device) * factor[:, None]).clamp(max=n_mels - 1)
        low = at.floor().long().clamp(max=n_mels - 2)
        share = (at - low)[:, None]
        index = low[:, None].expand(-1, log_mel.shape[1], -1)
        below, above = log_mel.gather(2, index), log_mel.gather(2, index + 1)
        return below + share * (above - below)

    def mask(self, features: Tensor, n_features: Tensor) -> Tensor:
        """features: (B, T, F), normalised → the same with masks of zeros (the mean)."""
        batch, length, n_mels = features.shape
        frames = torch.arange(length, device=features.device)
        bands = torch.arange(n_mels, device=features.device)
        counts = n_features.cpu()
        for _ in range(2):
            width = self._uniform(0, self.config.mask_share, batch) * counts
            start = self._uniform(0, 1, batch) * (counts - width)
            stop = (start + width).to(features.device)
            start = start.to(features.device)
            masked = (frames >= start[:, None]) & (frames < stop[:, None])
            features = features.masked_fill(masked[..., None], 0.0)
            band_width = self._uniform(0, self.config.mask_bands, batch)
            band_start = (self._uniform(0, 1, batch) * (n_mels - band_width)).to(features.device)
            band_stop = band_start + band_width.to(features.device)
            masked = (bands >= band_start[:, None]) & (bands < band_stop[:, None])
            features = features.masked_fill(masked[:, None], 0.0)
        return features


def _power(samples: Tensor, n_samples: Tensor) -> Tensor:
    """(B,) mean power of the clips without their padding."""
    return (samples.square().sum(1) / n_samples.clamp(min=1)).clamp(min=1e-10)


def _load_sounds(folder: Path | None) -> tuple[list[Tensor], list[Tensor]]:
    if folder is None:
        return [], []
    files = sorted(path for path in folder.iterdir() if path.suffix in {".flac", ".wav", ".ogg"})
    if not files:
        raise DataError(f"{folder} holds no noise (.flac, .wav or .ogg).")
    noises: list[Tensor] = []
    rooms: list[Tensor] = []
    for path in files:
        # Read plainly: a room's impulse or a hum would pass for silence at the person's border.
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        sound = torch.from_numpy(resample(samples.mean(1), rate, SAMPLE_RATE).copy())
        (rooms if "rir" in path.name else noises).append(sound)
    return noises, rooms
