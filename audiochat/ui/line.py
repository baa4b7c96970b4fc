"""Turns stand in line for the model: one is answered at a time, first come, first served."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from audiochat.errors import ModelError

MAX_IN_LINE = 16
"""Turns in line, the one being answered among them; who comes then is told to come back."""


class Line:
    """Who waits for the model, in the order they came."""

    def __init__(self, limit: int = MAX_IN_LINE) -> None:
        """Nobody is there yet."""
        self._limit = limit
        self._places: list[Place] = []
        self._moved = threading.Condition()

    def __len__(self) -> int:
        """How many stand in line, the one being answered among them."""
        return len(self._places)

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Stand in line until the block ends.

        Raises:
            ModelError: the line is full.
        """
        place = Place(self._places, self._moved)
        with self._moved:
            if len(self._places) >= self._limit:
                raise ModelError("Too many people are waiting. Try again in a minute or two.")
            self._places.append(place)
        try:
            yield place
        finally:
            with self._moved:
                self._places.remove(place)
                self._moved.notify_all()


class Place:
    """One turn's place in the line."""

    def __init__(self, places: list["Place"], moved: threading.Condition) -> None:
        """Of the line with these places; `moved` guards them."""
        self._places, self._moved = places, moved

    def wait(self, timeout_s: float) -> int:
        """Wait until the line moves or the time is over; gives how many turns are before this."""
        with self._moved:
            before = self._places.index(self)
            if before:
                self._moved.wait(timeout_s)
            return self._places.index(self)
