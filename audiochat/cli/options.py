"""What the commands share: flags made from the fields of settings, and progress on the terminal.

Also checks that a result can be saved where it is wanted. Knows no command; the commands say which
settings they take.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import sys
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from audiochat.errors import AudioChatError, DataError

Settings = TypeVar("Settings")


def add_settings(parser: argparse.ArgumentParser, kind: type[Any]) -> None:
    """Give the parser one flag for each field of the dataclass `kind`; defaults are the class's."""
    group = parser.add_argument_group(kind.__name__.lower())
    hints, documented = get_type_hints(kind), field_docs(kind)
    for field in fields(kind):
        hint = next((t for t in get_args(hints[field.name]) if t is not type(None)), None)
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            type=hint or hints[field.name],
            default=field.default,
            metavar="N",
            help=documented.get(field.name, "").replace("%", "%%") + " (default: %(default)s)",
        )


def settings_from(
    options: argparse.Namespace, kind: type[Settings], parser: argparse.ArgumentParser
) -> Settings:
    """Return the settings that the parsed flags describe; one out of range is wrong usage."""
    given = {field.name: getattr(options, field.name) for field in fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**given)
    except AudioChatError as error:
        parser.error(str(error))


def check_output(path: Path | None) -> None:
    """Make sure that a file can be saved there, before the work that it is to hold is done.

    Raises:
        DataError: It is a folder, or its folder is absent or not writable.
    """
    if path is None:
        return
    if path.is_dir():
        raise DataError(f"{path} is a folder. Give the name of a file in it.")
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {path.parent} to save {path.name} in. Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"Nothing may be saved in {path.parent}. Choose a folder that is yours.")


def field_docs(kind: type[Any]) -> dict[str, str]:
    """The docstrings that stand under the fields of a class, by the field's name."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    documented = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            documented[field.target.id] = " ".join(str(after.value.value).split())
    return documented


def show_progress(sentence: str, done: float | None) -> None:
    """Tell on standard error how far a download or conversion is; one line on a terminal."""
    percent = "" if done is None else f" {done:.0%}"
    if sys.stderr.isatty():
        print(f"\r\033[K{sentence}{percent}", end="", file=sys.stderr, flush=True)
        if done is not None and done >= 1:
            print(file=sys.stderr)
    elif done is None or done >= 1:
        print(f"{sentence}{percent}", file=sys.stderr)
