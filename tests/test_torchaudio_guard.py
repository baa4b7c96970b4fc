"""The guard in fresh processes: what imports with it, and what it leaves alone."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from audiochat import torchaudio_guard


def fresh_process(code: str, *folders: Path) -> str:
    """Run code in a new interpreter that finds `folders` first; its standard output."""
    lines = [f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}"]
    source = "\n".join([*lines, textwrap.dedent(code)])
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(torchaudio_guard.__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fake_torchaudio(folder: Path, extension: str) -> Path:
    """A package named torchaudio whose `_extension` is the given source."""
    package = folder / "torchaudio"
    (package / "_extension").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import _extension\n")
    (package / "_extension" / "__init__.py").write_text(textwrap.dedent(extension))
    return folder


def test_llama_and_torchaudio_work_in_a_fresh_process() -> None:
    """transformers imports torchaudio whenever it is installed, whatever torch it was built for."""
    out = fresh_process(
        """
        import audiochat.torchaudio_guard
        from importlib.util import find_spec
        import torch
        from transformers import LlamaForCausalLM
        print(LlamaForCausalLM.__name__)
        if find_spec("torchaudio"):
            import torchaudio
            assert torchaudio.transforms.MelSpectrogram()(torch.zeros(1, 1600)).shape == (1, 128, 9)
        """
    )
    assert out == "LlamaForCausalLM"


def test_the_guard_imports_no_torch() -> None:
    out = fresh_process(
        """
        import audiochat.torchaudio_guard, sys
        print({"torch", "torchaudio"} & set(sys.modules))
        """
    )
    assert out == "set()"


@pytest.mark.parametrize("error", ["OSError", "RuntimeError"])
def test_a_compiled_part_that_fails_is_marked_unavailable(tmp_path: Path, error: str) -> None:
    folder = fake_torchaudio(tmp_path, f"raise {error}('libc10_cuda.so: cannot open')")
    out = fresh_process(
        """
        import audiochat.torchaudio_guard
        from torchaudio import _extension
        def forced_align(): pass
        try:
            _extension.fail_if_no_align(forced_align)()
        except RuntimeError as error:
            print(_extension._IS_TORCHAUDIO_EXT_AVAILABLE, "forced_align" in str(error))
        """,
        folder,
    )
    assert out == "False True"


def test_a_compiled_part_that_loads_is_left_alone(tmp_path: Path) -> None:
    folder = fake_torchaudio(
        tmp_path, "_IS_TORCHAUDIO_EXT_AVAILABLE = True; fail_if_no_align = 'its own'"
    )
    out = fresh_process(
        """
        import audiochat.torchaudio_guard
        from torchaudio import _extension
        print(_extension._IS_TORCHAUDIO_EXT_AVAILABLE, _extension.fail_if_no_align)
        """,
        folder,
    )
    assert out == "True its own"


def test_an_absent_torchaudio_stays_absent() -> None:
    spec = torchaudio_guard._ExtensionFinder().find_spec("torchaudio._extension", [])
    assert spec is None


def test_guarding_twice_puts_one_finder_in_place() -> None:
    torchaudio_guard.guard()
    finders = [f for f in sys.meta_path if isinstance(f, torchaudio_guard._ExtensionFinder)]
    assert len(finders) == 1
