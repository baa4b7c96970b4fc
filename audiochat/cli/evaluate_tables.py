"""The tables that `evaluate chat` prints: a line for each arm, then what is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audiochat.evaluation.answered import Answered

HEAD = (
    f"  {'arm':<11}{'n':>4}  {'success (95 %)':<22}{'perplexity (95 %)':<24}"
    f"{'chrF':>6}{'exact':>7}{'BLEU':>7}{'done':>7}{'WER':>7}{'first text':>13}"
)


def print_table(name: str, figures: Mapping[str, Any]) -> None:
    """Print the figures of some rows, then those of each set and task."""
    print(f"{name}\n{HEAD}")
    for arm, one in figures["arms"].items():
        print(_arm_line(arm, one))
    _print_comparisons(figures)
    for key in ("sets", "tasks"):
        for part, inner in figures.get(key, {}).items():
            print(f" {key[:-1]} {part}")
            for arm, one in inner["arms"].items():
                print(_arm_line(arm, one))
    print(flush=True)


def print_overflows(rows: Sequence[Answered], arms: Sequence[str]) -> None:
    """Print how many newest turns were too long for the model's context: heard, not answered."""
    for arm in arms:
        if count := sum(row.replies[arm].overflowed for row in rows):
            print(f"  {arm}: {count} of {len(rows)} did not fit into the model's context")


def print_first_text(found: Mapping[str, Any]) -> None:
    """Print the greedy cascade's first text, and the other arms' beside it."""
    if found["cascade_greedy"]:
        print(f"First text, cascade read greedily: {found['cascade_greedy']['median']:.0f} ms")
    for pair, ratio in found["ratios"].items():
        print(f"  {pair}: x {ratio:.2f}")
    print(flush=True)


def print_history(found: Mapping[str, Any]) -> None:
    """Print what the history is worth to each arm."""
    print(f"history: the same {found['n']} questions with it and without")
    for arm, worth in found["arms"].items():
        for key, one in worth.items():
            if one is not None and one["with"] is not None:
                print(
                    f"  {arm:<11}{key:<11}{one['with']:.3f} with, {one['without']:.3f} without, "
                    f"{_signed(one['difference'], one['ci95'])} (n {one['n']})"
                )
    print(flush=True)


def print_summed(found: Mapping[str, Any]) -> None:
    """Print the differences in success over all conditions together."""
    for pair, one in found.items():
        if one["n"]:
            print(
                f"over {', '.join(one['conditions'])}: {pair} success "
                f"{_signed(one['success'], one['ci95'])} "
                f"({one['ours']} against {one['theirs']} right, {one['n']} cases each)"
            )


def _print_comparisons(figures: Mapping[str, Any]) -> None:
    for arm, kept in figures["retention"].items():
        for rows, one in kept.items():
            print(
                f"  {arm} keeps {_with_interval(one['retention'], one['ci95'])} of the text "
                f"arm's success (n {one['n']}), perplexity x "
                f"{_with_interval(one['perplexity_ratio'], one['perplexity_ratio_ci95'])} "
                f"(n {one['perplexity_n']}); rows: {rows}"
            )
    for pair, one in figures["paired"].items():
        success = f"success {_signed(one['success'], one['ci95'])}, " if one["success_n"] else ""
        print(
            f"  {pair}: {success}"
            f"perplexity {_signed(one['perplexity'], one['perplexity_ci95'])}, "
            f"chrF {_signed(one['chrf'], one['chrf_ci95'])}"
        )
    for arm, one in figures.get("obeyed", {}).items():
        print(f"  {arm} obeyed {_with_interval(one['share'], one['ci95'])} (n {one['n']})")


def _arm_line(arm: str, one: Mapping[str, Any]) -> str:
    success = _with_interval(one["success"], one["success_ci95"])
    perplexity = _with_interval(one["perplexity"], one["perplexity_ci95"])
    rates = "".join(f"{_rate(one[key]):>7}" for key in ("exact", "bleu", "done", "wer"))
    first = one["first_text_ms"]
    soon = f"{first['median']:.0f} ms" if first else "-"
    return (
        f"  {arm:<11}{one['n']:>4}  {success:<22}{perplexity:<24}"
        f"{_rate(one['chrf']):>6}{rates}{soon:>13}"
    )


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return _rate(value)
    return f"{value:.3f} ({interval[0]:.3f}..{interval[1]:.3f})"


def _signed(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "-"
    return f"{value:+.3f} ({interval[0]:+.3f}..{interval[1]:+.3f})"
