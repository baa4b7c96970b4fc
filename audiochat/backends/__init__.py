"""The table of backends, each loaded only when it is asked for."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import cast

from audiochat.backends.base import Backend, Progress
from audiochat.errors import MissingPartError, ModelError

BACKENDS = {
    "embedded": "audiochat.backends.audiochat_llama:load",
    "cascade": "audiochat.backends.audiochat_llama:load_cascade",
    "end-to-end": "audiochat.backends.audiochat_llama:load_end_to_end",
}
"""Name -> module:function; the function takes `name` and the keywords `weights` and `progress`."""


def names() -> list[str]:
    """Return the names `load_backend` knows; it also takes the path of a checkpoint folder."""
    return list(BACKENDS)


def check_name(name: str) -> None:
    """Raise ModelError for a name that no backend and no folder has; loads nothing."""
    if name not in BACKENDS and not Path(name).is_dir():
        raise ModelError(_unknown(name))


def load_backend(
    name: str = "embedded", *, beside: str = "embedded", progress: Progress | None = None
) -> Backend:
    """Load the backend of that name, or the AudioChatLlama checkpoint in that folder.

    Args:
        name: one of `names()`, or a folder.
        beside: the model that it is compared with: a cascade is of the ear and LLM of that one.
        progress: told how the loading goes on.

    Raises:
        ModelError: no such backend, or its weights cannot be had.
        MissingPartError: a package that this backend needs is not installed.
    """
    check_name(name)
    target = BACKENDS.get(name)
    if target is None:
        target, beside = BACKENDS["embedded"], name
    weights = "embedded" if name == "embedded" or beside in BACKENDS else beside
    module_name, function = target.split(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise MissingPartError(
            f"The model {name!r} cannot start: {error}. Install what requirements.txt lists."
        ) from error
    return cast(Backend, getattr(module, function)(name, weights=weights, progress=progress))


def _unknown(name: str) -> str:
    near = get_close_matches(name, BACKENDS, n=2) or names()
    return (
        f"There is no model {name!r}, and no folder of that name. "
        f"Try {' or '.join(map(repr, near))}, or the folder of a checkpoint."
    )
