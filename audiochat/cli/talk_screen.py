"""What a person sees of hands-free talk: one live line with a level meter, or plain lines.

Knows nothing of conversations, devices or models.
"""

from __future__ import annotations

import os
import sys
from typing import Literal, Protocol, Self

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from audiochat.audio_limits import SILENCE_DB

State = Literal["listening", "hearing you", "thinking", "speaking", "microphone off"]

_COLORS: dict[State, str] = {
    "listening": "green",
    "hearing you": "cyan",
    "thinking": "yellow",
    "speaking": "magenta",
    "microphone off": "red",
}
_METER_CELLS = 24
_TYPING_CELLS = 48
_LOUD_DB = -6.0
"""Speech close to a microphone; the meter is full."""


class Screen(Protocol):
    """Where hands-free talk is shown."""

    draws: bool
    """Whether it draws a live line, and so also what is being typed."""

    def show(self, state: State, level_db: float, typing: str, hint: str) -> None:
        """Show how things stand; called many times a second.

        Args:
            state: what is going on.
            level_db: of the microphone, in dB of full scale.
            typing: the line being typed.
            hint: what can be done.
        """

    def asked(self, line: str) -> None:
        """A line was typed and Enter pressed."""

    def say(self, sentence: str) -> None:
        """Show a sentence that stays."""

    def write(self, text: str) -> None:
        """Show the next characters of the reply."""

    def end_reply(self, note: str = "") -> None:
        """The reply ends here; `note` says why, where it is not whole."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_screen() -> Screen:
    """The live line on a terminal that can draw it, plain lines elsewhere."""
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    draws = sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")
    return LiveScreen() if draws and not unwanted else PlainScreen()


class PlainScreen:
    """Lines alone: a state is told when it changes, and never in the midst of a reply."""

    draws = False

    def __init__(self) -> None:
        self._state: State | None = None
        self._in_reply = False

    def show(self, state: State, level_db: float, typing: str, hint: str) -> None:
        """Tell of a new state."""
        if state != self._state and not self._in_reply:
            self._state = state
            print(f"[{state}]", flush=True)

    def asked(self, line: str) -> None:
        """Nothing: the terminal showed it while it was typed."""

    def say(self, sentence: str) -> None:
        """A line of its own."""
        self._break_line()
        print(sentence, flush=True)

    def write(self, text: str) -> None:
        """As it comes."""
        self._in_reply = True
        print(text, end="", flush=True)

    def end_reply(self, note: str = "") -> None:
        """End the line."""
        if note:
            print(f" ({note})" if self._in_reply else f"({note})", end="")
            self._in_reply = True
        self._break_line()

    def _break_line(self) -> None:
        if self._in_reply:
            print(flush=True)
        self._in_reply = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._break_line()


class LiveScreen:
    """A live line at the foot of the terminal; what is said scrolls away above it."""

    draws = True

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        # Refreshed by `show` alone: no thread draws behind our back.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._status: RenderableType = ""
        self._unfinished = ""
        """The last line of the reply, which may still grow."""

    def show(self, state: State, level_db: float, typing: str, hint: str) -> None:
        """Draw the live line anew."""
        row = Table.grid(padding=(0, 2))
        row.add_column(width=max(map(len, _COLORS)) + 2, no_wrap=True)
        row.add_column(width=_METER_CELLS)
        row.add_column(no_wrap=True, overflow="ellipsis")
        row.add_row(
            Text(f"● {state}", f"bold {_COLORS[state]}"),
            Bar(1.0, 0.0, _fraction(level_db), width=_METER_CELLS, color=_COLORS[state]),
            Text(f"> {typing[-_TYPING_CELLS:]}") if typing else Text(hint, "dim"),
        )
        self._status = row
        self._draw()

    def asked(self, line: str) -> None:
        """Keep the typed line, which the live line showed until now."""
        self.say(f"> {line}")

    def say(self, sentence: str) -> None:
        """A line of its own, above the live line."""
        self._finish_line()
        self._console.print(sentence)

    def write(self, text: str) -> None:
        """Add to the reply: full lines scroll away, the last one stays above the live line."""
        wrapped = Text(self._unfinished + text).wrap(self._console, self._console.width)
        *full, last = wrapped or [Text()]
        for line in full:
            self._console.print(line)
        self._unfinished = last.plain
        self._draw()

    def end_reply(self, note: str = "") -> None:
        """Let its last line scroll away too."""
        if note:
            self._unfinished += f" ({note})" if self._unfinished else f"({note})"
        self._finish_line()

    def _finish_line(self) -> None:
        finished, self._unfinished = self._unfinished, ""
        if finished:
            self._draw()
            self._console.print(finished)

    def _draw(self) -> None:
        shown = [Text(self._unfinished)] if self._unfinished else []
        self._live.update(Group(*shown, self._status), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish_line()
        self._live.stop()


def _fraction(level_db: float) -> float:
    """How much of the meter is full: none for a switched-off microphone, all for a near voice."""
    return min(1.0, max(0.0, (level_db - SILENCE_DB) / (_LOUD_DB - SILENCE_DB)))
