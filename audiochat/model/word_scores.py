"""What words are worth to the beam search: by an n-gram model, and by what is expected."""

import math
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from typing import Self

from audiochat.errors import ModelError
from audiochat.model.ngram import END, START, Ngrams, plain_word

NEVER = -math.inf
MAX_KNOWN = 1 << 17
"""Beginnings of words whose worth is remembered: a server would gather misspelt ones for ever."""
RARE = -10.0
"""Words whose log probability, regardless of context, is below this are worth expecting."""


@dataclass(frozen=True)
class BeamConfig:
    """How wide to search and how much to believe the n-gram model.

    Wider than the best text needs, for `reader` chooses among those that are left: a clip of 4 s
    takes a twentieth of a second of one core. The weights were chosen on the development clips for
    the shipped encoder. A better one wants less of the n-gram model.
    """

    width: int = 96
    """Prefixes kept after each frame."""
    min_log_posterior: float = -8.0
    """Units less likely than this in a frame are not tried there."""
    max_units: int = 12
    """Units tried in a frame, the blank apart."""
    max_behind: float = 10.0
    """Prefixes this far behind the best are dropped (natural log)."""
    lm_weight: float = 0.4
    """Of a word's log probability."""
    word_bonus: float = 1.5
    """Added for each word: the n-gram model alone prefers few."""
    unknown_penalty: float = 6.0
    """Taken off for a word that the n-gram model has never seen, beside its UNKNOWN's price."""
    expected_log_prob: float = -3.0
    """Least log probability of a word that is expected, whatever the n-gram model says of it."""

    def __post_init__(self) -> None:
        """Refuse a search that finds nothing."""
        if self.width < 1 or self.max_units < 1:
            raise ModelError("A beam search needs a width and max_units of at least 1.")


class WordScores:
    """What the n-gram model adds to a prefix: for its whole words, and for the one begun."""

    def __init__(self, ngrams: Ngrams, config: BeamConfig) -> None:
        """Prepare the best any beginning of a word can still become."""
        self._ngrams, self._config = ngrams, config
        self._expected: frozenset[str] = frozenset()
        self._best_ahead: dict[str, float] = {}
        self._likely = ngrams.vocabulary()
        for word, log_prob in self._likely.items():
            self._may_become(word, log_prob)
        # What is begun is worth no more than the likeliest word, or, off the list, than this.
        unknown = ngrams.log_prob("", "") * config.lm_weight - config.unknown_penalty
        self.unknown = unknown + config.word_bonus
        self._known: dict[str, float] = {}
        likeliest = max(self._best_ahead.values(), default=NEVER) * config.lm_weight
        self.best_begun = max(self.unknown, likeliest + config.word_bonus, 0.0)
        self.start = ngrams.extended("", START)

    def rare(self, words: Iterable[str]) -> frozenset[str]:
        """Those of some plain words that the n-gram model does not expect of itself."""
        return frozenset(w for w in words if w not in self._ngrams or self._likely[w] < RARE)

    def expecting(self, words: Iterable[str]) -> Self:
        """The same where these plain words are likelier than the n-gram model knows."""
        other = copy(self)
        other._expected = frozenset(words)
        other._best_ahead, other._known = dict(self._best_ahead), {}
        expected = self._config.expected_log_prob * self._config.lm_weight
        other.best_begun = max(self.best_begun, expected + self._config.word_bonus)
        for word in other._expected:
            other._may_become(word, self._config.expected_log_prob)
        return other

    def _may_become(self, word: str, log_prob: float) -> None:
        for length in range(1, len(word) + 1):
            begun = word[:length]
            if log_prob > self._best_ahead.get(begun, NEVER):
                self._best_ahead[begun] = log_prob

    def whole(self, context: str, written: str) -> tuple[str, float]:
        """The context after a whole word, and what the word is worth."""
        word = plain_word(written)
        if not word:
            return context, 0.0
        log_prob = self._ngrams.log_prob(context, word)
        worth = log_prob * self._config.lm_weight
        if word in self._expected:
            worth = max(log_prob, self._config.expected_log_prob) * self._config.lm_weight
        elif word not in self._ngrams:
            worth -= self._config.unknown_penalty
        return self._ngrams.extended(context, word), worth + self._config.word_bonus

    def begun(self, written: str) -> float:
        """What a word that has begun may at best be worth, regardless of context."""
        worth = self._known.get(written)
        if worth is None:
            if len(self._known) > MAX_KNOWN:
                self._known.clear()
            worth = self._known[written] = self._begun(plain_word(written))
        return worth

    def _begun(self, word: str) -> float:
        if not word:
            return 0.0
        ahead = self._best_ahead.get(word)
        if ahead is None:
            return self.unknown
        return ahead * self._config.lm_weight + self._config.word_bonus

    def end(self, context: str) -> float:
        """What ending after `context` is worth."""
        return self._ngrams.log_prob(context, END) * self._config.lm_weight
