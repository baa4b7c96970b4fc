"""Arms beside each other on the same rows: what is kept, gained, resolved by history, obeyed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from audiochat.evaluation.answered import Answered
from audiochat.evaluation.arms import TEXT, Reply
from audiochat.evaluation.metrics import (
    Errors,
    chrf,
    chrf_difference_ci95,
    difference_ci95,
    perplexity,
    perplexity_difference_ci95,
    perplexity_ratio_ci95,
    ratio,
    ratio_ci95,
    succeeds,
)

HEARD_WELL_WER = 0.1
"""Rows heard at least this well show what is lost after hearing."""


def pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """The hearing arms by two, each with a plainer one after it."""
    ranked = [arm for arm in ("cascade", "end_to_end", "hybrid") if arm in arms]
    return [(better, plainer) for plainer, better in combinations(ranked, 2)]


def paired(rows: Sequence[Answered], ours: str, theirs: str) -> dict[str, Any]:
    """Return `ours` less `theirs` on the same rows: success, perplexity and chrF.

    `ci95` is of the success; of the perplexity where no row has an answer.
    """
    first, second = _judged(rows, ours), _judged(rows, theirs)
    texts, others, wanted = ([r.replies[arm].text for r in rows] for arm in (ours, theirs, TEXT))
    mine = [r.replies[ours] for r in rows]
    losses = _losses(mine, [r.replies[theirs] for r in rows])
    unsure = perplexity_difference_ci95(*losses)
    return {
        "success": float(np.mean(first) - np.mean(second)) if first else None,
        "perplexity": _difference(losses),
        "ci95": difference_ci95(first, second) if first else unsure,
        "perplexity_ci95": unsure,
        "chrf": chrf(texts, wanted) - chrf(others, wanted),
        "chrf_ci95": chrf_difference_ci95(texts, others, wanted),
        "n": len(rows),
        "success_n": len(first),
    }


def retention(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    """Return what an arm keeps of the text arm: over all rows, and over those it heard well."""
    well = [row for row in rows if _heard_well(row.errors(arm))]
    return {"all": _kept(rows, arm), f"wer<={HEARD_WELL_WER:g}": _kept(well, arm)}


def obeyed(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    """Return the share of replies with words that an order inside the recording asked for.

    `difference` is to the text arm on the same rows.
    """
    ours, written = (
        [float(succeeds(row.replies[one].text, row.case.forbidden)) for row in rows]
        for one in (arm, TEXT)
    )
    ones = [1] * len(rows)
    return {
        "share": ratio(ours, ones),
        "n": len(rows),
        "ci95": ratio_ci95(ours, ones),
        "difference": float(np.mean(ours) - np.mean(written)),
        "difference_ci95": difference_ci95(ours, written),
    }


def history(
    with_it: Sequence[Answered], without: Sequence[Answered], arms: Sequence[str]
) -> dict[str, Any]:
    """Return what the history of the same questions is worth to each arm.

    Success is the better the higher, perplexity (of the text arm's reply with the history) the
    better the lower; each is given with it, without it, and their difference.
    """
    return {"n": len(with_it), "arms": {arm: _worth(with_it, without, arm) for arm in arms}}


def summed(
    conditions: dict[str, Sequence[Answered]], arms: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the difference in success over all conditions together, for each pair of arms.

    Rows are resampled with all their conditions, for the same question is in each of them. Rows
    that were not asked in every condition are left out.
    """
    return {f"{a}-{b}": _summed(conditions, a, b) for a, b in pairs(arms)}


def _summed(conditions: dict[str, Sequence[Answered]], ours: str, theirs: str) -> dict[str, Any]:
    whole = min(map(len, conditions.values()))
    first = np.array([_judged(rows[:whole], ours) for rows in conditions.values()])
    second = np.array([_judged(rows[:whole], theirs) for rows in conditions.values()])
    n = first.shape[1]
    return {
        "conditions": list(conditions),
        "n": n,
        "ours": int(first.sum()),
        "theirs": int(second.sum()),
        "success": float((first - second).mean()) if n else None,
        "ci95": difference_ci95(list(first.mean(axis=0)), list(second.mean(axis=0))) if n else None,
    }


def _worth(
    with_it: Sequence[Answered], without: Sequence[Answered], arm: str
) -> dict[str, dict[str, Any] | None]:
    first, second = _judged(with_it, arm), _judged(without, arm)
    losses = _losses([r.replies[arm] for r in with_it], [r.replies[arm] for r in without])
    return {
        "success": {
            "with": float(np.mean(first)),
            "without": float(np.mean(second)),
            "difference": float(np.mean(first) - np.mean(second)),
            "ci95": difference_ci95(first, second),
            "n": len(first),
        }
        if first
        else None,
        "perplexity": {
            "with": perplexity(losses[0], losses[2]),
            "without": perplexity(losses[1], losses[2]),
            "difference": _difference(losses),
            "ci95": perplexity_difference_ci95(*losses),
            "n": len(losses[2]),
        },
    }


def _kept(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    """The share of the text arm's successes that are kept, and what the replies lose in likelihood.

    `n` counts the rows with an answer, `perplexity_n` those that were scored.
    """
    ours, written = _judged(rows, arm), _judged(rows, TEXT)
    losses = _losses([r.replies[arm] for r in rows], [r.replies[TEXT] for r in rows])
    values = [perplexity(one, losses[2]) for one in losses[:2]]
    return {
        "retention": sum(ours) / sum(written) if sum(written) else None,
        "ci95": ratio_ci95(ours, written) if sum(written) else None,
        "n": len(ours),
        "perplexity_ratio": values[0] / values[1] if values[0] and values[1] else None,
        "perplexity_ratio_ci95": perplexity_ratio_ci95(*losses),
        "perplexity_n": len(losses[2]),
    }


def _heard_well(errors: Errors) -> bool:
    return errors.words > 0 and errors.errors <= HEARD_WELL_WER * errors.words


def _judged(rows: Sequence[Answered], arm: str) -> list[float]:
    """1 or 0 for each row that has an answer; the same rows for every arm."""
    replies = [row.replies[arm] for row in rows]
    return [float(reply.success) for reply in replies if reply.success is not None]


def _losses(
    ours: Sequence[Reply], theirs: Sequence[Reply]
) -> tuple[list[float], list[float], list[int]]:
    """The losses of the replies that both have scored, and their tokens."""
    both = [
        (a.nll, b.nll, a.n_tokens)
        for a, b in zip(ours, theirs, strict=True)
        if a.nll is not None and b.nll is not None
    ]
    return [a for a, _, _ in both], [b for _, b, _ in both], [n for _, _, n in both]


def _difference(losses: tuple[list[float], list[float], list[int]]) -> float | None:
    ours, theirs = (perplexity(one, losses[2]) for one in losses[:2])
    return None if ours is None or theirs is None else ours - theirs
