import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from audiochat.cli.options import (
    add_settings,
    check_output,
    field_docs,
    settings_from,
    show_progress,
)
from audiochat.errors import DataError
from audiochat.sampling import Sampling


@dataclass(frozen=True)
class Oven:
    """What an oven is set to."""

    heat_c: int = 180
    """How hot, up to 100 % of what it can."""

    timer_s: float | None = None
    """When it rings;
    none for never."""


def parse(kind: type, *argv: str) -> object:
    """The settings that a command line gives."""
    parser = argparse.ArgumentParser()
    add_settings(parser, kind)
    return settings_from(parser.parse_args(argv), kind, parser)


def test_each_field_is_a_flag_of_its_type() -> None:
    assert parse(Oven, "--heat-c", "200", "--timer-s", "60") == Oven(200, 60.0)
    assert parse(Oven) == Oven()


def test_the_help_is_the_fields_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert field_docs(Oven)["timer_s"] == "When it rings; none for never."
    with pytest.raises(SystemExit):
        parse(Oven, "--help")
    assert "up to 100 % of what it can. (default: 180)" in capsys.readouterr().out


def test_every_sampling_setting_is_documented() -> None:
    assert all(field_docs(Sampling)[name] for name in Sampling.__dataclass_fields__)


def test_a_setting_out_of_range_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(Sampling, "--temperature", "-1")
    assert stopped.value.code == 2
    assert "--temperature must be from 0 to 5, not -1.0." in capsys.readouterr().err


def test_where_nothing_can_be_saved_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_output(None)
    check_output(tmp_path / "figures.json")
    with pytest.raises(DataError, match="is a folder"):
        check_output(tmp_path)
    with pytest.raises(DataError, match="There is no folder"):
        check_output(tmp_path / "absent" / "figures.json")
    # As root every folder is writable.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match="Nothing may be saved"):
        check_output(tmp_path / "figures.json")


def test_progress_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    show_progress("fetching", 0.5)
    show_progress("fetching", 1.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "fetching 100%\n"
