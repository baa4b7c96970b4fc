"""The options that the tasks of `evaluate` share, and what is checked of them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from audiochat.cli.options import check_output


def add_shared(parser: argparse.ArgumentParser) -> None:
    """Add the options that every task on clips takes."""
    parser.add_argument("--manifest", type=Path, required=True, help="JSON lines with audio, text")
    parser.add_argument("--audio-root", type=Path, required=True, help="where the clips lie")
    parser.add_argument("--json", type=Path, required=True, metavar="OUT", help="the figures")
    parser.add_argument("--model", default="embedded", help="embedded, or a weights folder")
    parser.add_argument("--snr", type=ratios, metavar="20,10", help="again in noise, in dB")
    parser.add_argument("--noise", type=Path, metavar="DIR", help="the noise for --snr")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N lines")


def check_shared(options: argparse.Namespace) -> None:
    """Check those options before any work is done; what makes no sense is wrong usage."""
    if (options.snr is None) != (options.noise is None):
        options.parser.error("--snr and --noise go together")
    check_output(options.json)


def print_skipped(problems: Sequence[str]) -> None:
    """Say which lines of the manifest are left out, and why."""
    for problem in problems:
        print(f"skipped: {problem}", file=sys.stderr)


def ratios(value: str) -> tuple[float, ...]:
    """Read signal-to-noise ratios joined by commas."""
    found = tuple(float(ratio) for ratio in value.split(","))
    if not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError("a ratio is a finite number of dB")
    return found


def positive(value: str) -> int:
    """Read a whole number of at least 1."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number
