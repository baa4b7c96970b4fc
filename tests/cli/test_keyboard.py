"""Typed lines, from keys and from a real pseudo-terminal."""

import termios
from collections.abc import Iterator

import pytest

from audiochat.cli.keyboard import Keyboard, TypedLine
from tests.cli.live_card import Terminal


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.mark.parametrize(
    ("keys", "lines", "rest"),
    [
        ("hello\nyou", ["hello"], "you"),
        ("a\rb\n", ["a", "b"], ""),
        ("helo\x7flo", [], "hello"),
        ("\x7fx", [], "x"),
        ("two words\x17", [], "two "),
        ("forget this\x15that", [], "that"),
        ("up\x1b[A and \x1bOPdown\x1b[1;5D", [], "up and down"),
        ("t\tab\x00", [], "tab"),
        ("schön 你好\n", ["schön 你好"], ""),
        ("not empty\x04", [], "not empty"),
    ],
)
def test_keys_make_lines(keys: str, lines: list[str], rest: str) -> None:
    line = TypedLine()
    assert line.feed(keys) == lines
    assert line.text == rest
    assert not line.ended


def test_ctrl_d_on_an_empty_line_ends_it_behind_the_lines_before() -> None:
    line = TypedLine()
    assert line.feed("last\n\x04") == ["last"]
    assert line.ended


@pytest.mark.parametrize("by_letter", [True, False])
def test_lines_come_without_waiting_and_the_terminal_is_as_before(
    terminal: Terminal, by_letter: bool
) -> None:
    before = termios.tcgetattr(terminal.keyboard)
    with Keyboard(terminal.keyboard, by_letter=by_letter) as keyboard:
        assert keyboard.lines() == []
        terminal.type("one\ntwo\nthr")
        assert keyboard.lines() == ["one", "two"]
        assert keyboard.typing == ("thr" if by_letter else "")
        terminal.type("ee\n")
        assert keyboard.lines() == ["three"]
        # The screen shows what is typed, or the terminal does: never both.
        assert ("one" in terminal.shown()) is not by_letter
        assert not keyboard.ended
        terminal.leave()
        assert keyboard.lines() == []
        assert keyboard.ended
    assert termios.tcgetattr(terminal.keyboard) == before


def test_the_terminal_is_put_back_after_an_error(terminal: Terminal) -> None:
    before = termios.tcgetattr(terminal.keyboard)

    def fail() -> None:
        with Keyboard(terminal.keyboard, by_letter=True):
            assert termios.tcgetattr(terminal.keyboard) != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert termios.tcgetattr(terminal.keyboard) == before


def test_a_letter_in_two_pieces_is_one_letter(terminal: Terminal) -> None:
    first, second = "é".encode()
    with Keyboard(terminal.keyboard, by_letter=True) as keyboard:
        for byte in (first, second):
            terminal.type_bytes(bytes([byte]))
            keyboard.lines()
        assert keyboard.typing == "é"
