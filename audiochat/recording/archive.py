"""Zip files: one is written of a recording's files, and a stranger's is read without trusting it.

Nothing is ever unpacked to the disk, and nothing is unpacked that is not asked for.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO

from audiochat.errors import DataError

MAX_ZIP_BYTES = 1024 * 2**20
MAX_ENTRIES = 5_000
MAX_DIRECTORY_BYTES = 2**20
"""The list of entries; 5,000 of them with names of 100 characters have 0.7 MB."""

MAX_NAME_CHARS = 200
MAX_UNPACKED_BYTES = 2048 * 2**20
MAX_RATIO = 200
"""Most that an entry may grow. Speech grows by 1.2, a list of words by 15, a bomb by 1,000."""

SMALL_BYTES = 2**20
"""Below this size an entry may grow as it likes."""

_END = b"PK\x05\x06"
_END64 = b"PK\x06\x07"
_END_BYTES = 22
_MAX_COMMENT_BYTES = 2**16

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)
"""What Python's reader raises for damaged or unusual archives."""


def write_zip(path: Path, files: Mapping[str, bytes], created: datetime) -> None:
    """Pack files by their names, all dated `created`: the same files give the same zip."""
    date = created.timetuple()[:6] if 1980 <= created.year < 2108 else (1980, 1, 1, 0, 0, 0)
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, date)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            # Sound hardly shrinks.
            sound = name.endswith(".wav")
            info.compress_type = zipfile.ZIP_STORED if sound else zipfile.ZIP_DEFLATED
            packed.writestr(info, content)


class Archive:
    """A zip file whose entries have been looked at, each of which can be read once or more.

    Raises:
        DataError: it is damaged, too large, or holds anything that a recording never does.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        file = path.open("rb")
        try:
            self._check_directory(file)
            self._zip = zipfile.ZipFile(file)
            self._entries = self._checked(self._zip.infolist())
        except _UNREADABLE as error:
            file.close()
            raise self._wrong("it is damaged, or no zip file") from error
        except DataError:
            file.close()
            raise
        self._file = file

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def read(self, name: str, max_bytes: int) -> bytes:
        """The content of an entry of at most `max_bytes`, whatever the archive says of its size."""
        entry = self._entries.get(name)
        if entry is None:
            raise self._wrong(f"there is no {name} in it")
        if entry.file_size > max_bytes:
            raise self._wrong(f"{name} unpacks to more than {max_bytes / 2**20:g} MB")
        try:
            with self._zip.open(entry) as file:
                # Zip's reader ends at the size the directory tells, and checks the sum there.
                content: bytes = file.read(max_bytes + 1)
        except _UNREADABLE as error:
            raise self._wrong(f"{name} is damaged") from error
        if len(content) > max_bytes:
            raise self._wrong(f"{name} unpacks to more than {max_bytes / 2**20:g} MB")
        return content

    def _check_directory(self, file: IO[bytes]) -> None:
        """Refuse a long list of entries before Python makes objects of it."""
        size = file.seek(0, 2)
        if size > MAX_ZIP_BYTES:
            raise self._wrong(f"it has more than {MAX_ZIP_BYTES / 2**20:g} MB")
        file.seek(max(0, size - _END_BYTES - _MAX_COMMENT_BYTES - len(_END64) - 16))
        tail = file.read()
        # zipfile takes a record at the very end, else the last one it finds.
        ends = {tail.rfind(_END), len(tail) - _END_BYTES if _END in tail[-_END_BYTES:] else -1}
        for end in ends - {-1}:
            if tail[max(0, end - 20) :].startswith(_END64):
                raise self._wrong("it is of the kind for huge archives")
            record = tail[end : end + _END_BYTES]
            if len(record) == _END_BYTES:
                (directory_bytes,) = struct.unpack_from("<L", record, 12)
                if directory_bytes > MAX_DIRECTORY_BYTES:
                    raise self._wrong(f"it has more than {MAX_ENTRIES} entries")

    def _checked(self, entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        """The files by name, once every entry is one that a recording may hold."""
        if len(entries) > MAX_ENTRIES:
            raise self._wrong(f"it has more than {MAX_ENTRIES} entries")
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
            raise self._wrong(f"it unpacks to more than {MAX_UNPACKED_BYTES / 2**20:g} MB")
        names: dict[str, zipfile.ZipInfo] = {}
        folded: set[str] = set()
        for entry in entries:
            problem = _problem(entry)
            if not problem and entry.filename.casefold() in folded:
                problem = "a name stands twice"
            if problem:
                raise self._wrong(f"{problem} ({_quoted(entry.filename)})")
            names[entry.filename] = entry
            folded.add(entry.filename.casefold())
        return names

    def _wrong(self, what: str) -> DataError:
        return DataError(
            f"{self._name} cannot be taken: {what}. Give a conversation.zip as it was recorded."
        )


def is_inside(name: str) -> bool:
    """Whether a path of an archive or a document stays in its folder on every system.

    One that is too long or cannot be printed, and so not be named in an error, counts as outside.
    """
    plain = name.isprintable() and len(name) <= MAX_NAME_CHARS and not set(name) & set("\\:")
    parts = PurePosixPath(name).parts
    return plain and bool(parts) and not name.startswith("/") and ".." not in parts


def _problem(entry: zipfile.ZipInfo) -> str:
    """Why an entry is refused, or ""."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    # `orig_filename` has what comes behind a NUL too.
    if not is_inside(entry.orig_filename):
        return "an entry's name leads out of its folder or cannot be shown"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "an entry is a link or a device"
    if entry.flag_bits & 0x41:
        return "an entry is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "an entry is packed in an unusual way"
    if entry.file_size > max(SMALL_BYTES, MAX_RATIO * entry.compress_size):
        return "an entry unpacks to far more than it holds"
    return ""


def _quoted(name: str) -> str:
    """A stranger's name, safe to print and not too long."""
    return ascii(name if len(name) <= 60 else name[:57] + "...")
