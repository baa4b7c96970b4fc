"""Recorded noises and rooms, read once from a folder, and cut from at random."""

from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from audiochat.audio import SAMPLE_RATE, resample
from audiochat.errors import DataError
from audiochat.speech_data.channels import ROOM_SAMPLES
from audiochat.speech_data.draws import Draws

SOUND_FILES = frozenset({".flac", ".wav", ".ogg"})


@dataclass
class NoiseBank:
    """Noises end to end, and rooms side by side, on the device they were last asked for on."""

    noise: Tensor
    """(N,)"""
    rooms: Tensor
    """(R, ROOM_SAMPLES), of unit energy; R may be 0."""

    def cuts(self, length: int, count: int, draws: Draws, device: torch.device) -> Tensor:
        """(count, length) noises, each from a place of its own."""
        self.noise = noise = self.noise.to(device)
        if len(noise) <= length:  # not for good: the draws must not depend on earlier batches
            noise = noise.repeat(length // len(noise) + 1)
        starts = draws.below(len(noise) - length, count).to(device)
        return noise.unfold(0, length, 1)[starts]

    def some_rooms(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """(count, ROOM_SAMPLES) recorded rooms."""
        self.rooms = self.rooms.to(device)
        return self.rooms[draws.below(len(self.rooms), count).to(device)]


def is_room(path: Path) -> bool:
    """Whether a sound file of a noise folder is a room's impulse response, by its name."""
    return "rir" in path.name


def load_noise_bank(folder: Path | None, draws: Draws) -> NoiseBank:
    """Read a folder's sounds (names with ``rir`` are rooms); white noise for want of any.

    Raises:
        DataError: the folder cannot be read, or holds no sound.
    """
    noises: list[Tensor] = []
    rooms: list[Tensor] = []
    for path in _sound_files(folder) if folder else []:
        sound = _read(path)
        (rooms if is_room(path) else noises).append(sound)
    # A minute is as good as any longer: it is not heard as repeating.
    noise = torch.cat(noises) if noises else draws.noise(60 * SAMPLE_RATE) * 0.05
    beside = torch.zeros(len(rooms), ROOM_SAMPLES)
    for row, room in zip(beside, rooms, strict=True):
        cut = room[:ROOM_SAMPLES]
        row[: len(cut)] = cut / cut.norm()
    return NoiseBank(noise, beside)


def _sound_files(folder: Path) -> list[Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in SOUND_FILES)
    except OSError as error:
        raise DataError(f"The noise folder {folder} cannot be read ({error.strerror}).") from error
    if not files:
        raise DataError(f"{folder} holds no noise (.flac, .wav or .ogg).")
    return files


def _read(path: Path) -> Tensor:
    # Read plainly: a room's impulse or a hum would pass for silence at the person's border.
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"The noise {path} cannot be read ({error}). Take it away.") from error
    sound: Tensor = torch.from_numpy(resample(samples.mean(1), rate, SAMPLE_RATE).copy())
    return sound
