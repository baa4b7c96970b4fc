"""The page as a process of its own, to be measured from outside: started, asked, ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from audiochat.errors import MissingPartError, ModelError

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
"""How long the page may take to come up before the measurement gives up."""


@dataclass(frozen=True)
class Page:
    """A running page."""

    url: str
    process: psutil.Process
    up_s: float
    """Seconds from starting the program to the page's first answer."""

    def ask(self, recording: bytes) -> str:
        """Ask by voice through the page's `/chat`, which waits for the model; return the reply."""
        from gradio_client import Client, handle_file

        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            file.write(recording)
            file.flush()
            client = Client(self.url, verbose=False)
            reply = client.predict(audio=handle_file(file.name), text="", api_name="/chat")
            client.close()
        return str(reply[0])

    def resident_mb(self) -> float:
        """Memory of the process and its children, in MB of 10⁶ bytes."""
        family = [self.process, *self.process.children(recursive=True)]
        return float(sum(member.memory_info().rss for member in family)) / 1e6


@contextmanager
def page() -> Iterator[Page]:
    """Start `python app.py` on a free port of this machine and end it afterwards.

    Raises:
        MissingPartError: app.py is not beside the package.
        ModelError: The page did not come up.
    """
    program = ROOT / "app.py"
    if not program.is_file():
        raise MissingPartError(
            "The page is measured from a clone of the project, where app.py is. "
            "Clone it, or leave page_up_s and resident_mb out with --only."
        )
    port = _free_port()
    url = f"http://127.0.0.1:{port}/"
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        running = subprocess.Popen(
            [sys.executable, str(program), "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            while not _answers(url):
                if running.poll() is not None or time.perf_counter() - start > PATIENCE_S:
                    log.seek(0)
                    last = log.read().decode(errors="replace").strip().splitlines()[-1:]
                    raise ModelError(f"The page did not come up: {' '.join(last) or 'no answer'}.")
                time.sleep(0.05)
            yield Page(url, psutil.Process(running.pid), time.perf_counter() - start)
        finally:
            running.terminate()
            running.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=10) as response:
            return bool(response.status == 200)
    except (URLError, ConnectionError, TimeoutError):
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
