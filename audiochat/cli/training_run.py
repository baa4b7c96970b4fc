"""What the training steps of `audiochat train` have in common."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from audiochat.errors import DataError

Steps: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_step(
    steps: Steps, name: str, function: Callable[[argparse.Namespace], None], help_text: str
) -> argparse.ArgumentParser:
    """A subcommand that calls `function`; its options' `usage_error` ends it as wrong usage."""
    parser = steps.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(step=function, usage_error=parser.error)
    return parser


def whole(least: int) -> Callable[[str], int]:
    """The type of an option that takes whole numbers from `least` up."""

    def parse(given: str) -> int:
        value = int(given) if given.removeprefix("-").isdecimal() else least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}, not {given!r}")
        return value

    return parse


def number(
    low: float = 0.0, high: float = math.inf, *, above: bool = False
) -> Callable[[str], float]:
    """The type of an option that takes numbers from `low`, or `above` it, to `high`."""
    said = f"{'above' if above else 'from'} {low:g}" + (f" to {high:g}" if high < math.inf else "")

    def parse(given: str) -> float:
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and value < math.inf) or (above and value == low):
            raise argparse.ArgumentTypeError(f"must be a number {said}, not {given!r}")
        return value

    return parse


POSITIVE, SHARE = number(above=True), number(high=1)


def add_length(parser: argparse.ArgumentParser, minutes: float) -> None:
    """Add the options that say how long a run takes."""
    parser.add_argument(
        "--minutes",
        type=POSITIVE,
        default=minutes,
        help="of training in all; the rate falls to nothing by then (%(default)s)",
    )
    parser.add_argument("--steps", type=whole(1), help="instead of --minutes")
    parser.add_argument(
        "--part-minutes",
        type=POSITIVE,
        default=math.inf,
        metavar="M",
        help="stop after so long, to be called again until all is done",
    )


def ended(share: float, weights: Path) -> bool:
    """Whether the run got to its end; a stopped one is not annealed, so it writes no weights."""
    if share < 1:
        print(f"stopped at {share:.0%}; run the command again to go on, {weights} is as it was")
    return share >= 1


def named_number(pair: str, flag: str, example: str) -> tuple[str, float]:
    """NAME=NUMBER as both; the number alone has the name ""."""
    name, _, number = pair.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 < value < math.inf:
        raise DataError(f"{flag} takes numbers over 0, as in {example}; got {pair!r}.")
    return name, value
