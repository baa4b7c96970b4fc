"""`bench`: latency, speed and memory of the embedded default on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from audiochat.cli.options import check_output
from audiochat.errors import MissingPartError
from audiochat.evaluation.latency import MEASURES, Figure
from audiochat.evaluation.provenance import machine, write_json


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command's options."""
    parser = argparse.ArgumentParser("python -m audiochat bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="OUT", help="save the figures")
    parser.add_argument(
        "--only",
        type=_names,
        default=tuple(MEASURES),
        metavar="NAMES",
        help=f"some of {', '.join(MEASURES)}, joined by commas",
    )
    return parser


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(argv)
    check_output(options.json)
    described = machine()
    gpu, load = described["gpu"] or "no GPU", described["load"]
    print(
        f"{described['processor']}, {described['cores']} cores, {described['memory_gb']} GB, {gpu}"
    )
    if load is not None and load > 0.5:
        print(f"Other programs are running (load {load}): the times below are too long.")
    figures = {}
    for name in options.only:
        try:
            figures[name] = MEASURES[name]()
        except MissingPartError as error:
            if len(options.only) == 1:
                raise
            print(f"{name:<21} not measured: {error}", flush=True)
            continue
        print(_line(name, figures[name]), flush=True)
    if options.json is not None:
        write_json(options.json, {"figures": {n: _as_json(f) for n, f in figures.items()}})
    return 0


def _line(name: str, figure: Figure) -> str:
    low, high = figure.spread
    return (
        f"{name:<21} {figure.median:>9.4g} {figure.unit:<9} "
        f"{low:.4g} to {high:.4g}, runs: {len(figure.runs)} (aim: {figure.target})"
    )


def _as_json(figure: Figure) -> dict[str, object]:
    return {
        "unit": figure.unit,
        "target": figure.target,
        "runs": figure.runs,
        "median": figure.median,
        "spread": figure.spread,
    }


def _names(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no figure {', '.join(map(repr, unknown))}; there are {', '.join(MEASURES)}"
        )
    return names
