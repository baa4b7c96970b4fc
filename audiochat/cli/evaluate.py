"""`evaluate`: how well the model hears (`asr`), and how well it answers by voice (`chat`)."""

from __future__ import annotations

import argparse

from audiochat.cli.evaluate_asr import add_asr
from audiochat.cli.evaluate_chat import add_chat
from audiochat.cli.evaluate_sets import add_sets


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command's options; each task brings its `run` with it."""
    whole = argparse.ArgumentParser("python -m audiochat evaluate", description=__doc__)
    tasks = whole.add_subparsers(dest="task", required=True)
    add_asr(tasks)
    add_chat(tasks)
    add_sets(tasks)
    return whole


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(argv)
    code: int = options.run(options)
    return code
