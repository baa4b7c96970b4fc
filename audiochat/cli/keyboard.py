"""Lines typed while something else goes on: read without waiting, and shown by whoever draws.

Letter by letter when the screen draws the line itself, else as the terminal gives whole lines.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import termios
import tty
from typing import Any, Self, TextIO

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?")
"""Arrows and function keys: there is nothing for them to do."""

END = "\x04"
"""Ctrl-D."""


class TypedLine:
    """The line being typed, with the keys that every terminal has for changing it."""

    def __init__(self) -> None:
        self.text = ""
        self.ended = False
        """Whether Ctrl-D was typed on an empty line."""

    def feed(self, keys: str) -> list[str]:
        """Take in what was typed, and return the lines that were finished by it."""
        lines: list[str] = []
        for key in _ESCAPE_SEQUENCE.sub("", keys):
            if key in "\r\n":
                lines.append(self.text)
                self.text = ""
            elif key == END:
                self.ended = self.ended or not self.text
            else:
                self.text = _edited(self.text, key)
        return lines


def _edited(text: str, key: str) -> str:
    if key in "\x7f\b":
        return text[:-1]
    if key == "\x15":  # Ctrl-U
        return ""
    if key == "\x17":  # Ctrl-W
        return re.sub(r"\S*\s*$", "", text)
    return text + key if key.isprintable() else text


class Keyboard:
    """What is typed at a terminal; as a context it leaves the terminal as it found it."""

    def __init__(self, terminal: TextIO, *, by_letter: bool) -> None:
        """`by_letter`: the terminal shows nothing of what is typed, the caller does."""
        self._descriptor = terminal.fileno()
        self._by_letter = by_letter
        self._before: list[Any] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._line = TypedLine()

    @property
    def typing(self) -> str:
        """The line so far; always "" where the terminal shows it."""
        return self._line.text if self._by_letter else ""

    @property
    def ended(self) -> bool:
        """Whether the person has typed Ctrl-D to leave."""
        return self._line.ended

    def lines(self) -> list[str]:
        """The lines finished since the last call; does not wait."""
        lines: list[str] = []
        while not self.ended and select.select([self._descriptor], [], [], 0)[0]:
            # A terminal that gives whole lines tells of Ctrl-D by giving nothing.
            typed = os.read(self._descriptor, 4096)
            lines += self._line.feed(self._decoder.decode(typed) if typed else END)
        return lines

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        if self._by_letter:
            # Ctrl-C and Ctrl-Z stay signals; a line typed before this is not lost.
            tty.setcbreak(self._descriptor, termios.TCSADRAIN)
        return self

    def __exit__(self, *_: object) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
