"""`audiochat train lm`: the n-gram model that beam search reads with, from text lines."""

import argparse
from pathlib import Path

from audiochat.cli.training_run import Steps, add_step
from audiochat.errors import DataError


def add_lm(steps: Steps) -> None:
    """The step and its options."""
    parser = add_step(steps, "lm", _lm, "count n-grams of text for the beam search")
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="JSONL, also .gz")
    parser.add_argument("--weights", type=Path, help="the weights folder it is for")
    parser.add_argument("--out", type=Path, help="where it goes: `lm` in --weights if not given")
    parser.add_argument("--order", type=int, default=3, help="words looked at together")
    parser.add_argument(
        "--min-counts",
        type=int,
        nargs="+",
        metavar="N",
        help="keep n-grams of 1, 2, ... words that are seen this often",
    )


def _lm(options: argparse.Namespace) -> None:
    from audiochat.model.ngram import FILE_NAME, FOLDER_NAME
    from audiochat.speech_data.text_lines import read_text_lines
    from audiochat.training.ngram import NgramRecipe, estimate, write_arpa

    if not (options.out or options.weights):
        raise DataError("Say where the n-gram model goes: give --weights or --out.")
    recipe = NgramRecipe(order=options.order)
    if options.min_counts:
        recipe = NgramRecipe(options.order, tuple(options.min_counts))
    lines = read_text_lines(options.text, cap=None, seed=1)
    estimates = estimate((line.spoken for line in lines), recipe)
    path = (options.out or options.weights / FOLDER_NAME) / FILE_NAME
    write_arpa(estimates, path)
    kept = " + ".join(str(len(one.probabilities)) for one in estimates)
    print(f"{len(lines)} lines, {kept} n-grams, {path.stat().st_size / 1e6:.2f} MB in {path}")
