"""The commands of `python -m audiochat`, one module each, found in the table below.

Only this layer prints. A command's module is imported when the command is asked for, so that
`--help` needs no torch.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

from audiochat.errors import AudioChatError


@dataclass(frozen=True)
class Command:
    """One command of the program."""

    target: str
    """Where it is: "module:function"; the function takes the arguments and returns an exit code."""

    summary: str
    """One line for `--help`."""

    def load(self) -> Callable[[list[str]], int]:
        """Import the command's module and return its function."""
        module, function = self.target.split(":")
        main: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
        return main


COMMANDS = {
    "chat": Command("audiochat.cli.chat:main", "talk on the sound card, or ask from files"),
    "train": Command("audiochat.cli.train:main", "train the ear and the connector"),
    "evaluate": Command("audiochat.cli.evaluate:main", "word error rates and answers on clips"),
    "bench": Command("audiochat.cli.bench:main", "latency, speed and memory on this machine"),
    "export": Command("audiochat.cli.export:main", "a recorded conversation as page and video"),
    "models": Command("audiochat.cli.models:main", "the models and voices, and what is at hand"),
}


def usage() -> str:
    """Return the text of `--help`."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {c.summary}" for name, c in COMMANDS.items())
    return (
        "usage: python -m audiochat COMMAND [options]\n\n"
        f"commands:\n{rows}\n\n"
        "`python -m audiochat COMMAND --help` tells more; `python app.py` starts the page."
    )


def run(argv: list[str]) -> int:
    """Run the command that `argv` names.

    Returns:
        0 when it is done, 1 for trouble with data or models (said in one sentence on standard
        error), 2 for wrong usage.
    """
    if not argv or argv[0] in {"-h", "--help"}:
        print(usage(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(COMMANDS)}."
        print(f"audiochat: no command {name!r}; {hint}", file=sys.stderr)
        return 2
    try:
        return COMMANDS[name].load()(rest)
    except AudioChatError as error:
        print(f"audiochat {name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"audiochat {name}: {_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or error
    return f"{where}{reason}. Check the path, its rights and the space on the disk."
