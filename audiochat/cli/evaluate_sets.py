"""`evaluate sets`: test sets from a data folder, spoken by voices that are never trained on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from audiochat.errors import DataError
from audiochat.evaluation import sets
from audiochat.evaluation.set_building import Report, build_set
from audiochat.evaluation.set_plans import Sizes


def add_sets(tasks: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of this task's options."""
    parser = tasks.add_parser("sets", help="make test sets", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds text/ and speech_dev/")
    parser.add_argument("--out", type=Path, required=True, help="gone on with if begun")
    parser.add_argument(
        "--questions", type=_positive, default=Sizes().questions, help="of each source", metavar="N"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", type=_names, default=sets.SETS, metavar="NAMES", help=f"of {','.join(sets.SETS)}"
    )
    parser.add_argument("--workers", type=_positive, default=2, metavar="N", help="processes")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the sets, and print a line for each; returns the exit code.

    Raises:
        DataError: the data lack something, or --out cannot be written or holds other sets.
        VoiceError: a voice cannot be loaded.
    """
    if not options.data.is_dir():
        raise DataError(f"There is no folder {options.data}. Give the data's folder with --data.")
    voices, absent = sets.held_out_voices()
    for sentence in absent:
        print(sentence)
    sizes = Sizes(questions=options.questions)
    plans = sets.plan_sets(options.data, options.only, sizes, seed=options.seed, voices=voices)
    with tqdm(unit="part", disable=not sys.stderr.isatty()) as bar:

        def progress(name: str, done: int, whole: int) -> None:
            bar.set_description(name)
            bar.total, bar.n = whole, done
            bar.refresh()

        for plan in plans:
            report = build_set(
                plan, options.out, seed=options.seed, workers=options.workers, progress=progress
            )
            bar.clear()
            print(_summary(report), flush=True)
    if {"tasks", "long", "orders"} & set(options.only):
        print("Translations and summaries have no reference answers: the data hold none.")
    return 0


def _summary(report: Report) -> str:
    """One line: what the set holds, and what was left out for which reason."""
    said = f"{report.name:<10} {report.clips} clips"
    if report.recordings != report.clips:
        said += f" ({report.recordings} recordings)"
    said += f", {report.minutes:.1f} min, {report.speakers} voices"
    reasons = [f"{count} {reason}" for reason, count in report.left_out.items() if count]
    said += f"; left out: {', '.join(reasons)}" if reasons else ""
    return said + ("; made before" if report.made_before else "")


def _names(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    if unknown := [name for name in names if name not in sets.SETS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(sets.SETS)}")
    return names


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number
