"""Scores of what was heard and of what was answered, with their uncertainty.

Words are compared after Whisper's English normaliser; all rates are fractions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import zip_longest

import jiwer
import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from whisper_normalizer.english import EnglishTextNormalizer

N_RESAMPLES = 2_000
"""Bootstrap samples; the ends of a 95 % interval then move by about a hundredth of its width."""

N_CHUNKS = 20
"""Parts that the resamples are summed in: whole, as floats, they are a gigabyte for 60,000 rows."""

CHRF_ORDER = 6
"""Longest character n-grams that chrF compares (Popović 2015)."""

CHRF_BETA = 2
"""How much more recall counts than precision in chrF."""

Interval = tuple[float, float]


@cache
def _normaliser() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


@lru_cache(maxsize=1 << 16)
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


@lru_cache(maxsize=1 << 16)
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
    """95 % interval of `ratio`."""
    return _ci95([parts, wholes], lambda parts, wholes: parts / np.where(wholes > 0, wholes, 1.0))


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


def chrf_ci95(replies: Sequence[str], references: Sequence[str]) -> Interval:
    """95 % interval of `chrf`."""
    return _ci95(_chrf_counts(replies, references), _chrf_of_sums)


def chrf_difference_ci95(
    ours: Sequence[str], theirs: Sequence[str], references: Sequence[str]
) -> Interval:
    """95 % interval of the chrF of `ours` less that of `theirs`, both of the same rows."""
    counts = [*_chrf_counts(ours, references), *_chrf_counts(theirs, references)]
    half = len(counts) // 2
    return _ci95(counts, lambda *sums: _chrf_of_sums(*sums[:half]) - _chrf_of_sums(*sums[half:]))


def best_chrf(reply: str, references: Sequence[str]) -> float:
    """The chrF of one reply with the reference nearest to it, as a fraction."""
    return float(CHRF().sentence_score(reply, list(references)).score) / 100.0


def bleu(replies: Sequence[str], references: Sequence[Sequence[str]]) -> float | None:
    """Corpus BLEU (sacrebleu's, Post 2018) as a fraction; each reply has its own references."""
    if not replies:
        return None
    # sacrebleu wants the first references of all replies, then the second; None where there are
    # no more.
    streams = [list(stream) for stream in zip_longest(*references)]
    return float(BLEU().corpus_score(list(replies), streams).score) / 100.0


def perplexity(losses: Sequence[float], tokens: Sequence[int]) -> float | None:
    """Token-weighted perplexity of replies.

    Args:
        losses: each reply's summed negative log-likelihood.
        tokens: each reply's number of tokens.
    """
    return float(np.exp(ratio(losses, tokens))) if sum(tokens) else None


def perplexity_ci95(losses: Sequence[float], tokens: Sequence[int]) -> Interval | None:
    """95 % interval of `perplexity`; None without any token."""
    return _ci95([losses, tokens], _perplexity_of_sums) if sum(tokens) else None


def perplexity_difference_ci95(
    ours: Sequence[float], theirs: Sequence[float], tokens: Sequence[int]
) -> Interval | None:
    """95 % interval of the difference of two perplexities of the same replies; None without any."""
    if not sum(tokens):
        return None
    return _ci95(
        [ours, theirs, tokens],
        lambda ours, theirs, n: _perplexity_of_sums(ours, n) - _perplexity_of_sums(theirs, n),
    )


def perplexity_ratio_ci95(
    ours: Sequence[float], theirs: Sequence[float], tokens: Sequence[int]
) -> Interval | None:
    """95 % interval of one perplexity over another of the same replies; None without any."""
    differences = np.asarray(ours, float) - np.asarray(theirs, float)
    return perplexity_ci95(list(differences), tokens)


def _ci95(columns: Sequence[Sequence[float]], of_sums: Callable[..., np.ndarray]) -> Interval:
    """95 % interval of a figure, by resampling rows with replacement (Bisani and Ney 2004).

    The resampling is seeded: the same rows give the same interval, and pairs stay paired.

    Args:
        columns: what each row adds to each sum; all of one length.
        of_sums: the figure of each resample, from the sums (N_RESAMPLES,) of each column.
    """
    table = np.asarray(columns, float)
    if not table.shape[1]:
        return 0.0, 0.0
    drawn = np.array_split(_times_drawn(table.shape[1]), N_CHUNKS)
    sums = np.concatenate([chunk.astype(float) @ table.T for chunk in drawn])
    figures = of_sums(*sums.T)
    low, high = np.percentile(figures, [2.5, 97.5])
    return float(low), float(high)


@lru_cache(maxsize=2)
def _times_drawn(n: int) -> np.ndarray:
    """(N_RESAMPLES, n): how often each of n rows is in each resample."""
    rng = np.random.default_rng(0)
    times = np.empty((N_RESAMPLES, n), np.min_scalar_type(n))
    for row in times:
        row[:] = np.bincount(rng.integers(0, n, size=n), minlength=n)
    return times


def _perplexity_of_sums(losses: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    perplexities: np.ndarray = np.exp(losses / np.maximum(tokens, 1.0))
    return perplexities


def _chrf_counts(replies: Sequence[str], references: Sequence[str]) -> list[list[float]]:
    """Columns of n-grams in the replies, in the references and in both, for each length."""
    rows = []
    for reply, reference in zip(replies, references, strict=True):
        row: list[float] = []
        for length in range(1, CHRF_ORDER + 1):
            ours, theirs = _ngrams(reply, length), _ngrams(reference, length)
            # As sacrebleu counts: a reference too short for this length says nothing of it.
            row += [ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()]
        rows.append(row)
    return [list(column) for column in zip(*rows, strict=True)] or [[]]


def _ngrams(text: str, length: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[at : at + length] for at in range(len(letters) - length + 1))


def _chrf_of_sums(*sums: np.ndarray) -> np.ndarray:
    """The chrF of each resample: the mean of precision and recall over the lengths, then F."""
    ours, theirs, both = (np.stack(sums[kind::3]) for kind in range(3))
    lengths = np.maximum(((ours > 0) & (theirs > 0)).sum(axis=0), 1)
    precision = (both / np.maximum(ours, 1.0)).sum(axis=0) / lengths
    recall = (both / np.maximum(theirs, 1.0)).sum(axis=0) / lengths
    below = CHRF_BETA**2 * precision + recall
    scores: np.ndarray = (1 + CHRF_BETA**2) * precision * recall / np.where(below > 0, below, 1.0)
    return scores
