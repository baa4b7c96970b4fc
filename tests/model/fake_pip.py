"""Stands in for pip: `python -m pip download` fetches from a folder, slowly, or fails as told."""

from pathlib import Path

import pytest

SOURCE = """
import os, pathlib, shutil, sys, time

log = pathlib.Path(os.environ["FAKE_PIP_LOG"])
log.write_text((log.read_text() if log.exists() else "") + " ".join(sys.argv[1:]) + "\\n")
said = os.environ.get("FAKE_PIP_SAYS")
if said:
    sys.exit(said)
wheel = pathlib.Path(os.environ["FAKE_PIP_WHEEL"])
growing = pathlib.Path(os.environ["TMPDIR"]) / "pip-unpack-x" / wheel.name
growing.parent.mkdir()
content = wheel.read_bytes()
with growing.open("wb") as file:
    for part in range(4):
        file.write(content[part * len(content) // 4 : (part + 1) * len(content) // 4])
        file.flush()
        time.sleep(float(os.environ.get("FAKE_PIP_SLEEP_S", "0")))
shutil.copy(growing, sys.argv[sys.argv.index("--dest") + 1])
"""


class FakePip:
    """What the fake was told, and the calls it got."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        """Puts the fake before the real pip, for subprocesses."""
        self.monkeypatch = monkeypatch
        self.log = folder / "pip-calls.txt"
        package = folder / "fake" / "pip"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(SOURCE)
        monkeypatch.setenv("PYTHONPATH", str(package.parent))
        monkeypatch.setenv("FAKE_PIP_LOG", str(self.log))

    def serves(self, wheel: Path, *, sleep_s: float = 0.0) -> None:
        """Makes it fetch this file, pausing after each quarter."""
        self.monkeypatch.setenv("FAKE_PIP_WHEEL", str(wheel))
        self.monkeypatch.setenv("FAKE_PIP_SLEEP_S", str(sleep_s))
        self.monkeypatch.delenv("FAKE_PIP_SAYS", raising=False)

    def fails(self, saying: str) -> None:
        """Makes it write this to its error stream and fail."""
        self.monkeypatch.setenv("FAKE_PIP_SAYS", saying)

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        return self.log.read_text().splitlines() if self.log.exists() else []
