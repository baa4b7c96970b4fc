"""`evaluate chat`: every case of a manifest through every arm, quiet, in noise, without history."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from audiochat import load
from audiochat.cli.evaluate_options import add_shared, check_shared, print_skipped
from audiochat.cli.evaluate_tables import (
    print_first_text,
    print_history,
    print_overflows,
    print_summed,
    print_table,
)
from audiochat.errors import ModelError
from audiochat.evaluation import chat, comparisons
from audiochat.evaluation.answered import Answered
from audiochat.evaluation.arms import ARMS, CASCADE, TEXT, Examiner, Reply, Setting, check_arms
from audiochat.evaluation.cases import Case, CaseSet, read_cases, with_noise
from audiochat.evaluation.clips import Noises, read_noises
from audiochat.evaluation.figures import check_plots, plot_chat
from audiochat.evaluation.provenance import write_json
from audiochat.prompts import DEFAULT_SYSTEM_PROMPT
from audiochat.sampling import Sampling

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell."""


def add_chat(tasks: Any) -> None:
    """Add this task to the subparsers of `evaluate`."""
    answering = tasks.add_parser("chat", help="answers by voice", description=chat.__doc__)
    add_shared(answering)
    answering.add_argument("--arms", type=_arms, required=True, help=f"of {', '.join(ARMS)}")
    answering.add_argument("--system-prompt", default=DEFAULT_SYSTEM_PROMPT)
    answering.add_argument("--max-new-tokens", type=_tokens, default=64, metavar="N")
    answering.add_argument("--plot", type=Path, metavar="DIR", help="draw the figures there")
    answering.set_defaults(run=run, parser=answering)


def run(options: argparse.Namespace) -> int:
    """Run the task and return its exit code."""
    check_shared(options)
    if options.plot:
        check_plots(options.plot)
    noises = read_noises(options.noise) if options.noise else ()
    cases = read_cases(options.manifest, options.audio_root, options.limit)
    print_skipped(cases.problems)
    model = load(options.model)
    check_arms(model, options.arms)
    setting = Setting(
        options.system_prompt, replace(Sampling(), max_new_tokens=options.max_new_tokens)
    )
    model.warm_up()
    asking = _Asking(Examiner(model, setting), options.arms)
    report = _report(asking, options, cases, noises)
    report["settings"] |= {"model": options.model, **asdict(setting), "stopped": asking.stopped}
    write_json(options.json, report)
    if options.plot:
        for path in plot_chat(report, options.plot):
            print(path)
    return INTERRUPTED if asking.stopped else 0


class _Asking:
    """The asking of many cases; Ctrl-C ends it, and what was asked until then is kept."""

    def __init__(self, examiner: Examiner, arms: Sequence[str]) -> None:
        self.examiner, self.arms = examiner, arms
        self.stopped = False
        # Only where the model's own cascade reads otherwise is the greedy one another.
        reads_greedily = examiner.model.read is None
        self.greedy_ms: list[float] | None = None if reads_greedily else []

    def quiet(self, cases: Sequence[Case]) -> list[Answered]:
        """Ask every case as it is; the greedy cascade is timed beside."""
        rows: list[Answered] = []
        try:
            for case in _shown(cases, "clean"):
                rows.append(Answered(case, self.examiner.ask_all(case, self.arms)))
                if CASCADE in self.arms and self.greedy_ms is not None:
                    took_ms = self.examiner.greedy_first_text_ms(case)
                    self.greedy_ms += [] if took_ms is None else [took_ms]
        except KeyboardInterrupt:
            if not rows:
                raise
            self._stop(rows, cases)
        return rows

    def noisy(self, cases: Iterable[Case], quiet: Sequence[Answered], what: str) -> list[Answered]:
        """Ask every case in noise, which the text arm does not hear: its replies are known."""
        rows: list[Answered] = []
        try:
            for known, case in zip(_shown(quiet, what), cases, strict=True):
                found = self.examiner.ask_all(case, self.arms, known.replies[TEXT])
                rows.append(Answered(known.case, found))  # the noise need not be kept
        except KeyboardInterrupt:
            self._stop(rows, quiet)
        return rows

    def without_history(self, rows: Sequence[Answered]) -> list[Answered]:
        """Ask the newest messages alone; the replies that had the history are scored."""
        found: list[Answered] = []
        try:
            for row in _shown(rows, "no history"):
                case, wanted = row.case.without_history(), row.replies[TEXT].ids
                replies: dict[str, Reply] = {
                    arm: self.examiner.ask(case, arm, wanted) for arm in (TEXT, *self.arms)
                }
                found.append(Answered(case, replies))
        except KeyboardInterrupt:
            self._stop(found, rows)
        return found

    def _stop(self, rows: Sequence[object], wanted: Sequence[object]) -> None:
        self.stopped = True
        print(f"Stopped after {len(rows)} of {len(wanted)}; these are kept.", file=sys.stderr)


def _report(
    asking: _Asking, options: argparse.Namespace, cases: CaseSet, noises: Noises
) -> dict[str, Any]:
    """Ask everything, print each table when it is ready, and return the report."""
    arms = options.arms
    rows = asking.quiet(cases.cases)
    found = chat.figures(rows, arms)
    print_table("clean", found)
    print_overflows(rows, arms)
    if CASCADE in arms:
        found["first_text"] = chat.first_text(found["arms"], asking.greedy_ms)
        print_first_text(found["first_text"])
    past = [row for row in rows if row.case.has_history]
    if past and not asking.stopped:
        bare = asking.without_history(past)
        found["history"] = comparisons.history(past[: len(bare)], bare, arms)
        found["history"]["rows"] = chat.rows_as_json(bare, arms)
        print_history(found["history"])
    found["noise"] = {}
    conditions: dict[str, Sequence[Answered]] = {"clean": rows}
    for snr_db in options.snr or ():
        name = f"{snr_db:g}"
        if asking.stopped:
            break
        noisy = asking.noisy(with_noise(cases.cases, noises, snr_db), rows, f"{name} dB")
        if noisy:
            conditions[name] = noisy
            figures = chat.figures(noisy, arms)
            print_table(f"noise, {name} dB", figures)
            print_overflows(noisy, arms)
            found["noise"][name] = figures | {"rows": chat.rows_as_json(noisy, arms)}
    found["summed"] = comparisons.summed(conditions, arms)
    print_summed(found["summed"])
    asked = {"arms": list(arms), "snr": list(options.snr or ()), "skipped": len(cases.problems)}
    return {"settings": asked, **found, "rows": chat.rows_as_json(rows, arms)}


def _shown(things: Sequence[Any], what: str) -> Any:
    """The same things, with a bar on a terminal."""
    return tqdm(things, unit="case", desc=what, disable=not sys.stderr.isatty())


def _arms(value: str) -> tuple[str, ...]:
    arms = tuple(dict.fromkeys(arm.strip() for arm in value.split(",")))
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown or TEXT not in arms:
        raise argparse.ArgumentTypeError(
            f"choose of {', '.join(ARMS)}; {TEXT} is what the others are measured against"
        )
    return arms


def _tokens(value: str) -> int:
    try:
        return Sampling(max_new_tokens=int(value)).max_new_tokens
    except ModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
