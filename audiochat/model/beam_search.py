"""CTC prefix beam search with an n-gram model of words (Hannun et al. 2014; Graves 2012).

Spelling is free: the model judges each word when it is whole, in lower case without punctuation,
so names it never saw can be heard, at a price. In plain Python, for posteriors of one clip.
"""

import math
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Self

from torch import Tensor

from audiochat.model.ngram import Ngrams, plain_word
from audiochat.model.units import BLANK, Units
from audiochat.model.word_scores import NEVER, BeamConfig, WordScores


@dataclass(frozen=True)
class Found:
    """One of the texts that a search found."""

    units: tuple[int, ...]
    sound: float
    """Its log posterior, over all paths the search followed."""
    words: float
    """What the n-gram model and the word bonuses add."""


@dataclass(slots=True, eq=False)
class _Prefix:
    """A node of the tree of unit sequences."""

    unit: int = BLANK
    parent: "_Prefix | None" = None
    context: str = ""
    word: str = ""
    """The word begun, as written."""
    worth: float = 0.0
    """Of the whole words before it."""
    ahead: float = 0.0
    """Of the word begun."""
    after: tuple[str, float] = ("", 0.0)
    """The context and the worth once the word begun is whole; known where `most` is."""
    most: float | None = None
    """The most that it and one more unit may be worth."""
    children: "dict[int, _Prefix]" = field(default_factory=dict)
    blank: float = NEVER
    """Log probability of all paths to it that end in a blank, up to this frame."""
    sounded: float = NEVER
    """Log probability of those that end in its unit."""
    total: float = NEVER
    """Of all paths to it; NEVER where it is not in the beam."""
    next_blank: float = NEVER
    next_sounded: float = NEVER
    score: float = NEVER

    def units(self) -> list[int]:
        """The units from the start to here."""
        found: list[int] = []
        node = self
        while node.parent is not None:
            found.append(node.unit)
            node = node.parent
        return found[::-1]


class BeamSearch:
    """Reads posteriors with an n-gram model, or by sound alone when there is none."""

    def __init__(
        self,
        units: Units,
        ngrams: Ngrams | None,
        config: BeamConfig = BeamConfig(),  # noqa: B008 (a frozen value)
    ) -> None:
        """Prepare the pieces of `units` and the scores of `ngrams`."""
        self._config, self.units = config, units
        self._pieces = [units.piece(unit).strip() for unit in range(units.size)]
        self._starts = [units.starts_word(unit) for unit in range(units.size)]
        self._scores = WordScores(ngrams, config) if ngrams else None

    def rare(self, words: Iterable[str]) -> frozenset[str]:
        """Those of some plain words that the n-gram model does not expect; none without one."""
        return self._scores.rare(words) if self._scores else frozenset()

    def expecting(self, words: Iterable[str]) -> Self:
        """The same search where these plain words are likelier, as those of a conversation are."""
        if self._scores is None:
            return self
        other = copy(self)
        other._scores = self._scores.expecting(words)
        return other

    def found(self, log_probs: Tensor) -> list[Found]:
        """log_probs: (T, V) of one clip → all prefixes kept at its end, the best first."""
        root = _Prefix(
            blank=0.0, total=0.0, score=0.0, context=self._scores.start if self._scores else ""
        )
        beam = [root]
        for blank, units in self._likely(log_probs):
            beam = self._step(beam, blank, units)
        ends = [self._finished(prefix) for prefix in beam]
        return sorted(ends, key=lambda end: end.sound + end.words, reverse=True)

    def _likely(self, log_probs: Tensor) -> list[tuple[float, list[tuple[int, float]]]]:
        """For each frame the blank's log posterior, and the units worth trying with theirs."""
        values, units = log_probs.topk(min(self._config.max_units + 1, log_probs.shape[1]))
        frames = []
        for blank, row, names in zip(
            log_probs[:, BLANK].tolist(), values.tolist(), units.tolist(), strict=True
        ):
            tried = [
                (unit, value)
                for unit, value in zip(names, row, strict=True)
                if unit != BLANK and value >= self._config.min_log_posterior
            ]
            frames.append((blank, tried))
        return frames

    def _step(
        self, beam: list[_Prefix], blank: float, units: list[tuple[int, float]]
    ) -> list[_Prefix]:
        """One frame further: every prefix with a blank, its unit again, or one unit more."""
        floor = self._floor(beam, blank, dict(units))
        reached = list(beam)
        for prefix in beam:
            most = prefix.most if prefix.most is not None else self._most(prefix)
            for unit, value in units:
                if prefix.total + value + most < floor:
                    break
                before = prefix.blank if unit == prefix.unit else prefix.total
                child = prefix.children.get(unit) or self._extend(prefix, unit)
                if before != NEVER and child.total == NEVER:  # else it is in the beam itself
                    child.next_sounded = before + value
                    reached.append(child)
        return self._survivors(reached)

    def _floor(self, beam: list[_Prefix], blank: float, units: dict[int, float]) -> float:
        """Take the prefixes in the beam one frame on, and return a score that none below outlives.

        They are as many as survive, or else what is too far behind the best of them does not.
        """
        scores = []
        for prefix in beam:
            prefix.next_blank = prefix.total + blank
            value = units.get(prefix.unit)
            if value is not None and prefix.parent is not None:
                parent = prefix.parent
                before = parent.blank if prefix.unit == parent.unit else parent.total
                prefix.next_sounded = _add(prefix.sounded, before) + value
            total = _add(prefix.next_blank, prefix.next_sounded)
            scores.append(total + prefix.worth + prefix.ahead)
        far_behind = max(scores) - self._config.max_behind
        return max(min(scores), far_behind) if len(beam) == self._config.width else far_behind

    def _most(self, prefix: _Prefix) -> float:
        """The most that a prefix and one more unit may be worth."""
        most = 0.0
        if self._scores is not None:
            prefix.after = prefix.context, prefix.worth
            if prefix.word:
                context, worth = self._scores.whole(prefix.context, prefix.word)
                prefix.after = context, prefix.worth + worth
            ahead = max(prefix.ahead, self._scores.unknown)
            if not plain_word(prefix.word):  # an apostrophe, say, before any word
                ahead = self._scores.best_begun
            most = max(prefix.worth + ahead, prefix.after[1] + self._scores.best_begun)
        prefix.most = most
        return most

    def _survivors(self, reached: list[_Prefix]) -> list[_Prefix]:
        """The best prefixes of those reached, moved on to the next frame."""
        for prefix in reached:
            prefix.blank, prefix.sounded = prefix.next_blank, prefix.next_sounded
            prefix.next_blank = prefix.next_sounded = NEVER
            prefix.total = _add(prefix.blank, prefix.sounded)
            prefix.score = prefix.total + prefix.worth + prefix.ahead
        reached.sort(key=_score, reverse=True)
        floor = reached[0].score - self._config.max_behind
        kept = [prefix for prefix in reached[: self._config.width] if prefix.score >= floor]
        for prefix in reached[len(kept) :]:
            prefix.blank = prefix.sounded = prefix.total = NEVER
        return kept

    def _extend(self, prefix: _Prefix, unit: int) -> _Prefix:
        child = _Prefix(unit, prefix, prefix.context, prefix.word, prefix.worth)
        prefix.children[unit] = child
        piece = self._pieces[unit]
        if self._scores is None:
            return child
        if self._starts[unit] and prefix.word:
            child.context, child.worth = prefix.after
            child.word = piece
        else:
            child.word = prefix.word + piece
        child.ahead = self._scores.begun(child.word)
        return child

    def _finished(self, prefix: _Prefix) -> Found:
        """A prefix once no more is said."""
        words = 0.0
        if self._scores is not None:
            context, worth = self._scores.whole(prefix.context, prefix.word)
            words = prefix.worth + worth + self._scores.end(context)
        return Found(tuple(prefix.units()), prefix.total, words)


def _add(one: float, other: float) -> float:
    """The log of the sum of two probabilities given by their logs."""
    if one < other:
        one, other = other, one
    if other == NEVER:
        return one
    return one + math.log1p(math.exp(other - one))


def _score(prefix: _Prefix) -> float:
    return prefix.score
