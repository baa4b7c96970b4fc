import argparse
from dataclasses import dataclass

import pytest

from audiochat.cli.options import add_settings, field_docs, settings_from, show_progress
from audiochat.errors import ModelError
from audiochat.sampling import Sampling


@dataclass(frozen=True)
class Oven:
    """What an oven is set to."""

    heat_c: int = 180
    """How hot, up to 100 % of what it can."""

    timer_s: float | None = None
    """When it rings;
    none for never."""


def parse(kind: type, *argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_settings(parser, kind)
    return parser.parse_args(argv)


def test_each_field_is_a_flag_of_its_type() -> None:
    options = parse(Oven, "--heat-c", "200", "--timer-s", "60")
    assert settings_from(options, Oven) == Oven(200, 60.0)
    assert settings_from(parse(Oven), Oven) == Oven()


def test_the_help_is_the_fields_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert field_docs(Oven)["timer_s"] == "When it rings; none for never."
    with pytest.raises(SystemExit):
        parse(Oven, "--help")
    assert "up to 100 % of what it can. (default: 180)" in capsys.readouterr().out


def test_every_sampling_setting_is_documented() -> None:
    assert all(field_docs(Sampling)[name] for name in Sampling.__dataclass_fields__)


def test_a_setting_out_of_range_names_its_flag() -> None:
    with pytest.raises(ModelError, match="--temperature"):
        settings_from(parse(Sampling, "--temperature", "-1"), Sampling)


def test_progress_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    show_progress("fetching", 0.5)
    show_progress("fetching", 1.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "fetching 100%\n"
