"""How often and how far training batches are changed, and the way from mild to strong."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

from audiochat.errors import DataError

Setting = TypeVar("Setting", float, int, tuple[float, float])


@dataclass(frozen=True)
class AugmentationConfig:
    """How often and how far a batch is changed; probabilities are for each clip, but for `pad`."""

    speed: tuple[float, float] = (0.95, 1.06)
    """Range of the speed factor, one for a batch (it moves the pitch too)."""
    gain_db: tuple[float, float] = (-15.0, 5.0)
    """Range of the gain, to a level of -20 dB of full scale."""
    pad: float = 0.1
    """Probability that a batch gets silence before and after its clips."""
    pad_s: tuple[float, float] = (0.0, 0.5)
    """Range of that silence at either end."""
    room: float = 0.1
    """Probability of a room's echo."""
    noise: float = 0.15
    """Probability of added noise."""
    snr_db: tuple[float, float] = (8.0, 30.0)
    """Range of the ratio of the speech, without its pauses, to the noise."""
    wordless: float = 0.03
    """Probability that the speech is taken away and noise alone is left, to be heard as nothing."""
    band_limit: float = 0.15
    """Probability of a channel: a telephone's, a laptop's, or that of some poor microphone."""
    tilt: float = 0.1
    """Probability of a tilted spectrum."""
    tilt_db: tuple[float, float] = (-3.0, 3.0)
    """Range of the tilt, in dB an octave."""
    clip: float = 0.03
    """Probability of an overdriven microphone: hard or soft clipping."""
    clipped_share: tuple[float, float] = (0.001, 0.03)
    """Range of the share of samples beyond the threshold."""
    mu_law: float = 0.02
    """Probability of a telephone line: 8 kHz, 8-bit mu-law."""
    codec: float = 0.003
    """Probability of Opus or MP3 at few kbit/s: they run on the CPU, 30 ms a second of Opus."""
    warp: tuple[float, float] = (0.95, 1.06)
    """Range of the vocal-tract factor, on the mel axis."""
    n_masks: int = 2
    """Masks drawn along time, and as many along the bands."""
    mask_share: float = 0.03
    """Longest time mask as a share of the clip."""
    mask_bands: int = 8
    """Widest band mask."""

    def __post_init__(self) -> None:
        """Refuse probabilities and ranges that are none."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                low, high = value
                if low > high:
                    raise DataError(f"augmentation.{field.name} {value} must be (low, high).")
            elif field.name not in ("n_masks", "mask_bands") and not 0 <= value <= 1:
                raise DataError(f"augmentation.{field.name} {value} must be from 0 to 1.")

    def towards(self, other: "AugmentationConfig", share: float) -> "AugmentationConfig":
        """Every setting moved by `share` (0 to 1) of the way to `other`."""
        moved = {
            field.name: _between(getattr(self, field.name), getattr(other, field.name), share)
            for field in fields(self)
        }
        return AugmentationConfig(**moved)


def _between(one: Setting, other: Setting, share: float) -> Setting:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return (_between(one[0], other[0], share), _between(one[1], other[1], share))
    assert not isinstance(one, tuple)
    assert not isinstance(other, tuple)
    value = (1 - share) * one + share * other  # exact at both ends
    return round(value) if isinstance(one, int) else value


STRONG = AugmentationConfig(
    speed=(0.9, 1.12),
    pad=0.2,
    pad_s=(0.0, 0.8),
    room=0.3,
    noise=0.45,
    snr_db=(-5.0, 30.0),
    band_limit=0.3,
    tilt=0.3,
    clip=0.08,
    mu_law=0.05,
    codec=0.01,
    warp=(0.88, 1.13),
    mask_share=0.06,
    mask_bands=14,
)
"""Where a run may end. Go there slowly: an encoder that began with much of it did not learn."""

MASKED = replace(STRONG, n_masks=3)
"""For an encoder that knows its training clips by heart: with more missing it must guess."""
