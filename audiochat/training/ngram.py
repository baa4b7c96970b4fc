"""Counts n-grams of text and writes them as an ARPA file.

The estimate is interpolated modified Kneser-Ney (Chen and Goodman 1999, section 4.1.6).
"""

import gzip
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from audiochat.errors import DataError
from audiochat.model.ngram import END, NEVER, START, UNKNOWN, plain_words

Ngram = tuple[str, ...]

MAX_ORDER = 4
_FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where text is too small to estimate them from; those of KenLM's --discount_fallback."""


@dataclass(frozen=True)
class NgramRecipe:
    """What is counted and kept."""

    order: int = 3
    """Words looked at together."""
    min_counts: tuple[int, ...] = (1, 2, 2, 2)
    """An n-gram of 1, 2, 3, 4 words is kept when it is seen this often; never falling."""

    def __post_init__(self) -> None:
        """Refuse what cannot be estimated."""
        if not 1 <= self.order <= MAX_ORDER:
            raise DataError(f"--order must be 1 to {MAX_ORDER}, not {self.order}.")
        needed = self.min_counts[: self.order]
        # A kept n-gram needs its beginning and its end kept as well.
        if len(needed) < self.order or list(needed) != sorted(needed) or needed[0] < 1:
            raise DataError(
                f"--min-counts takes a count for each of {self.order} orders, from 1 up and none "
                f"below the one before it, not {self.min_counts}."
            )


@dataclass(frozen=True)
class Estimate:
    """One order of the model."""

    probabilities: dict[Ngram, float]
    backoffs: dict[Ngram, float]
    """Of contexts one word shorter than the n-grams: the mass left to the lower order."""


def estimate(texts: Iterable[str], recipe: NgramRecipe) -> list[Estimate]:
    """The interpolated probabilities of each order, the unigrams first.

    Raises:
        DataError: there are no words in the texts.
    """
    counts = _count(texts, recipe)
    if len(counts[0]) < 3:
        raise DataError("There are no words to count in the text given.")
    events = {gram: count for gram, count in counts[0].items() if gram != (START,)}
    events.setdefault((UNKNOWN,), 0)
    kept = {
        order: {gram for gram, count in grams.items() if count >= recipe.min_counts[order - 1]}
        for order, grams in enumerate(counts[1:], start=2)
    }
    lower = dict.fromkeys(events, 1.0 / len(events))
    estimates = []
    for order in range(1, recipe.order + 1):
        adjusted = _adjusted(counts, order)
        if order == 1:
            adjusted = {gram: adjusted.get(gram, 0) for gram in events}
        found = _interpolate(adjusted, kept.get(order, set(events)), lower)
        estimates.append(found)
        lower = found.probabilities
    return estimates


def _count(texts: Iterable[str], recipe: NgramRecipe) -> list[Counter[Ngram]]:
    """Plain counts of each order; words seen too seldom are UNKNOWN."""
    sentences = [words for words in map(plain_words, texts) if words]
    seen = Counter(word for words in sentences for word in words)
    counts: list[Counter[Ngram]] = [Counter() for _ in range(recipe.order)]
    for words in sentences:
        known = [word if seen[word] >= recipe.min_counts[0] else UNKNOWN for word in words]
        padded = [START, *known, END]
        for order, grams in enumerate(counts, start=1):
            grams.update(zip(*(padded[at:] for at in range(order)), strict=False))
    return counts


def _adjusted(counts: list[Counter[Ngram]], order: int) -> dict[Ngram, int]:
    """Below the highest order: how many different words come before; a START has none."""
    if order == len(counts):
        return dict(counts[order - 1])
    before: Counter[Ngram] = Counter(gram[1:] for gram in counts[order])
    starts = {gram: count for gram, count in counts[order - 1].items() if gram[0] == START}
    return {**before, **starts}


def _interpolate(
    adjusted: dict[Ngram, int], kept: set[Ngram], lower: dict[Ngram, float]
) -> Estimate:
    """Discount kept n-grams; what is taken off, and all of those dropped, goes to `lower`."""
    discounts = _discounts(adjusted)
    totals: defaultdict[Ngram, int] = defaultdict(int)
    taken: defaultdict[Ngram, float] = defaultdict(float)
    for gram, count in adjusted.items():
        totals[gram[:-1]] += count
        taken[gram[:-1]] += discounts[min(count, 3)] if gram in kept else count
    backoffs = {context: taken[context] / total for context, total in totals.items()}
    probabilities = {}
    for gram in kept:
        context, count = gram[:-1], adjusted[gram]
        below = lower[gram[1:] or gram]
        share = (count - discounts[min(count, 3)]) / totals[context]
        probabilities[gram] = share + backoffs[context] * below
    return Estimate(probabilities, backoffs)


def _discounts(adjusted: dict[Ngram, int]) -> tuple[float, ...]:
    """What is taken off counts of 0, 1, 2, and 3 or more."""
    n1, n2, n3, n4 = (sum(1 for c in adjusted.values() if c == of) for of in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return (0.0, *_FALLBACK_DISCOUNTS)
    share = n1 / (n1 + 2 * n2)
    found = (1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3)
    if not all(0 < discount <= of for of, discount in enumerate(found, start=1)):
        return (0.0, *_FALLBACK_DISCOUNTS)
    return (0.0, *found)


def write_arpa(estimates: list[Estimate], path: Path) -> None:
    """Write an ARPA file, gzipped if it is named so; the same n-grams give the same bytes."""
    data = ("\n".join(_arpa_lines(estimates)) + "\n").encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _arpa_lines(estimates: list[Estimate]) -> Iterator[str]:
    tables = [dict(one.probabilities) for one in estimates]
    tables[0][(START,)] = 0.0
    yield "\\data\\"
    for order, table in enumerate(tables, start=1):
        yield f"ngram {order}={len(table)}"
    backoffs = [*(one.backoffs for one in estimates[1:]), {}]
    for order, (table, weights) in enumerate(zip(tables, backoffs, strict=True), start=1):
        yield ""
        yield f"\\{order}-grams:"
        for gram in sorted(table):
            line = f"{_log10(table[gram]):.4g}\t{' '.join(gram)}"
            yield f"{line}\t{_log10(weights[gram]):.4g}" if gram in weights else line
    yield ""
    yield "\\end\\"


def _log10(probability: float) -> float:
    return math.log10(probability) if probability > 0 else NEVER
