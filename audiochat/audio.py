"""The one audio type, Waveform, and what is done with it: decode, resample, join, save.

Sound becomes a Waveform once, at the border, under limits; nothing deeper checks it again.
"""

import hashlib
import stat
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np

from audiochat.audio_decoding import Intake, decode_samples
from audiochat.audio_limits import (
    RECORDING_LIMITS,
    REPLY_LIMITS,
    SAMPLE_RATE,
    TURN_LIMITS,
    AudioLimits,
    check_size,
)
from audiochat.errors import AudioError

__all__ = [
    "RECORDING_LIMITS",
    "REPLY_LIMITS",
    "SAMPLE_RATE",
    "TURN_LIMITS",
    "AudioLimits",
    "Waveform",
    "concatenate",
    "decode",
    "encode_wav",
    "resample",
    "to_int16",
    "waveform_from_pcm",
    "write_wav",
]

FULL_SCALE_INT16 = 32_768


@dataclass(frozen=True, eq=False)
class Waveform:
    """A mono sound as an immutable value: equal when its samples and rate are equal."""

    samples: np.ndarray
    """(N,) float32 within -1..1, copied in and read-only."""

    sample_rate: int = SAMPLE_RATE
    """In Hz. What the model hears is at SAMPLE_RATE; a reply's voice may keep its own."""

    def __post_init__(self) -> None:
        """Take a copy that nobody can change."""
        samples = np.array(self.samples, dtype=np.float32)
        assert samples.ndim == 1, f"a Waveform is mono, (N,), not {samples.shape}"
        samples.flags.writeable = False
        object.__setattr__(self, "samples", samples)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def rms_db(self) -> float:
        """Level of the whole, in dB of full scale; minus infinity for digital silence."""
        power = float(np.square(self.samples, dtype=np.float64).mean()) if len(self.samples) else 0
        return 10.0 * float(np.log10(power)) if power > 0 else -np.inf

    @cached_property
    def digest(self) -> str:
        """Name of this sound by content, for stores keyed by what was heard."""
        hasher = hashlib.blake2b(self.sample_rate.to_bytes(4, "little"), digest_size=16)
        hasher.update(self.samples.tobytes())
        return hasher.hexdigest()

    def __eq__(self, other: object) -> bool:
        """Compare by content."""
        return isinstance(other, Waveform) and self.digest == other.digest

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.digest)

    def __copy__(self) -> Self:
        """Nothing can change it, so itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Nothing can change it, so itself: a copied chat history shares its sounds."""
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[np.ndarray, int]]:
        """Pickle through the constructor, so that the copy is read-only too."""
        return type(self), (self.samples, self.sample_rate)


def decode(
    source: str | Path | bytes, limits: AudioLimits = TURN_LIMITS, *, keep_rate: bool = False
) -> Waveform:
    """Read a sound file, given by path or as its bytes, to mono at SAMPLE_RATE or its own rate.

    WAV, FLAC, MP3, Ogg and Opus are read as they are; WebM, M4A and AAC where ffmpeg is installed.
    The name is ignored, the content decides.

    Raises:
        AudioError: the sound cannot be used; the text says why and what to do.
    """
    data = source if isinstance(source, bytes) else _read(Path(source), limits)
    return Waveform(*decode_samples(data, limits, keep_rate=keep_rate))


def waveform_from_pcm(
    samples: np.ndarray, sample_rate: int, limits: AudioLimits = TURN_LIMITS
) -> Waveform:
    """Take samples as a sound card or Gradio gives them, to mono at SAMPLE_RATE.

    Args:
        samples: (N,) or (N, channels); integers are taken at their full scale, unsigned 8-bit
            around 128, floats as -1..1.
        sample_rate: in Hz.
        limits: the bounds to keep.

    Raises:
        AudioError: the sound cannot be used; the text says why and what to do.
    """
    if samples.ndim not in (1, 2):
        raise AudioError(f"Samples must be (N,) or (N, channels), not {samples.shape}.")
    frames = samples[:, None] if samples.ndim == 1 else samples
    intake = Intake(sample_rate, frames.shape[1], limits)
    # One frame past the limit is enough to be refused, before anything long is converted.
    intake.take(_as_float32(frames[: int(limits.max_s * sample_rate) + 1]))
    return Waveform(intake.finish())


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Change the rate of samples (N,) or (N, channels), band-limited so that nothing aliases."""
    if from_hz == to_hz:
        return samples
    # Imported when it is needed: training on packed speech runs where it is not installed.
    import soxr

    resampled: np.ndarray = soxr.resample(samples, from_hz, to_hz)
    return resampled


def to_int16(waveform: Waveform) -> np.ndarray:
    """16-bit samples (N,); 16-bit sound that came in goes out as it was."""
    scaled = np.rint(waveform.samples * FULL_SCALE_INT16)
    pcm: np.ndarray = np.clip(scaled, -FULL_SCALE_INT16, FULL_SCALE_INT16 - 1).astype(np.int16)
    return pcm


def encode_wav(waveform: Waveform) -> bytes:
    """The bytes of a 16-bit mono WAV file."""
    buffer = BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(waveform.sample_rate)
        file.writeframes(to_int16(waveform).astype("<i2").tobytes())
    return buffer.getvalue()


def write_wav(waveform: Waveform, path: str | Path) -> None:
    """Save as a 16-bit mono WAV file."""
    Path(path).write_bytes(encode_wav(waveform))


def concatenate(waveforms: Sequence[Waveform]) -> Waveform:
    """Join sounds end to end, at the rate of the first; none give an empty one."""
    if not waveforms:
        return Waveform(np.zeros(0, np.float32))
    rate = waveforms[0].sample_rate
    parts = [resample(waveform.samples, waveform.sample_rate, rate) for waveform in waveforms]
    return Waveform(np.concatenate(parts), rate)


def _read(path: Path, limits: AudioLimits) -> bytes:
    """The content of a plain file, no more of it than the limit allows."""
    # A whole path would tell a visitor of the page where the server keeps its files.
    name = path.name or path
    try:
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise AudioError(f"{name} is not a file. Give the path of a sound file.")
        check_size(path.stat().st_size, limits)
        with path.open("rb") as file:
            data: bytes = file.read(limits.max_bytes + 1)
    except OSError as error:
        reason = error.strerror or error
        raise AudioError(f"{name} cannot be read ({reason}). Check the path.") from error
    return data


def _as_float32(samples: np.ndarray) -> np.ndarray:
    """Samples of any usual type as float32 of full scale 1."""
    kind = samples.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):  # becomes infinite, which is refused with its own words
            return samples.astype(np.float32)
    if kind in "iu" and samples.dtype.itemsize <= 4:
        half = 2 ** (8 * samples.dtype.itemsize - 1)
        centre = half if kind == "u" else 0
        scaled: np.ndarray = (samples.astype(np.float64) - centre) / half
        return scaled.astype(np.float32)
    raise AudioError(f"Samples of type {samples.dtype} are not sound. Give int16 or float32.")
