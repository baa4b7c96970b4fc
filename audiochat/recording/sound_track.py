"""The sounds of a timeline as one track: what the page plays and the video shows."""

from io import BytesIO

import numpy as np
import soundfile

from audiochat.audio import FULL_SCALE_INT16, SAMPLE_RATE, Waveform, resample, to_int16
from audiochat.conversation import Role
from audiochat.recording.timeline import Timeline

CHANNELS: dict[Role, int] = {"user": 0, "assistant": 1}


def mixed(timeline: Timeline) -> tuple[np.ndarray, int]:
    """Lay every sound at its place.

    Returns:
        (N, 2) int16, the person left and the model right, as long as the timeline; and their rate,
        the highest of the sounds', so that none loses quality.
    """
    rate = max([SAMPLE_RATE, *(sound.waveform.sample_rate for sound in timeline.sounds)])
    track = np.zeros((round(timeline.duration_s * rate), 2), np.int16)
    for sound in timeline.sounds:
        # As the sound files hold it, so that what is read back gives the same track.
        kept = to_int16(sound.waveform).astype(np.float32) / FULL_SCALE_INT16
        samples = resample(kept, sound.waveform.sample_rate, rate)
        start = round(sound.start_s * rate)
        # Rounding may give the last sound a sample more than the track.
        room = track[start : start + len(samples), CHANNELS[sound.role]]
        room[:] = to_int16(Waveform(samples, rate))[: len(room)]
    return track, rate


def encoded(timeline: Timeline) -> bytes:
    """Both voices in one channel, as FLAC: half the bytes of WAV, and every browser plays it."""
    track, rate = mixed(timeline)
    buffer = BytesIO()
    # The two never speak at once, so their sum is in range.
    soundfile.write(buffer, track.sum(axis=1, dtype=np.int16), rate, "PCM_16", format="FLAC")
    return buffer.getvalue()
