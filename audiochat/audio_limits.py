"""Which sound is taken in: the working rate, and the bounds that a stranger's file must keep.

The checks here know lengths, rates and levels; reading files is audio_decoding's work.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from audiochat.errors import AudioError

SAMPLE_RATE = 16_000
"""Samples a second of every sound the model hears."""

# The loudest 50 ms of the quietest of 861 human clips (two corpora, telephone and headset) lie at
# -39 dB of full scale; a muted microphone leaves noise below -70 dB. Loudest rather than whole, so
# that one word in a minute of quiet still counts as speech.
SILENCE_DB = -60.0
SILENCE_FRAME_S = 0.05


@dataclass(frozen=True)
class AudioLimits:
    """Bounds on one sound, from its bytes as sent to its samples as heard."""

    max_bytes: int
    """Largest file, as sent."""

    max_s: float
    """Longest sound."""

    max_decoded_bytes: int
    """Most bytes of float32 samples, all channels, that are decoded before giving up."""

    min_s: float = 0.2
    """Shortest sound; a spoken "yes" takes about 0.25 s."""

    max_channels: int = 8
    """Most channels, mixed down to one."""

    min_rate: int = 4_000
    """Lowest sample rate, in Hz."""

    max_rate: int = 192_000
    """Highest sample rate, in Hz."""

    silence_db: float = SILENCE_DB
    """A sound whose loudest 50 ms are quieter is refused; minus infinity takes silence too."""


MIB = 2**20
TURN_LIMITS = AudioLimits(max_bytes=25 * MIB, max_s=120.0, max_decoded_bytes=256 * MIB)
"""For one spoken turn. The decoded bytes hold 120 s of stereo at 192 kHz."""

RECORDING_LIMITS = AudioLimits(max_bytes=120 * MIB, max_s=600.0, max_decoded_bytes=512 * MIB)
"""For a recording brought along. The file may be 600 s of 16-bit stereo at 48 kHz; the decoded
bytes, of which only the mono samples are kept, hold 600 s of stereo at 96 kHz."""

REPLY_LIMITS = replace(RECORDING_LIMITS, min_s=0.0, max_rate=48_000, silence_db=-math.inf)
"""For a voice's reply that was saved: it may be a short breath, or silent."""


def check_size(n_bytes: int, limits: AudioLimits) -> None:
    """Raise AudioError for a file of no bytes or too many."""
    if n_bytes == 0:
        raise AudioError("The file is empty (0 bytes). Record again, or choose another file.")
    if n_bytes > limits.max_bytes:
        raise AudioError(
            f"The file has {n_bytes / MIB:.1f} MB; at most {limits.max_bytes / MIB:g} MB can be "
            "taken. Send a shorter recording, or save it as FLAC, Ogg or MP3."
        )


def check_format(sample_rate: int, n_channels: int, limits: AudioLimits) -> None:
    """Raise AudioError for a sample rate or a number of channels outside the limits."""
    if not limits.min_rate <= sample_rate <= limits.max_rate:
        raise AudioError(
            f"The sound claims a sample rate of {sample_rate} Hz; {limits.min_rate} to "
            f"{limits.max_rate} Hz can be read. Save it again at 16000 or 48000 Hz."
        )
    if not 1 <= n_channels <= limits.max_channels:
        raise AudioError(
            f"The sound has {n_channels} channels; 1 to {limits.max_channels} can be read. "
            "Save it again as mono or stereo."
        )


def too_long(limits: AudioLimits) -> AudioError:
    """The error for a sound that goes on after its time is up."""
    return AudioError(
        f"The sound is longer than {limits.max_s:g} s, the most that can be taken here. "
        "Send a shorter recording, or cut it into parts."
    )


def check_usable(samples: np.ndarray, limits: AudioLimits, sample_rate: int = SAMPLE_RATE) -> None:
    """Raise AudioError for a sound too short or too quiet to hold speech.

    Args:
        samples: (N,) float32.
        limits: the bounds to keep.
        sample_rate: of the samples, in Hz.
    """
    if len(samples) == 0:
        raise AudioError("The file holds no sound. Record again, or choose another file.")
    duration_s = len(samples) / sample_rate
    if duration_s < limits.min_s:
        raise AudioError(
            f"The sound lasts {duration_s:.2g} s; at least {limits.min_s:g} s are needed to hear "
            "a word. Hold the recording longer and try again."
        )
    if _loudest_db(samples, sample_rate) < limits.silence_db:
        raise AudioError(
            "The recording is silent: nothing in it is louder than a switched-off microphone. "
            "Check that the right microphone is chosen and not muted, then record again."
        )


def _loudest_db(samples: np.ndarray, sample_rate: int) -> float:
    """RMS level of the loudest frame, in dB of full scale."""
    frame = int(SILENCE_FRAME_S * sample_rate)
    n_frames = max(1, len(samples) // frame)
    squares = np.square(samples[: n_frames * frame])
    power = float(squares.reshape(n_frames, -1).mean(axis=1).max())
    return 10.0 * float(np.log10(max(power, 1e-20)))
