"""Bytes of a sound file -> mono samples at SAMPLE_RATE, in blocks and under limits.

Files come from strangers: the content decides what they are, never the name; the header's length
is not believed, decoding stops when a limit is passed. No file is kept.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from audiochat.audio_limits import (
    MIB,
    SAMPLE_RATE,
    AudioLimits,
    check_format,
    check_size,
    check_usable,
    too_long,
)
from audiochat.errors import AudioError

BLOCK_FRAMES = 65_536
"""Frames decoded at a time: at most 2 MB of 8 channels."""

FFMPEG_TIMEOUT_S = 30.0
"""Ten minutes of sound take ffmpeg about a second; this is for a busy machine."""

READABLE = "WAV, FLAC, MP3, Ogg and Opus"

# The demuxer is named to ffmpeg, so that a playlist in disguise is never followed.
_FFMPEG_DEMUXERS = {"WebM": "matroska", "M4A/MP4": "mov", "AAC": "aac"}


def decode_samples(
    data: bytes, limits: AudioLimits, *, keep_rate: bool = False
) -> tuple[np.ndarray, int]:
    """Decode a whole sound file.

    Args:
        data: the file's content.
        limits: the bounds to keep.
        keep_rate: leave the file's own sample rate.

    Returns:
        (N,) float32 within -1..1, mono (mean of the channels), and its rate: SAMPLE_RATE unless
        the file's own is kept.

    Raises:
        AudioError: the sound cannot be used; the text says why and what to do.
    """
    check_size(len(data), limits)
    kind = _kind(data[:64])
    if kind in _FFMPEG_DEMUXERS:
        data = _to_wav(data, kind, limits)
    intake = _from_soundfile(data, kind, limits, keep_rate=keep_rate)
    return intake.finish(), intake.rate


class Intake:
    """Takes blocks of decoded sound, bounded, and gives mono samples at `rate`.

    Args:
        sample_rate: rate of the blocks, in Hz.
        n_channels: channels of the blocks.
        limits: the bounds to keep.
        keep_rate: give the samples at the rate of the blocks, not at SAMPLE_RATE.

    Raises:
        AudioError: the rate or the channels are outside the limits.
    """

    def __init__(
        self, sample_rate: int, n_channels: int, limits: AudioLimits, *, keep_rate: bool = False
    ) -> None:
        """Check the format and start empty."""
        check_format(sample_rate, n_channels, limits)
        self._limits = limits
        self._max_frames = int(limits.max_s * sample_rate)
        self._n_frames = 0
        self._n_bytes = 0
        self._pieces: list[np.ndarray] = []
        self.rate = sample_rate if keep_rate else SAMPLE_RATE
        self._resampler = None
        if sample_rate != self.rate:
            import soxr  # as late as in `audio.resample`

            self._resampler = soxr.ResampleStream(sample_rate, self.rate, 1, dtype="float32")

    def take(self, block: np.ndarray) -> None:
        """Add a block (frames, channels) of float32; raise AudioError once a limit is passed."""
        self._n_frames += len(block)
        self._n_bytes += block.nbytes
        if self._n_frames > self._max_frames:
            raise too_long(self._limits)
        if self._n_bytes > self._limits.max_decoded_bytes:
            raise AudioError(
                f"The sound unpacks to more than {self._limits.max_decoded_bytes / MIB:g} MB. "
                "Save it again as mono at 16000 or 48000 Hz."
            )
        if not np.isfinite(block).all():
            raise AudioError(
                "The sound holds values that are not numbers (NaN or infinite), so it is damaged. "
                "Record it again, or save it as 16-bit WAV or FLAC."
            )
        mono = block.mean(axis=1, dtype=np.float32)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono)
        self._pieces.append(mono)

    def finish(self) -> np.ndarray:
        """The whole sound (N,), scaled down where it passed full scale, checked to be usable."""
        if self._resampler is not None and self._n_frames:
            rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            self._pieces.append(rest)
        samples = np.concatenate([*self._pieces, np.zeros(0, np.float32)])
        self._pieces.clear()
        peak = float(np.abs(samples).max(initial=0.0))
        if peak > 1.0:
            samples /= peak
        check_usable(samples, self._limits, self.rate)
        return samples


def _kind(head: bytes) -> str:
    """Tell the kind of file from its first bytes; raise AudioError if it is not a known sound."""
    if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"fLaC":
        return "FLAC"
    if head[:4] == b"OggS":
        return "Ogg"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "WebM"
    if head[4:8] == b"ftyp":
        return "M4A/MP4"
    if head[:3] == b"ID3":
        return "MP3"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "MP3" if head[1] & 0x06 else "AAC"
    what = "is text, not sound" if _is_text(head) else "is not a sound file that can be read"
    raise AudioError(f"The file {what}. Send {READABLE}, or record with the microphone.")


def _is_text(head: bytes) -> bool:
    """Whether the bytes are printable ASCII."""
    return all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in head)


def _damaged(kind: str) -> AudioError:
    """The error for a file that starts like its kind and then breaks off or lies."""
    return AudioError(
        f"The file looks like {kind} but is damaged or of a sort that cannot be read. "
        f"Record it again, or save it anew as {READABLE}."
    )


def _from_soundfile(data: bytes, kind: str, limits: AudioLimits, *, keep_rate: bool) -> Intake:
    """Decode with libsndfile, block by block."""
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            intake = Intake(file.samplerate, file.channels, limits, keep_rate=keep_rate)
            block = np.empty((BLOCK_FRAMES, file.channels), np.float32)
            while len(filled := file.read(out=block)):
                intake.take(filled)
    except soundfile.SoundFileError as error:
        raise _damaged(kind) from error
    return intake


def _to_wav(data: bytes, kind: str, limits: AudioLimits) -> bytes:
    """Let the ffmpeg program turn a file into WAV at SAMPLE_RATE, its channels kept."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(
            f"The file is {kind}, which needs the program ffmpeg, and that is not installed. "
            f"Install ffmpeg (ffmpeg.org), or send {READABLE}."
        )
    with tempfile.TemporaryDirectory(prefix="audiochat-") as folder:
        # A file, not a pipe: M4A often keeps its index at the end, and ffmpeg must seek to it.
        path = Path(folder) / "sound"
        path.write_bytes(data)
        return _run_ffmpeg([ffmpeg, *_ffmpeg_arguments(path, kind, limits)], kind)


def _ffmpeg_arguments(path: Path, kind: str, limits: AudioLimits) -> list[str]:
    """Arguments that read one local file of a named kind and stop just past the limit."""
    stop_s = limits.max_s + 1.0
    most_bytes = int(stop_s * SAMPLE_RATE) * limits.max_channels * 2
    return [
        *("-hide_banner", "-loglevel", "quiet", "-nostdin", "-threads", "1"),
        *("-max_alloc", f"{64 * MIB}"),
        *("-protocol_whitelist", "file,pipe", "-f", _FFMPEG_DEMUXERS[kind]),
        *("-t", f"{stop_s:g}", "-i", f"file:{path}"),
        *("-map", "0:a:0", "-ar", f"{SAMPLE_RATE}", "-fs", f"{most_bytes}"),
        *("-c:a", "pcm_s16le", "-f", "wav", "pipe:1"),
    ]


def _run_ffmpeg(command: list[str], kind: str) -> bytes:
    """Run ffmpeg and give what it wrote; it and its children are gone when this returns."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=FFMPEG_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise _damaged(kind) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        raise _damaged(kind)
    return output
