"""The table of commands: help, near names and exit codes."""

import errno

import pytest

from audiochat.__main__ import main
from audiochat.cli import COMMANDS, Command
from audiochat.errors import DataError


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out and command.summary in out for name, command in COMMANDS.items())


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_a_near_name_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chatt"]) == 2
    assert "did you mean chat?" in capsys.readouterr().err


def test_trouble_is_one_sentence_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(argv: list[str]) -> int:
        raise DataError(f"{argv[0]} is missing. Make it.")

    monkeypatch.setitem(COMMANDS, "broken", Command("nowhere:main", "fails"))
    monkeypatch.setattr(Command, "load", lambda self: broken)
    assert main(["broken", "FILE"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "audiochat broken: FILE is missing. Make it.\n"


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a.wav"), "a.wav: Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
        (OSError("no number"), "no number."),
    ],
)
def test_trouble_with_files_is_one_sentence_too(
    error: OSError,
    start: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(Command, "load", lambda self: broken)
    assert main(["chat"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"audiochat chat: {start} Check the path")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert f"audiochat {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag_is_wrong_usage(name: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--no-such-flag"])
    assert stopped.value.code == 2
