"""What the training steps of `audiochat train` have in common."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Steps: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_step(
    steps: Steps, name: str, function: Callable[[argparse.Namespace], None], help_text: str
) -> argparse.ArgumentParser:
    """A subcommand that calls `function`; its options' `usage_error` ends it as wrong usage."""
    parser = steps.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(step=function, usage_error=parser.error)
    return parser


def add_length(parser: argparse.ArgumentParser, minutes: float) -> None:
    """Add the options that say how long a run takes."""
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--steps", type=int, help="instead of --minutes")
    parser.add_argument(
        "--part-minutes",
        type=float,
        default=math.inf,
        metavar="M",
        help="stop after so long, to be called again until all is done",
    )


def ended(share: float, weights: Path) -> bool:
    """Whether the run got to its end; a stopped one is not annealed, so it writes no weights."""
    if share < 1:
        print(f"stopped at {share:.0%}; run the command again to go on, {weights} is as it was")
    return share >= 1
