"""Lossy codecs at few kbit/s, as calls and voice messages use them: through libsndfile, in memory.

They run on the CPU, a clip at a time, so they are for a few clips.
"""

import logging
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
import soundfile

from audiochat.audio import SAMPLE_RATE


@dataclass(frozen=True)
class _Codec:
    file_format: str
    kind: str
    compression: tuple[float, float]
    """libsndfile's level at the lowest quality and at the highest that is drawn."""


CODECS = {
    "opus": _Codec("OGG", "OPUS", (1.0, 0.9)),  # 9 to 30 kbit/s
    "mp3": _Codec("MP3", "MPEG_LAYER_III", (0.99, 0.8)),  # 21 to 33 kbit/s
}

_log = logging.getLogger(__name__)


def through_codec(samples: np.ndarray, codec: str, quality: float) -> np.ndarray:
    """Samples (N,) in [-1, 1] at 16 kHz, encoded and decoded; as many, in their places.

    Args:
        samples: (N,) float32.
        codec: one of `CODECS`.
        quality: from 0, the fewest kbit/s, to 1.
    """
    settings = CODECS[codec]
    lowest, highest = settings.compression
    file = BytesIO()
    soundfile.write(
        file,
        samples,
        SAMPLE_RATE,
        format=settings.file_format,
        subtype=settings.kind,
        compression_level=lowest + quality * (highest - lowest),
    )
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    same_length = np.zeros(len(samples), np.float32)
    n_both = min(len(samples), len(decoded))
    same_length[:n_both] = decoded[:n_both]
    return same_length


@cache
def usable_codecs() -> tuple[str, ...]:
    """Those that the installed libsndfile can write; what it cannot is said in the log."""
    usable = []
    for codec in CODECS:
        try:
            through_codec(np.zeros(SAMPLE_RATE // 10, np.float32), codec, 0.0)
        except (soundfile.LibsndfileError, ValueError, TypeError) as error:
            _log.info("This libsndfile writes no %s (%s): it is left out.", codec, error)
        else:
            usable.append(codec)
    return tuple(usable)
