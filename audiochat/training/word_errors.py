"""A word error rate to follow a run by, for machines that have little beside torch.

The figures to publish are those of `evaluate asr`, which normalises as published ones do.
"""

import re
from collections.abc import Iterable, Sequence

_NO_WORD = re.compile(r"[^a-z0-9' ]+")


def plain_words(text: str) -> list[str]:
    """The words in lower case, without punctuation."""
    return _NO_WORD.sub(" ", text.lower().replace("’", "'")).split()


def edit_distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions from one to the other (Levenshtein 1966)."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(said, start=1):
        diagonal, row[0] = row[0], at
        for column, other in enumerate(heard, start=1):
            best = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], best
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Errors a word of what was said, over all pairs of said and heard."""
    errors = words = 0
    for said, heard in pairs:
        reference = plain_words(said)
        errors += edit_distance(reference, plain_words(heard))
        words += len(reference)
    return errors / max(1, words)
