"""Manifests: JSON lines naming sound files and their words. Knows nothing of decoding or models."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from audiochat.errors import DataError

MAX_BAD_SHARE = 0.01
"""A manifest with more bad lines than this is refused: it is the wrong file, or the wrong root."""

MAX_NAMED = 20
"""Bad lines that are named when a manifest is refused."""


@dataclass(frozen=True)
class ManifestLine:
    """One clip of a manifest; the optional fields of the line are kept in `extra`."""

    audio: Path
    """The sound file, under the audio root."""
    text: str
    """The words as written."""
    spoken: str
    """The words as said; `text` where the manifest does not give them."""
    set_name: str
    """The group it is reported in: the first folder of `audio` unless the line says."""
    extra: dict[str, Any] = field(default_factory=dict)
    """answer, task, speaker, accent, age, human and whatever else the line carries."""
    number: int = 0
    """Its line in the manifest, from 1; 0 for a clip that was never in one."""

    @property
    def speaker(self) -> str:
        """The speaker's name, or the empty string."""
        return str(self.extra.get("speaker", ""))


@dataclass(frozen=True)
class Manifest:
    """The good lines of a manifest, and why the others were skipped."""

    lines: tuple[ManifestLine, ...]
    problems: tuple[str, ...]
    """One sentence a bad line: file, line number, reason."""

    def without(self, bad: Mapping[int, str], name: str) -> "Manifest":
        """This manifest less some lines: their index, and the sentence that says why."""
        kept = tuple(line for index, line in enumerate(self.lines) if index not in bad)
        return Manifest(kept, self.problems).with_problems(list(bad.values()), name)

    def with_problems(self, more: list[str], name: str) -> "Manifest":
        """These good lines with problems found later (decoding); refused when they are too many."""
        problems = self.problems + tuple(more)
        _check(len(self.lines), len(problems), problems, name)
        return Manifest(self.lines, problems)


def read_manifest(path: Path, audio_root: Path, limit: int | None = None) -> Manifest:
    """Read a JSONL manifest; `limit` keeps the first lines alone.

    Raises:
        DataError: the file cannot be read, more than 1 % of its lines are bad, or none is left.
    """
    try:
        rows = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The manifest {path} cannot be read ({error}). Check its path.") from error
    lines: list[ManifestLine] = []
    problems: list[str] = []
    for number, row in enumerate(rows[:limit], start=1):
        if not row.strip():
            continue
        parsed = _parse(row, audio_root)
        if isinstance(parsed, str):
            problems.append(f"{path}:{number}: {parsed}")
        else:
            lines.append(replace(parsed, number=number))
    _check(len(lines), len(problems), tuple(problems), str(path))
    return Manifest(tuple(lines), tuple(problems))


def _parse(row: str, audio_root: Path) -> ManifestLine | str:
    try:
        fields = json.loads(row)
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg})"
    if not isinstance(fields, dict):
        return "not a JSON object"
    audio, text = fields.pop("audio", None), fields.pop("text", None)
    if not isinstance(audio, str) or not audio:
        return "no `audio`"
    if not isinstance(text, str) or not text.strip():
        return "no `text`"
    if Path(audio).is_absolute() or ".." in Path(audio).parts:
        return f"`audio` must be a path under the audio root, not {audio}"
    path = audio_root / audio
    if not path.is_file():
        return f"the sound file {path} is missing"
    first_folder = Path(audio).parts[0] if len(Path(audio).parts) > 1 else "all"
    return ManifestLine(
        audio=path,
        text=text,
        spoken=str(fields.pop("spoken", None) or text),
        set_name=str(fields.pop("set", None) or first_folder),
        extra=fields,
    )


def _check(good: int, bad: int, problems: tuple[str, ...], name: str) -> None:
    if good and bad <= MAX_BAD_SHARE * (good + bad):
        return
    if not problems:
        raise DataError(f"{name} names no clip: it is empty. Correct the manifest.")
    which = f"The first {MAX_NAMED} of them" if bad > MAX_NAMED else "These"
    named = "\n".join(problems[:MAX_NAMED])
    raise DataError(
        f"{bad} of {good + bad} lines of {name} cannot be used. Correct the manifest or the audio "
        f"root. {which}:\n{named}"
    )
