"""How well spoken questions are answered, arm by arm, against the same questions in writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from audiochat.evaluation.arms import TEXT, Reply
from audiochat.evaluation.clips import Clip
from audiochat.evaluation.metrics import (
    Errors,
    chrf,
    count_errors,
    difference_ci95,
    normalise,
    perplexity,
    perplexity_difference_ci95,
    ratio,
    ratio_ci95,
)

HEARD_WELL_WER = 0.1
"""Rows heard at least this well show what is lost after hearing."""


@dataclass(frozen=True)
class Answered:
    """One clip with every arm's reply."""

    clip: Clip
    replies: dict[str, Reply]

    def errors(self, arm: str) -> Errors:
        """Edits between what was said and what this arm heard."""
        return count_errors(self.clip.line.spoken, self.replies[arm].heard or "")


def report(rows: Sequence[Answered], arms: Sequence[str]) -> dict[str, Any]:
    """Return the figures of each arm, the comparisons, and every row."""
    return {
        "arms": {arm: summary(rows, arm) for arm in arms},
        "retention": {arm: retention(rows, arm) for arm in arms if arm != TEXT},
        "paired": {
            f"{ours}-{theirs}": paired(rows, ours, theirs)
            for theirs, ours in combinations(_by_rank(arms), 2)
        },
        "rows": [_row(row, arms) for row in rows],
    }


def summary(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    """Return one arm's figures.

    `perplexity` is of the text arm's replies, `chrf` and `exact` compare with them; clips in which
    nothing was heard have no perplexity, `perplexity_n` counts the others.
    """
    replies = [row.replies[arm] for row in rows]
    wanted = [row.replies[TEXT] for row in rows]
    judged = [float(reply.success) for reply in replies if reply.success is not None]
    scored = [reply for reply in replies if reply.nll is not None]
    errors = [row.errors(arm) for row in rows] if arm != TEXT else []
    same = [normalise(a.text) == normalise(b.text) for a, b in zip(replies, wanted, strict=True)]
    return {
        "n": len(rows),
        "success": ratio(judged, [1] * len(judged)) if judged else None,
        "success_n": len(judged),
        "success_ci95": ratio_ci95(judged, [1] * len(judged)) if judged else None,
        "perplexity": perplexity([r.nll or 0.0 for r in scored], [r.n_tokens for r in scored]),
        "perplexity_n": len(scored),
        "chrf": chrf([reply.text for reply in replies], [reply.text for reply in wanted]),
        "exact": ratio([float(one) for one in same], [1] * len(same)),
        "bleu": None,
        "wer": ratio([e.errors for e in errors], [e.words for e in errors]) if errors else None,
        "first_text_ms": _times([r.first_text_ms for r in replies if r.first_text_ms is not None]),
    }


def retention(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    """Return the share of the text arm's success that an arm keeps: over all rows with an answer,
    and over those it heard well.
    """
    judged = [row for row in rows if row.replies[arm].success is not None]
    heard = [row for row in judged if _heard_well(row.errors(arm))]
    return {"all": _kept(judged, arm), f"wer<={HEARD_WELL_WER:g}": _kept(heard, arm)}


def paired(rows: Sequence[Answered], ours: str, theirs: str) -> dict[str, Any]:
    """Return `ours` less `theirs` on the same rows: success and perplexity.

    `ci95` is of the success; of the perplexity where no row has an answer.
    """
    judged = [r for r in rows if r.replies[ours].success is not None]
    first = [float(r.replies[ours].success or 0) for r in judged]
    second = [float(r.replies[theirs].success or 0) for r in judged]
    scored = [r for r in rows if None not in (r.replies[ours].nll, r.replies[theirs].nll)]
    losses = [[r.replies[arm].nll or 0.0 for r in scored] for arm in (ours, theirs)]
    tokens = [r.replies[ours].n_tokens for r in scored]
    values = [perplexity(one, tokens) for one in losses]
    difference = None if values[0] is None or values[1] is None else values[0] - values[1]
    unsure = perplexity_difference_ci95(losses[0], losses[1], tokens)
    return {
        "success": float(np.mean(first) - np.mean(second)) if judged else None,
        "perplexity": difference,
        "ci95": difference_ci95(first, second) if judged else unsure,
        "perplexity_ci95": unsure,
        "n": len(rows),
    }


def _by_rank(arms: Sequence[str]) -> list[str]:
    """The hearing arms, the plainest first: a pair is named "better-plainer"."""
    return [arm for arm in ("cascade", "end_to_end", "hybrid") if arm in arms]


def _heard_well(errors: Errors) -> bool:
    return errors.words > 0 and errors.errors <= HEARD_WELL_WER * errors.words


def _kept(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    ours = sum(bool(row.replies[arm].success) for row in rows)
    written = sum(bool(row.replies[TEXT].success) for row in rows)
    return {"retention": ours / written if written else None, "n": len(rows)}


def _times(times_ms: Sequence[float]) -> dict[str, float] | None:
    if not times_ms:
        return None
    median, p95 = np.percentile(times_ms, [50, 95])
    return {"median": round(float(median), 1), "p95": round(float(p95), 1)}


def _row(row: Answered, arms: Sequence[str]) -> dict[str, Any]:
    return {
        "audio": row.clip.name,
        "text": row.clip.line.text,
        "answer": list(row.clip.answers) or None,
        "arms": {
            arm: {
                "heard": row.replies[arm].heard,
                "reply": row.replies[arm].text,
                "success": row.replies[arm].success,
                "nll": row.replies[arm].nll,
                "tokens": row.replies[arm].n_tokens,
            }
            for arm in arms
        },
    }
