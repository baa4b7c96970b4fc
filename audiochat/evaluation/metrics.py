"""Scores of what was heard and of what was answered, with their uncertainty.

Words are compared after Whisper's English normaliser; all rates are fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jiwer
import numpy as np
from sacrebleu.metrics.chrf import CHRF
from whisper_normalizer.english import EnglishTextNormalizer

N_RESAMPLES = 2_000
"""Bootstrap samples; the ends of a 95 % interval then move by about a hundredth of its width."""

Interval = tuple[float, float]


@cache
def _normaliser() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


def normalise(text: str) -> str:
    """Text as it is compared: lower case, no punctuation, one spelling and one way of numbers."""
    return str(_normaliser()(text)).strip()


@dataclass(frozen=True)
class Errors:
    """Edits between what was said and what was heard, in words and in characters."""

    errors: int
    words: int
    char_errors: int
    chars: int


def count_errors(said: str, heard: str) -> Errors:
    """Count substitutions, deletions and insertions after normalising both."""
    reference, hypothesis = normalise(said), normalise(heard)
    in_words = jiwer.process_words([reference], [hypothesis])
    in_chars = jiwer.process_characters([reference], [hypothesis])
    return Errors(
        errors=in_words.substitutions + in_words.deletions + in_words.insertions,
        words=len(reference.split()),
        char_errors=in_chars.substitutions + in_chars.deletions + in_chars.insertions,
        chars=len(reference),
    )


def ratio(parts: Sequence[float], wholes: Sequence[float]) -> float:
    """The sum of the parts over the sum of the wholes; 0 when there is nothing."""
    whole = float(np.sum(wholes))
    return float(np.sum(parts)) / whole if whole else 0.0


def ratio_ci95(parts: Sequence[float], wholes: Sequence[float]) -> Interval:
    """95 % interval of `ratio`, by resampling clips with replacement (Bisani and Ney 2004).

    The resampling is seeded: the same figures give the same interval.
    """
    if not parts:
        return 0.0, 0.0
    above, below = np.asarray(parts, float), np.asarray(wholes, float)
    drawn = _resamples(len(above))
    totals = below[drawn].sum(axis=1)
    ratios = above[drawn].sum(axis=1) / np.where(totals > 0, totals, 1.0)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def difference_ci95(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """95 % interval of the mean of `ours` less `theirs`, both of the same rows."""
    differences = np.asarray(ours, float) - np.asarray(theirs, float)
    return ratio_ci95(list(differences), [1.0] * len(differences))


def succeeds(reply: str, answers: Sequence[str]) -> bool:
    """Whether any of the right answers stands in the reply, as whole words, normalised."""
    said = f" {normalise(reply)} "
    wanted = [normalise(answer) for answer in answers]
    return any(answer and f" {answer} " in said for answer in wanted)


def chrf(replies: Sequence[str], references: Sequence[str]) -> float:
    """Overlap of character n-grams (chrF, Popović 2015) as a fraction."""
    if not replies:
        return 0.0
    return float(CHRF().corpus_score(list(replies), [list(references)]).score) / 100.0


def perplexity(losses: Sequence[float], tokens: Sequence[int]) -> float | None:
    """Token-weighted perplexity of replies.

    Args:
        losses: each reply's summed negative log-likelihood.
        tokens: each reply's number of tokens.
    """
    return float(np.exp(ratio(losses, tokens))) if sum(tokens) else None


def perplexity_difference_ci95(
    ours: Sequence[float], theirs: Sequence[float], tokens: Sequence[int]
) -> Interval | None:
    """95 % interval of the difference of two perplexities of the same replies; None without any."""
    if not sum(tokens):
        return None
    drawn = _resamples(len(tokens))
    counts = np.maximum(np.asarray(tokens, float)[drawn].sum(axis=1), 1.0)
    first, second = (
        np.exp(np.asarray(losses, float)[drawn].sum(axis=1) / counts) for losses in (ours, theirs)
    )
    low, high = np.percentile(first - second, [2.5, 97.5])
    return float(low), float(high)


@cache
def _resamples(n: int) -> np.ndarray:
    """(N_RESAMPLES, n) indices; the same draws for every metric, so that pairs stay paired."""
    return np.random.default_rng(0).integers(0, n, size=(N_RESAMPLES, n))
