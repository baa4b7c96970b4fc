"""Augmentation of batches of speech, in torch, on the device the batch is on.

In the order of a recording: speed, silence, room, noise, microphone, overload, telephone line,
codec, level. The vocal tract is changed by warping the mel axis, together with the speed a shift of
formants or of pitch alone; SpecAugment (Park et al. 2019) masks the features.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from audiochat.audio import SAMPLE_RATE
from audiochat.speech_data import channels
from audiochat.speech_data.augmentation_config import MASKED, STRONG, AugmentationConfig
from audiochat.speech_data.codecs import through_codec, usable_codecs
from audiochat.speech_data.draws import Draws
from audiochat.speech_data.noise_bank import load_noise_bank

__all__ = ["MASKED", "STRONG", "Augmentation", "AugmentationConfig"]

RECORDED_ROOMS = 0.3
"""Share of the rooms that are recorded ones, where there are any."""
DECAY_S = (0.1, 0.7)
DIRECT_DB = (0.0, 15.0)
"""Direct over reverberant sound: near and far speakers."""
TELEPHONE, LAPTOP = 0.5, 0.25
"""Shares of the channels; the others have edges anywhere."""
WORDLESS_DB = (-10.0, 40.0)
"""Speech that is not there over the noise that is: from a loud place to a quiet room."""
LINE_PEAK_DB = (-20.0, 0.0)
"""Level on a telephone line: the quieter, the coarser mu-law is."""
_LEVEL = 0.1
_NYQUIST_HZ = SAMPLE_RATE / 2


class Augmentation:
    """Changes batches at random; the draws come from its own generator."""

    def __init__(
        self,
        config: AugmentationConfig,
        *,
        noise_folder: Path | None,
        seed: int,
        until: AugmentationConfig | None = None,
    ) -> None:
        """Load noises and recorded rooms from `noise_folder`.

        Args:
            config: the settings at the start of a run, or throughout.
            noise_folder: files with ``rir`` in their names are rooms; None: white noise, no rooms.
            seed: of every draw.
            until: the settings at the end of a run; `begin` says how far it is.

        Raises:
            DataError: the folder cannot be read or holds no sound.
        """
        self.config = config
        self._from, self._until = config, until or config
        self._draws = Draws(seed)
        self._bank = load_noise_bank(noise_folder, self._draws)

    def begin(self, step: int, share: float = 0.0) -> None:
        """Draw from here on as this step does; `share` (0 to 1) of the run lies behind it."""
        self._draws.begin(step)
        self.config = self._from.towards(self._until, min(max(share, 0.0), 1.0))

    def wordless(self, count: int) -> Tensor:
        """(count,) true for the clips that are to lose their speech; drawn after `begin`."""
        return self._draws.uniform((0, 1), count) < self.config.wordless

    @torch.no_grad()
    def samples(
        self, samples: Tensor, n_samples: Tensor, wordless: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """samples: (B, N), n_samples: (B,) → the same, changed; lengths change too.

        Of clips that are `wordless` (B,) only noise is left, as loud as it might be beside them.
        """
        config = self.config
        if wordless is None:
            wordless = torch.zeros(len(samples), dtype=torch.bool)
        samples, n_samples = self._at_another_speed(samples, n_samples)
        if self._draws.happens(config.pad):
            samples, n_samples = self._padded(samples, n_samples)
        samples = self._some(config.room, samples, self._in_rooms)
        speech_power = channels.active_power(samples)
        inside = torch.arange(samples.shape[1], device=samples.device) < n_samples[:, None]
        samples = samples.masked_fill(wordless.to(samples.device)[:, None], 0.0)
        samples = self._with_noise(samples, speech_power, inside, wordless)
        samples = self._in_channels(samples)
        samples = self._overloaded(samples, n_samples)
        samples = self._some(config.mu_law, samples, self._on_the_telephone)
        samples = self._some(config.codec, samples, self._coded)
        gain = 10 ** (self._draws.uniform(config.gain_db, len(samples)) / 20)
        scale = gain.to(samples.device) * _LEVEL / speech_power.sqrt()
        return samples.mul_(scale[:, None]).clamp_(-1, 1).mul_(inside), n_samples

    def _some(
        self, probability: float, samples: Tensor, change: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Change the clips (C, N) that the draw meets, in place."""
        chosen = self._draws.chosen(probability, len(samples)).to(samples.device)
        if len(chosen):
            samples.index_copy_(0, chosen, change(samples[chosen]))
        return samples

    def _uniform(self, range_: tuple[float, float], like: Tensor) -> Tensor:
        """(C,) numbers for the clips `like` (C, N), on their device."""
        return self._draws.uniform(range_, len(like)).to(like.device)

    def _at_another_speed(self, samples: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        factor = self._draws.number(self.config.speed)
        changed = functional.interpolate(
            samples[:, None], scale_factor=1 / factor, mode="linear", align_corners=False
        )[:, 0]
        return changed, (n_samples / factor).long().clamp(max=changed.shape[1])

    def _padded(self, samples: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Silence of its own before and after each clip."""
        before, after = (
            (self._uniform(self.config.pad_s, samples) * SAMPLE_RATE).long() for _ in range(2)
        )
        batch, length = samples.shape
        padded = samples.new_zeros(batch, length + int((before + after).max()))
        at = torch.arange(length, device=samples.device) + before[:, None]
        return padded.scatter_(1, at, samples), n_samples + (before + after).to(n_samples.device)

    def _in_rooms(self, samples: Tensor) -> Tensor:
        count, device = len(samples), samples.device
        noise = self._draws.noise(count, channels.ROOM_SAMPLES).to(device)
        rooms = channels.simulated_rooms(
            noise,
            self._uniform(DECAY_S, samples),
            self._uniform(DIRECT_DB, samples),
        )
        if len(self._bank.rooms):
            recorded = self._uniform((0, 1), samples) < RECORDED_ROOMS
            others = self._bank.some_rooms(count, self._draws, device)
            rooms = torch.where(recorded[:, None], others, rooms)
        return channels.filtered(samples, rooms)

    def _with_noise(
        self, samples: Tensor, speech_power: Tensor, inside: Tensor, wordless: Tensor
    ) -> Tensor:
        """Add noise to some clips and all wordless ones, as loud as their ratio says, in place."""
        noisy = self._draws.uniform((0, 1), len(samples)) < self.config.noise
        ratio_db = self._draws.uniform(self.config.snr_db, len(samples))
        alone_db = self._draws.uniform(WORDLESS_DB, len(samples))
        chosen = torch.nonzero(noisy | wordless)[:, 0].to(samples.device)
        if not len(chosen):
            return samples
        heard = inside[chosen]
        noise = self._bank.cuts(samples.shape[1], len(chosen), self._draws, samples.device)
        power = (noise.square() * heard).sum(1) / heard.sum(1).clamp(min=1)
        ratio_db = torch.where(wordless, alone_db, ratio_db).to(samples.device)[chosen]
        ratio = 10 ** (ratio_db / 10)
        scale = (speech_power[chosen] / power.clamp(min=1e-12) / ratio).sqrt()
        return samples.index_add_(0, chosen, noise * scale[:, None])

    def _in_channels(self, samples: Tensor) -> Tensor:
        """Band limits and tilts, drawn each for itself, in one pass for the clips with either."""
        config, batch = self.config, len(samples)
        band = self._draws.uniform((0, 1), batch) < config.band_limit
        tilted = self._draws.uniform((0, 1), batch) < config.tilt
        low_hz, high_hz, bump = self._bands(batch)
        low_hz, high_hz = low_hz.where(band, -200.0), high_hz.where(band, _NYQUIST_HZ + 500)
        bump[~band, 1] = 0.0
        tilt_db = self._draws.uniform(config.tilt_db, batch) * tilted
        chosen = torch.nonzero(band | tilted)[:, 0]
        if not len(chosen):
            return samples
        device = samples.device
        heard = channels.through_bands(
            samples[chosen.to(device)],
            low_hz=low_hz[chosen].to(device),
            high_hz=high_hz[chosen].to(device),
            tilt_db=tilt_db[chosen].to(device),
            bump=bump[chosen].to(device),
        )
        return samples.index_copy_(0, chosen.to(device), heard)

    def _bands(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Edges in Hz (B,), (B,), and the resonance (B, 2), of channels of one of three kinds."""
        uniform = self._draws.uniform
        kind = uniform((0, 1), batch)
        phone, laptop = kind < TELEPHONE, kind >= 1 - LAPTOP
        low_hz = torch.where(phone, uniform((150, 350), batch), uniform((30, 200), batch))
        high_hz = torch.where(phone, uniform((3200, 3900), batch), uniform((3500, 7800), batch))
        # A laptop's small microphone behind its case: no bass, and a resonance in the treble.
        low_hz = torch.where(laptop, uniform((120, 450), batch), low_hz)
        high_hz = torch.where(laptop, uniform((6500, 8000), batch), high_hz)
        bump = torch.stack([uniform((900, 5000), batch), uniform((3, 12), batch)], dim=1)
        bump[~laptop, 1] = 0.0
        return low_hz, high_hz, bump

    def _overloaded(self, samples: Tensor, n_samples: Tensor) -> Tensor:
        chosen = self._draws.chosen(self.config.clip, len(samples)).to(samples.device)
        if not len(chosen):
            return samples
        some = samples[chosen]
        share = self._uniform(self.config.clipped_share, some)
        hard = self._uniform((0, 1), some) < 0.5
        counts = n_samples.to(samples.device)[chosen]
        cut = channels.clipped(some, counts, share=share, hard=hard)
        return samples.index_copy_(0, chosen, cut)

    def _on_the_telephone(self, samples: Tensor) -> Tensor:
        return channels.telephone(samples, peak=10 ** (self._uniform(LINE_PEAK_DB, samples) / 20))

    def _coded(self, samples: Tensor) -> Tensor:
        """One clip after the other: the codecs are the CPU's."""
        names = usable_codecs()
        if not names:
            return samples
        kinds = self._draws.below(len(names), len(samples)).tolist()
        qualities = self._draws.uniform((0, 1), len(samples)).tolist()
        peaks = samples.abs().amax(1, keepdim=True).clamp(min=1e-6)
        clips = (samples / peaks * 0.7).cpu().numpy()
        coded = [
            torch.from_numpy(through_codec(clip, names[kind], quality))
            for clip, kind, quality in zip(clips, kinds, qualities, strict=True)
        ]
        return torch.stack(coded).to(samples.device) * peaks / 0.7

    def warp(self, log_mel: Tensor) -> Tensor:
        """log_mel: (B, T, F), not normalised → the same with each clip's mel axis stretched."""
        n_mels = log_mel.shape[2]
        factor = self._uniform(self.config.warp, log_mel)
        at = (torch.arange(n_mels, device=log_mel.device) * factor[:, None]).clamp(max=n_mels - 1)
        low = at.floor().long().clamp(max=n_mels - 2)
        share = (at - low)[:, None]
        index = low[:, None].expand(-1, log_mel.shape[1], -1)
        below, above = log_mel.gather(2, index), log_mel.gather(2, index + 1)
        return below + share * (above - below)

    def mask(self, features: Tensor, n_features: Tensor) -> Tensor:
        """features: (B, T, F), normalised → the same with masks of zeros (the mean)."""
        _, length, n_mels = features.shape
        counts = n_features.to(features.device)
        bands = torch.full_like(counts, n_mels)
        share, widest = self.config.mask_share, self.config.mask_bands / n_mels
        for _ in range(self.config.n_masks):
            masked = self._spans(counts, length, share)[..., None]
            masked = masked | self._spans(bands, n_mels, widest)[:, None]
            features = features.masked_fill(masked, 0.0)
        return features

    def _spans(self, counts: Tensor, length: int, widest: float) -> Tensor:
        """(B, length) true within a span of each clip's `counts` (B,), at most `widest` of it."""
        width = self._uniform((0, widest), counts) * counts
        start = self._uniform((0, 1), counts) * (counts - width)
        at = torch.arange(length, device=counts.device)
        return (at >= start[:, None]) & (at < (start + width)[:, None])
