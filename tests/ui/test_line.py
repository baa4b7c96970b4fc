"""Turns stand in line, in the order they came; a full line says so."""

import threading
from contextlib import ExitStack

import pytest

from audiochat.errors import ModelError
from audiochat.ui.line import Line


def test_the_first_is_served_at_once_and_the_next_moves_up() -> None:
    line = Line()
    with line.place() as first:
        assert first.wait(0) == 0
        with line.place() as second, line.place() as third:
            assert (second.wait(0.01), third.wait(0.01)) == (1, 2)
            assert len(line) == 3
    assert len(line) == 0


def test_one_who_waits_is_woken_when_the_line_moves() -> None:
    line = Line()
    begun, served = threading.Event(), []

    def come() -> None:
        with line.place() as place:
            begun.set()
            while place.wait(30.0):
                pass
            served.append(True)

    with line.place():
        waiting = threading.Thread(target=come)
        waiting.start()
        assert begun.wait(10)
        assert not served
    waiting.join(10)
    assert served


def test_who_leaves_the_middle_lets_the_later_move_up() -> None:
    line = Line()
    with ExitStack() as stack, line.place():
        leaving = ExitStack()
        leaving.enter_context(line.place())
        last = stack.enter_context(line.place())
        assert last.wait(0) == 2
        leaving.close()
        assert last.wait(0) == 1


def test_a_full_line_is_refused_in_words_and_keeps_its_order() -> None:
    line = Line(limit=2)
    with line.place(), line.place() as second:
        with pytest.raises(ModelError, match="Too many people"), line.place():
            pass
        assert second.wait(0) == 1
