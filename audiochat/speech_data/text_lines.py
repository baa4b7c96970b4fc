"""Text lines to be spoken: read from files, tidied, each with the words that are said."""

import gzip
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audiochat.errors import DataError
from audiochat.speech_data.spoken_form import spoken_form, tidy

MAX_CHARACTERS = 220
"""Longer lines are left out: 220 characters are about 16 s of speech."""


@dataclass(frozen=True)
class SpokenLine:
    """A text line with both its forms."""

    text: str
    spoken: str
    source: str


def read_text_lines(
    paths: list[Path], *, cap: int | None, seed: int, caps: Mapping[str, int] | None = None
) -> list[SpokenLine]:
    """Read JSONL (or .gz) files of ``{"text": ...}``, shuffled, at most `cap` lines from each.

    `caps` gives some files, by their name without endings, a cap of their own.

    Raises:
        DataError: a file cannot be read, or is an evaluation file, which must not be trained on.
    """
    lines: list[SpokenLine] = []
    for path in paths:
        source = path.name.split(".")[0]
        if source.startswith("eval_"):
            raise DataError(f"{path} is an evaluation file: leave it out of training.")
        found = list(_usable_lines(path, source))
        random.Random(f"{seed}/{source}").shuffle(found)
        lines += found[: (caps or {}).get(source, cap)]
    random.Random(seed).shuffle(lines)
    return lines


def _usable_lines(path: Path, source: str) -> Iterator[SpokenLine]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as handle:
            rows = handle.read().split("\n")
        texts = [json.loads(row)["text"] for row in rows if row.strip()]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a file of JSON lines with `text` ({error}).") from error
    for text in texts:
        written = tidy(str(text))
        spoken = spoken_form(written)
        if len(spoken) > 1 and len(spoken) <= MAX_CHARACTERS:
            yield SpokenLine(written, spoken, source)
