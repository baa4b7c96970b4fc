"""Reads a recording back from its JSON file or its zip, which may come from anyone.

Nothing is written, and nothing outside the zip or the JSON's own folder is read.
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from audiochat.audio import RECORDING_LIMITS, REPLY_LIMITS, AudioLimits, Waveform, decode
from audiochat.errors import AudioError, DataError
from audiochat.recording import Recording
from audiochat.recording.archive import Archive, is_inside
from audiochat.recording.document import NAME, recording_from
from audiochat.recording.json_values import MAX_JSON_BYTES

MAX_SOUND_S = 7_200.0
"""Of all sounds together: two hours, 0.6 GB once decoded."""


class Files(Protocol):
    """Where the files of a recording lie."""

    def read(self, name: str, max_bytes: int) -> bytes:
        """The content of a file; DataError where it is absent or larger than `max_bytes`."""


class Folder:
    """The files beside a JSON file."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def read(self, name: str, max_bytes: int) -> bytes:
        """The content of a plain file inside the folder, links followed."""
        try:
            path = (self._root / name).resolve()
        except (OSError, RuntimeError) as error:
            raise DataError(f"{name} is a link that leads nowhere. Give the sound itself.") from (
                error
            )
        if not path.is_relative_to(self._root):
            raise DataError(f"{name} lies outside the folder of {NAME}. Put it beside it.")
        return _read(path, name, max_bytes)


class Sounds:
    """Decodes the sounds of a document, each once, all of them within `MAX_SOUND_S`."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen: set[str] = set()
        self._left_s = MAX_SOUND_S

    def recording(self, path: str) -> Waveform:
        """What a person said, at SAMPLE_RATE."""
        return self._take(path, RECORDING_LIMITS, keep_rate=False)

    def reply(self, path: str) -> Waveform:
        """What a voice said, at its own rate."""
        return self._take(path, REPLY_LIMITS, keep_rate=True)

    def _take(self, path: str, limits: AudioLimits, *, keep_rate: bool) -> Waveform:
        if not is_inside(path):
            raise DataError(f"{NAME} names the sound {path[:60]!a}, which is not beside it.")
        if path in self._seen:
            raise DataError(f"{NAME} names the sound {path[:60]!a} twice. Give it as recorded.")
        self._seen.add(path)
        try:
            sound = decode(self._files.read(path, limits.max_bytes), limits, keep_rate=keep_rate)
        except AudioError as error:
            raise AudioError(f"{path}: {error}") from error
        self._left_s -= sound.duration_s
        if self._left_s < 0:
            raise AudioError(
                f"The sounds last more than {MAX_SOUND_S / 3600:g} hours together. "
                "Record in shorter conversations."
            )
        return sound


def read(path: Path) -> Recording:
    """Read what `folder.write` wrote: a conversation.json with its sounds beside it, or the zip.

    The content decides which of the two it is, not the name.

    Raises:
        AudioChatError: it is not a recording of this program, damaged, or made to do harm.
    """
    with _opened(path) as (files, name):
        return recording_from(files.read(name, MAX_JSON_BYTES), Sounds(files), name)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Files, str]]:
    """The files of a recording, and which of them is the document."""
    if _head(path) != b"PK":
        path = path.resolve()  # the sounds lie beside the file itself, not beside a link to it
        yield Folder(path.parent), path.name
        return
    archive = Archive(path)
    try:
        yield archive, NAME
    finally:
        archive.close()


def _head(path: Path) -> bytes:
    """The first two bytes of a plain file."""
    try:
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path} is not a file. Give a conversation.json or conversation.zip.")
        with path.open("rb") as file:
            return file.read(2)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({reason}). Check the path.") from error


def _read(path: Path, name: str, max_bytes: int) -> bytes:
    """The content of a plain file of at most `max_bytes`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{name} is not a file. Give the recording as it was written.")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise DataError(
            f"{name} cannot be read ({error.strerror or error}). Give the recording as it was "
            "written, with the sounds beside its JSON file."
        ) from error
    if len(content) > max_bytes:
        raise DataError(f"{name} has more than {max_bytes / 2**20:g} MB, more than can be taken.")
    return content
