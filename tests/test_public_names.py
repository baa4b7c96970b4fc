"""The names other people's code may rely on; changing one is a decision, not an accident."""

import inspect

import audiochat
from audiochat.cli import COMMANDS


def test_the_package_offers_load_and_its_version() -> None:
    assert audiochat.__all__ == ["__version__", "load"]
    assert audiochat.__version__.count(".") == 2


def test_load_takes_a_name_and_has_a_default() -> None:
    (name,) = inspect.signature(audiochat.load).parameters.values()
    assert name.default == "embedded"


def test_the_commands() -> None:
    assert list(COMMANDS) == ["chat", "train", "evaluate", "bench", "export", "models"]


def test_every_command_is_there() -> None:
    for command in COMMANDS.values():
        assert callable(command.load())
