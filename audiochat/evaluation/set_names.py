"""Rare names in questions that are written in lower case, found by how training text uses words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from string import ascii_lowercase

MAX_SEEN = 3
"""Times that a rare word may occur in the training text."""
COMMON = 20
"""A rare word one letter away from one seen more often than this is taken for a misspelling."""
MIN_LETTERS = 4
MAX_NAME_WORDS = 4

_WORD = re.compile(r"[A-Za-z']+")
# What stands before a name; after an article a rare word is more often a plain noun.
_BEFORE = frozenset(
    (
        "did", "does", "is", "was", "has", "will", "are", "were", "plays", "played", "in", "of",
        "by", "near", "at", "from", "for", "about",
    )
)  # fmt: skip
_AFTER_NO_NAME = frozenset(("people", "language", "languages", "speaking", "culture"))
_ENDINGS = ("s", "es", "ed", "d", "ing", "ly", "er", "est", "ers", "ism", "ist", "ists")


class Vocabulary:
    """How often words occur in training text, and how often as names."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Count the words of all texts."""
        self._seen: Counter[str] = Counter()
        self._inside: Counter[str] = Counter()
        self._capital: Counter[str] = Counter()
        for text in texts:
            words = _WORD.findall(text)
            self._seen.update(word.lower() for word in words)
            if words and words[0][0].isupper():  # text without any capitals says nothing of names
                self._inside.update(word.lower() for word in words[1:])
                self._capital.update(word.lower() for word in words[1:] if word[0].isupper())

    def rare_name(self, question: str) -> tuple[str, int] | None:
        """The rare name in a question, with capitals, and how often training text has it.

        It is guessed, without a list of names: a rare word where a name may stand, together with
        the words of a name beside it.
        """
        words = [word.lower().removesuffix("'s") for word in _WORD.findall(question)]
        for at, word in enumerate(words):
            if at and self._rare(word):
                start, stop = self._around(words, at)
                if self._may_stand(words, start, stop):
                    return " ".join(map(str.capitalize, words[start:stop])), self._seen[word]
        return None

    def _may_stand(self, words: list[str], start: int, stop: int) -> bool:
        after = words[stop] if stop < len(words) else ""
        short = stop - start <= MAX_NAME_WORDS
        return short and words[start - 1] in _BEFORE and after not in _AFTER_NO_NAME

    def _around(self, words: list[str], at: int) -> tuple[int, int]:
        start, stop = at, at + 1
        while start > 1 and self._name_like(words[start - 1]):
            start -= 1
        while stop < len(words) and self._name_like(words[stop]):
            stop += 1
        return start, stop

    def _name_like(self, word: str) -> bool:
        return 2 * self._capital[word] > self._inside[word] or self._rare(word)

    def _rare(self, word: str) -> bool:
        if len(word) < MIN_LETTERS or self._seen[word] > MAX_SEEN:
            return False
        if 2 * self._capital[word] < self._seen[word]:
            return False  # seen as a plain word
        stems = (word.removesuffix(end) for end in _ENDINGS if word.endswith(end))
        derived = any(self._plain(stem) or self._plain(stem + "e") for stem in stems)
        return not derived and not any(self._seen[near] > COMMON for near in _one_letter_off(word))

    def _plain(self, word: str) -> bool:
        return 2 * self._capital[word] < self._seen[word]


def _one_letter_off(word: str) -> set[str]:
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    dropped = {head + tail[1:] for head, tail in cuts if tail}
    swapped = {head + tail[1] + tail[0] + tail[2:] for head, tail in cuts if len(tail) > 1}
    changed = {head + one + tail[1:] for head, tail in cuts if tail for one in ascii_lowercase}
    added = {head + one + tail for head, tail in cuts for one in ascii_lowercase}
    return dropped | swapped | changed | added
