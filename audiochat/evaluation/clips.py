"""The clips of a manifest, decoded under limits, and the noise that is laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiochat.audio import RECORDING_LIMITS, SAMPLE_RATE, Waveform, decode
from audiochat.errors import AudioError, DataError
from audiochat.speech_data.manifest import Manifest, ManifestLine, read_manifest
from audiochat.speech_data.noise_bank import SOUND_FILES, is_room

ACTIVE_FRAME_S = 0.02

Noises = Sequence[np.ndarray]
"""The samples (N,) of sounds to lay over speech."""


@dataclass(frozen=True)
class Clip:
    """One clip that can be heard, with the line it came from."""

    name: str
    """Its `audio` field: the path under the audio root."""

    line: ManifestLine
    waveform: Waveform


@dataclass(frozen=True)
class ClipSet:
    """The clips that are good, and a sentence for each line that is not."""

    clips: tuple[Clip, ...]
    problems: tuple[str, ...]


def read_clips(manifest: Path, audio_root: Path, limit: int | None = None) -> ClipSet:
    """Read a manifest and decode its clips; `limit` keeps the first lines alone.

    Raises:
        DataError: More than 1 % of the lines are bad, or none is left.
    """
    read = read_manifest(manifest, audio_root, limit)
    clips: list[Clip] = []
    problems: list[str] = []
    for line in read.lines:
        name = line.audio.relative_to(audio_root).as_posix()
        try:
            clips.append(Clip(name, line, decode(line.audio, RECORDING_LIMITS)))
        except AudioError as error:
            problems.append(f"{manifest}:{line.number}: {name}: {error}")
    good = Manifest(tuple(clip.line for clip in clips), read.problems)
    return ClipSet(tuple(clips), good.with_problems(problems, str(manifest)).problems)


def read_noises(folder: Path) -> Noises:
    """Read the sounds of a folder, by name; rooms' impulse responses are no noise.

    Raises:
        DataError: The folder holds no noise, or a sound that cannot be decoded.
    """
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    noises = []
    for path in files:
        if path.suffix in SOUND_FILES and not is_room(path):
            try:
                noises.append(decode(path, RECORDING_LIMITS).samples)
            except AudioError as error:
                raise DataError(f"The noise {path} cannot be used: {error}") from error
    if not noises:
        raise DataError(f"{folder} holds no noise. Give a folder of sound files with --noise.")
    return noises


def lay_noise(waveforms: Iterable[Waveform], noises: Noises, snr_db: float) -> Iterator[Waveform]:
    """Lay noise over recordings, one at a time, as loud as the signal-to-noise ratio says.

    The ratio is to the speech alone: the mean power of the frames within 30 dB of the loudest.
    Which noise, and which part of it, is drawn from a seed, the same for every ratio.
    """
    rng = np.random.default_rng(0)
    for waveform in waveforms:
        noise = noises[int(rng.integers(len(noises)))]
        start = int(rng.integers(len(noise)))
        places = np.arange(start, start + len(waveform.samples))
        stretch = np.take(noise, places, mode="wrap")
        yield Waveform(mix(waveform.samples, stretch, snr_db))


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise (N,) to speech (N,) at a ratio to its active power, kept within full scale."""
    noise_power = float(np.mean(np.square(noise))) or 1.0
    gain = np.sqrt(active_power(speech) / noise_power * 10 ** (-snr_db / 10))
    mixed = speech + gain * noise
    mixed = mixed / max(1.0, float(np.abs(mixed).max()))
    return np.asarray(mixed, np.float32)


def active_power(speech: np.ndarray) -> float:
    """Mean power of the frames in which somebody speaks."""
    frame = int(ACTIVE_FRAME_S * SAMPLE_RATE)
    n_frames = max(1, len(speech) // frame)
    powers = np.square(speech[: n_frames * frame]).reshape(n_frames, -1).mean(axis=1)
    return float(powers[powers >= powers.max() * 1e-3].mean())
