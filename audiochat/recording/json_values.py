"""JSON from strangers, read field by field: every value is checked before it is used."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from audiochat.errors import DataError

MAX_JSON_BYTES = 8 * 2**20
"""An hour of talk with the times of its words has about 1 MB."""

MAX_DEPTH = 12
MAX_TEXT_CHARS = 100_000
"""Of one text; a long reply has 5,000."""

MAX_NUMBER = 1e12
MAX_ITEMS = 20_000
"""Of one list: a recording of 10 minutes has 2,000 words."""


def parse(data: bytes, name: str) -> "Fields":
    """Read a JSON object.

    Raises:
        DataError: it is too large or too deep, no JSON, no object, or holds a value that nothing
            here writes: NaN, a huge number, half a character.
    """
    if len(data) > MAX_JSON_BYTES:
        raise DataError(
            f"{name} has more than {MAX_JSON_BYTES / 2**20:g} MB. Give a conversation.json that "
            "was recorded by this program."
        )
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name} is no JSON (and no zip). Give the file as it was recorded."
        ) from error
    fields = Fields(value, name)
    for problem in _problems(value, 0):
        raise fields.wrong(problem)
    return fields


class Fields:
    """The fields of one JSON object; `where` names it in errors.

    Raises:
        DataError: it is no object. Every method raises it for a field of another kind.
    """

    def __init__(self, value: object, where: str) -> None:
        self.where = where
        if not isinstance(value, dict):
            raise DataError(f"{where} is not a JSON object. Give the file as it was recorded.")
        self._values: dict[str, Any] = value

    def wrong(self, what: str) -> DataError:
        """The error for something in this object."""
        return DataError(f"{self.where}: {what}. Give the file as it was recorded.")

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name) is not None

    def value(self, name: str) -> Any:
        """The field, whatever it is; it must be there."""
        if not self.has(name):
            raise self.wrong(f"{name!r} is missing")
        return self._values[name]

    def text(self, name: str) -> str:
        """A text."""
        value = self.value(name)
        if not isinstance(value, str):
            raise self.wrong(f"{name!r} is not text")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, or None where there is none."""
        return self.text(name) if self.has(name) else None

    def number(self, name: str) -> float:
        """A number that is not negative."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise self.wrong(f"{name!r} is not a number of 0 or more")
        return value

    def optional_number(self, name: str) -> float | None:
        """A number that is not negative, or None where there is none."""
        return self.number(name) if self.has(name) else None

    def flag(self, name: str) -> bool:
        """True or false; false where there is neither."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(f"{name!r} is not true or false")
        return value

    def child(self, name: str) -> "Fields":
        """An object."""
        return Fields(self.value(name), f"{self.where}, {name}")

    def children(self, name: str) -> "list[Fields]":
        """A list of objects."""
        values = self.value(name)
        if not isinstance(values, list):
            raise self.wrong(f"{name!r} is not a list")
        where = f"{self.where}, {name}"
        return [Fields(value, f"{where} {n}") for n, value in enumerate(values, start=1)]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _problems(value: object, depth: int) -> Iterator[str]:
    """What is wrong with a value or one inside it, of whatever kind is asked for."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT_CHARS:
            yield f"a text has more than {MAX_TEXT_CHARS} characters"
        elif not _encodable(value):
            yield "a text holds half a character"
    elif isinstance(value, int | float):
        if abs(value) > MAX_NUMBER:  # 1e999 too, which is read as infinite
            yield "a number is too large"
    elif isinstance(value, list | dict):
        yield from _problems_inside(value, depth)


def _problems_inside(value: list[object] | dict[str, object], depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield "it is nested too deeply"
    elif len(value) > MAX_ITEMS:
        yield f"a list has more than {MAX_ITEMS} entries"
    else:
        for child in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _problems(child, depth + 1)


def _encodable(text: str) -> bool:
    """Whether the text can be written; JSON can name half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
