"""A run's checkpoint: one file, replaced whole. It is the user's own, and read as weights only."""

import logging
import os
import pickle
from pathlib import Path
from typing import Any, TypeAlias

import torch

from audiochat.errors import DataError

log = logging.getLogger(__name__)

State: TypeAlias = dict[str, Any]

_NAME = "checkpoint.pt"


def read(folder: Path) -> State | None:
    """The checkpoint in a run's folder, None if it has none.

    Raises:
        DataError: it is damaged.
    """
    path = folder / _NAME
    if not path.exists():
        return None
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path} is damaged ({error}). Delete it to begin this run again."
        ) from error
    return state


def write(folder: Path, state: State) -> None:
    """Write the checkpoint; when it cannot be, the last one stays, and a warning says so."""
    path = folder / _NAME
    unfinished = path.with_suffix(".part")
    try:
        with unfinished.open("wb") as handle:
            torch.save(state, handle)
            handle.flush()
            os.fsync(handle.fileno())  # or a loss of power may leave the new name without content
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:
        log.warning("the checkpoint could not be written (%s); the last one stays", error)
        unfinished.unlink(missing_ok=True)
