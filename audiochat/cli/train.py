"""`audiochat train`: from manifests and text to a weights folder, one step a subcommand."""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from audiochat.cli.train_connector import add_align, add_responses
from audiochat.cli.train_ear import add_average, add_ctc
from audiochat.cli.train_lm import add_lm
from audiochat.cli.training_run import Steps, add_step, named_number, whole
from audiochat.model.phones import pronounce
from audiochat.speech_data.manifest import Manifest, ManifestLine, read_manifest
from audiochat.speech_data.packed import pack_manifest

if TYPE_CHECKING:
    from audiochat.speech_data.synthesis import PartReport


def main(argv: list[str]) -> int:
    """Run one step of the recipe."""
    options = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.step(options)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The subcommands in the order they are run."""
    parser = argparse.ArgumentParser(prog="audiochat train", description=__doc__)
    steps = parser.add_subparsers(required=True, metavar="STEP")
    _add_pack(steps)
    _add_synthesize(steps)
    add_ctc(steps)
    add_average(steps)
    add_lm(steps)
    add_responses(steps)
    add_align(steps)
    return parser


def _add_pack(steps: Steps) -> None:
    parser = add_step(steps, "pack", _pack, "decode a manifest's clips once, for fast reading")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--audio-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=whole(1), default=2)


def _pack(options: argparse.Namespace) -> None:
    manifest = read_manifest(options.manifest, options.audio_root)
    lines = tuple(_pronounced(line) for line in manifest.lines)
    name = str(options.manifest)
    packed = pack_manifest(
        Manifest(lines, manifest.problems), options.out, name=name, workers=options.workers
    )
    for problem in packed.problems:
        logging.warning(problem)
    skipped = len(packed.problems)
    print(f"{len(lines) - skipped + len(manifest.problems)} clips packed, {skipped} skipped")


def _pronounced(line: ManifestLine) -> ManifestLine:
    """The line with its spoken form, made if it was not given, and its phones."""
    from audiochat.speech_data.spoken_form import spoken_form, tidy

    said = line.spoken if line.spoken != line.text else spoken_form(tidy(line.text))
    phones = line.extra.get("phones") or pronounce(said)
    return replace(line, spoken=said, extra={**line.extra, "phones": phones})


def _add_synthesize(steps: Steps) -> None:
    parser = add_step(steps, "synthesize", _synthesize, "make speech from text lines")
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="JSONL, also .gz")
    parser.add_argument("--out", type=Path, required=True, help="gone on with if begun")
    parser.add_argument(
        "--hours",
        nargs="+",
        required=True,
        metavar="ENGINE=HOURS",
        help="espeak, kal16, kal, slt, awb, coqui:FOLDER; e.g. espeak=20 kal16=8",
    )
    parser.add_argument(
        "--cap",
        nargs="+",
        default=["16000"],
        metavar="[FILE=]LINES",
        help="most lines from one file, and from some by name; e.g. 50000 gsm8k_train=1500",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=whole(1), default=2)


def _synthesize(options: argparse.Namespace) -> None:
    from audiochat.speech_data.speakers import held_out
    from audiochat.speech_data.synthesis import plan_parts, synthesize
    from audiochat.speech_data.text_lines import read_text_lines

    caps = dict(named_number(one, "--cap", "gsm8k_train=1500") for one in options.cap)
    cap = caps.pop("", None)
    lines = read_text_lines(
        options.text,
        cap=None if cap is None else int(cap),
        caps={name: int(most) for name, most in caps.items()},
        seed=options.seed,
    )
    parts = []
    for pair in options.hours:
        engine, hours = named_number(pair, "--hours", "espeak=20")
        parts += plan_parts(lines, engine, hours, folder=options.out, seed=options.seed)
        if held_out(engine):
            logging.warning("%s is kept for tests: never train on what it says.", engine)
    bar = tqdm(total=len(parts), unit="part")
    reports = []
    try:
        for _, report in synthesize(parts, workers=options.workers):
            reports.append(report)
            bar.update()
    finally:
        bar.close()
        print(_summary(reports, len(parts)))


def _summary(reports: list["PartReport"], planned: int) -> str:
    """What was made, how fast, and what to do about the rest."""
    before = sum(report.made_before for report in reports)
    hours = sum(report.audio_s for report in reports) / 3600
    failed = sum(report.failed for report in reports)
    said = f"{len(reports)} of {planned} parts made ({before} before), {hours:.2f} hours; "
    said += f"{failed} lines no voice could say"
    new = [report for report in reports if not report.made_before]
    if cpu_s := sum(report.cpu_s for report in new):
        said += f"; {sum(report.audio_s for report in new) / cpu_s:.0f} times real time a core"
    if len(reports) < planned:
        said += "\nStopped: the parts at work are lost; run the same command to go on."
    return said
