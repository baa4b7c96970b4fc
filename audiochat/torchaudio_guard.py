"""Lets transformers and Coqui import beside a torchaudio whose compiled part cannot load.

torchaudio's wheel on PyPI is built for CUDA, and beside a CPU torch `import torchaudio` fails;
transformers imports it whenever it is installed. Importing this module is all a caller does. It
imports neither torch nor torchaudio, and changes nothing where the plain import works.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import NoReturn

_EXTENSION = "torchaudio._extension"

_log = logging.getLogger(__name__)


def _refuse(function: Callable[..., object]) -> Callable[..., NoReturn]:
    """Replace a function of torchaudio that needs the compiled part by one that says so."""

    def refused(*_args: object, **_kwargs: object) -> NoReturn:
        msg = (
            f"torchaudio.{function.__name__} needs torchaudio's compiled part, which does not "
            "load beside this torch: install the torchaudio built for it."
        )
        raise RuntimeError(msg)

    return refused


class _ExtensionLoader(SourceFileLoader):
    """Runs torchaudio's own `_extension`, and marks it as unavailable where that fails."""

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except (OSError, RuntimeError) as error:  # a library is missing; CUDA versions differ
            _log.info("torchaudio runs without its compiled part: %s", error)
            module.__dict__.update(
                _IS_TORCHAUDIO_EXT_AVAILABLE=False,
                _IS_ALIGN_AVAILABLE=False,
                _check_cuda_version=lambda: None,
                fail_if_no_align=_refuse,
            )


class _ExtensionFinder(MetaPathFinder):
    """Finds `torchaudio._extension` where Python would, and hands it to `_ExtensionLoader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _EXTENSION:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _ExtensionLoader(fullname, spec.origin)
        return spec


def guard() -> None:
    """Put the finder in place, once; the import of this module has already done it."""
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ExtensionFinder())


guard()
