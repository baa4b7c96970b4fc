"""The recorded questions that a visitor can ask with one press: the clips in `assets/examples`."""

import json
from pathlib import Path

from audiochat.ui.page import Example

PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE.parent / "assets" / "examples", PACKAGE / "assets" / "examples")
"""In a clone, and inside the installed package."""


def example_clips() -> tuple[Example, ...]:
    """Return the clips of the manifest that are there; none where the folder is missing."""
    for folder in FOLDERS:
        manifest = folder / "manifest.jsonl"
        if manifest.is_file():
            rows = map(json.loads, manifest.read_text(encoding="utf-8").splitlines())
            examples = [Example(folder / row["audio"], row["text"]) for row in rows]
            return tuple(example for example in examples if example.path.is_file())
    return ()
