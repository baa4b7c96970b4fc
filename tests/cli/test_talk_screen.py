"""What hands-free talk shows, drawn into memory."""

import io
import sys

import pytest
from rich.console import Console

from audiochat.cli.talk_screen import LiveScreen, PlainScreen, State, open_screen

WIDTH = 60


def live() -> tuple[LiveScreen, io.StringIO]:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=WIDTH, color_system=None)
    return LiveScreen(console), written


def left_over(written: str) -> list[str]:
    """The lines that stand on a terminal after all that was written, moves and erasures done."""
    lines, row, rest = [""], 0, written
    while rest:
        for moved, step in (("\x1b[1A", -1), ("\n", 1)):
            if rest.startswith(moved):
                row, rest = row + step, rest[len(moved) :]
                lines += [""] * (row + 1 - len(lines))
                break
        else:
            if rest.startswith("\x1b[2K"):
                lines[row], rest = "", rest[4:]
            elif rest.startswith("\x1b"):
                rest = rest[rest.index("h" if "h" in rest[:7] else "l") + 1 :]
            else:
                lines[row] += "" if rest[0] == "\r" else rest[0]
                rest = rest[1:]
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.parametrize("state", ["listening", "hearing you", "thinking", "speaking"])
def test_the_state_is_in_words(state: State) -> None:
    screen, written = live()
    with screen:
        screen.show(state, -60.0, "", "hint")
        assert f"● {state}" in written.getvalue()
        assert "hint" in written.getvalue()


def test_the_meter_follows_the_level() -> None:
    cells = []
    for level_db in (float("-inf"), -60.0, -40.0, -20.0, 0.0, 6.0):
        screen, written = live()
        with screen:
            screen.show("listening", level_db, "", "")
            cells.append(written.getvalue().count("█"))
    assert cells[:2] == [0, 0]
    assert 5 < cells[2] < cells[3] < cells[4]
    assert cells[4:] == [24, 24]


def test_what_is_typed_takes_the_place_of_the_hint() -> None:
    screen, written = live()
    with screen:
        screen.show("listening", -60.0, "hello", "hint")
        assert "> hello" in written.getvalue()
        assert "hint" not in written.getvalue()


def test_the_live_line_is_one_line_whatever_is_typed() -> None:
    screen, written = live()
    with screen:
        screen.show("listening", -60.0, "many words " * 30, "")
        assert len(left_over(written.getvalue())) == 1


def test_a_reply_is_whole_and_wrapped_and_the_live_line_gone() -> None:
    words = [f"word{n}" for n in range(40)]
    screen, written = live()
    with screen:
        screen.asked("a question")
        for word in words:
            screen.write(word[:3])
            screen.write(word[3:] + " ")
            screen.show("speaking", -30.0, "", "")
        screen.end_reply("stopped")
        screen.show("listening", -60.0, "", "")
    lines = left_over(written.getvalue())
    assert lines[0] == "> a question"
    assert " ".join(lines[1:]).split() == [*words, "(stopped)"]
    assert all(len(line) <= WIDTH for line in lines)
    assert len(lines) == 1 + -(-len(" ".join(words)) // (WIDTH - 6))


def test_paragraphs_of_a_reply_stay() -> None:
    screen, written = live()
    with screen:
        screen.write("One:\n")
        screen.write("* [a] :smile:\n* b")
        screen.end_reply()
    assert left_over(written.getvalue()) == ["One:", "* [a] :smile:", "* b"]


def test_plain_lines_tell_each_state_once_and_keep_a_reply_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PlainScreen() as screen:
        for state in ("listening", "listening", "hearing you", "thinking"):
            screen.show(state, -30.0, "", "")
        screen.write("One ")
        screen.show("speaking", -30.0, "", "")
        screen.write("two.")
        screen.say("A notice.")
        screen.write("three.")
        screen.end_reply("stopped")
        screen.end_reply()
        screen.end_reply("stopped")
        screen.show("listening", -30.0, "", "")
    assert capsys.readouterr().out == (
        "[listening]\n[hearing you]\n[thinking]\nOne two.\nA notice.\nthree. (stopped)\n"
        "(stopped)\n[listening]\n"
    )


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "encoding", "draws"),
    [
        ({"TERM": "xterm"}, "utf-8", True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "utf-8", False),
        ({"TERM": "dumb"}, "utf-8", False),
        ({"TERM": "xterm"}, "ascii", False),
    ],
)
def test_where_no_line_can_be_drawn_there_are_plain_ones(
    environment: dict[str, str], encoding: str, draws: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    terminal = Tty()
    monkeypatch.setattr(terminal, "encoding", encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert open_screen().draws is draws


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert not open_screen().draws
