"""How well spoken questions are answered, arm by arm, against the same questions in writing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiochat.evaluation.answered import Answered
from audiochat.evaluation.arms import TEXT, Reply
from audiochat.evaluation.cases import ANSWER, SUMMARISE, TRANSCRIBE, TRANSLATE
from audiochat.evaluation.comparisons import obeyed, paired, pairs, retention
from audiochat.evaluation.metrics import (
    best_chrf,
    bleu,
    chrf,
    chrf_ci95,
    count_errors,
    normalise,
    perplexity,
    perplexity_ci95,
    ratio,
    ratio_ci95,
)

DONE_WER = 0.1
"""A transcription with at most this word error rate has done its task."""

DONE_CHRF = 0.5
"""A translation or summary with at least this chrF to a reference has done its task."""


def figures(rows: Sequence[Answered], arms: Sequence[str]) -> dict[str, Any]:
    """Return the figures of some rows: of each arm, compared, and by set and task.

    `sets` and `tasks` are there when there is more than one, `obeyed` when a row has forbidden
    words.
    """
    found = _compared(rows, arms)
    for key, name_of in (("sets", _set_of), ("tasks", _task_of)):
        names = sorted({name_of(row) for row in rows})
        if len(names) > 1:
            found[key] = {
                name: _compared([row for row in rows if name_of(row) == name], arms)
                for name in names
            }
    forbidding = [row for row in rows if row.case.forbidden]
    if forbidding:
        found["obeyed"] = {arm: obeyed(forbidding, arm) for arm in arms}
    return found


def summary(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    """Return one arm's figures.

    `perplexity` is of the text arm's replies, `chrf` and `exact` compare with them; clips in which
    nothing was heard have no perplexity, `perplexity_n` counts the others.
    """
    replies = [row.replies[arm] for row in rows]
    texts = [reply.text for reply in replies]
    wanted = [row.replies[TEXT].text for row in rows]
    scored = [reply for reply in replies if reply.nll is not None]
    losses, tokens = [r.nll or 0.0 for r in scored], [r.n_tokens for r in scored]
    errors = [row.errors(arm) for row in rows] if arm != TEXT else []
    same = [float(normalise(a) == normalise(b)) for a, b in zip(texts, wanted, strict=True)]
    return {
        "n": len(rows),
        **_success(replies),
        "perplexity": perplexity(losses, tokens),
        "perplexity_ci95": perplexity_ci95(losses, tokens),
        "perplexity_n": len(scored),
        "chrf": chrf(texts, wanted),
        "chrf_ci95": chrf_ci95(texts, wanted),
        "exact": ratio(same, [1] * len(same)),
        **_against_references(rows, arm),
        **_done(rows, arm),
        "wer": ratio([e.errors for e in errors], [e.words for e in errors]) if errors else None,
        "first_text_ms": times([r.first_text_ms for r in replies if r.first_text_ms is not None]),
    }


def times(times_ms: Sequence[float]) -> dict[str, float] | None:
    """Return the median and the 95th percentile; None of nothing."""
    if not times_ms:
        return None
    median, p95 = np.percentile(times_ms, [50, 95])
    return {"median": round(float(median), 1), "p95": round(float(p95), 1)}


def first_text(arms: dict[str, Any], greedy_ms: Sequence[float] | None) -> dict[str, Any]:
    """Return the time of the cascade that reads greedily, and the other arms' beside it.

    Args:
        arms: The figures of each arm, of the same run.
        greedy_ms: Its times; None where the model's own cascade reads greedily.
    """
    medians = {arm: (one["first_text_ms"] or {}).get("median") for arm, one in arms.items()}
    greedy = arms["cascade"]["first_text_ms"] if greedy_ms is None else times(greedy_ms)
    beside = {"cascade_greedy": (greedy or {}).get("median"), "cascade": medians["cascade"]}
    return {
        "cascade_greedy": greedy,
        "ratios": {
            f"{arm}/{name}": round(ours / theirs, 4)
            for arm, ours in medians.items()
            for name, theirs in beside.items()
            if ours and theirs and arm not in (TEXT, name)
        },
    }


def rows_as_json(rows: Sequence[Answered], arms: Sequence[str]) -> list[dict[str, Any]]:
    """Return every row with what each arm heard and answered."""
    return [
        {
            "audio": row.clip.name,
            "text": row.clip.line.text,
            "answer": list(row.case.answers) or None,
            "set": row.clip.line.set_name,
            "task": row.case.task,
            "arms": {arm: _reply(row.replies[arm]) for arm in arms},
        }
        for row in rows
    ]


def _compared(rows: Sequence[Answered], arms: Sequence[str]) -> dict[str, Any]:
    return {
        "arms": {arm: summary(rows, arm) for arm in arms},
        "retention": {arm: retention(rows, arm) for arm in arms if arm != TEXT},
        "paired": {f"{a}-{b}": paired(rows, a, b) for a, b in pairs(arms)},
    }


def _success(replies: Sequence[Reply]) -> dict[str, Any]:
    judged = [float(reply.success) for reply in replies if reply.success is not None]
    ones = [1] * len(judged)
    return {
        "success": ratio(judged, ones) if judged else None,
        "success_n": len(judged),
        "success_ci95": ratio_ci95(judged, ones) if judged else None,
    }


def _against_references(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    """BLEU of translations and summaries, word error rate of transcriptions."""
    referred = [r for r in rows if r.case.task in (TRANSLATE, SUMMARISE) and r.case.answers]
    written = [r for r in rows if r.case.task == TRANSCRIBE]
    errors = [count_errors(r.clip.line.spoken, r.replies[arm].text) for r in written]
    return {
        "bleu": bleu([r.replies[arm].text for r in referred], [r.case.answers for r in referred]),
        "bleu_n": len(referred),
        "reply_wer": ratio([e.errors for e in errors], [e.words for e in errors])
        if errors
        else None,
    }


def _done(rows: Sequence[Answered], arm: str) -> dict[str, Any]:
    """How often the task itself is done; of rows that have something to judge it by."""
    clear = [row for row in rows if row.case.answers or row.case.task == TRANSCRIBE]
    judged = [float(_does(row, arm)) for row in clear]
    ones = [1] * len(judged)
    return {
        "done": ratio(judged, ones) if judged else None,
        "done_n": len(judged),
        "done_ci95": ratio_ci95(judged, ones) if judged else None,
    }


def _does(row: Answered, arm: str) -> bool:
    reply = row.replies[arm]
    if row.case.task == ANSWER:
        return bool(reply.success)
    if row.case.task == TRANSCRIBE:
        errors = count_errors(row.clip.line.spoken, reply.text)
        return errors.errors <= DONE_WER * errors.words
    return best_chrf(reply.text, row.case.answers) >= DONE_CHRF


def _set_of(row: Answered) -> str:
    return row.clip.line.set_name


def _task_of(row: Answered) -> str:
    return row.case.task


def _reply(reply: Reply) -> dict[str, Any]:
    """One reply; `dropped` says how many turns of its history did not fit."""
    return {
        "heard": reply.heard,
        "reply": reply.text,
        "success": reply.success,
        "nll": reply.nll,
        "tokens": reply.n_tokens,
        **({"dropped": reply.n_dropped} if reply.n_dropped else {}),
    }
