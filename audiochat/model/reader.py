"""What was said, of the texts that a beam search found: judged again by phones and by the LLM.

The search knows subword units and three words in a row. The ear's own guesses at phones, a fortieth
as many classes, are a second opinion of the sound, and the LLM's is one of the whole sentence.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import ctc_loss
from torch.nn.utils.rnn import pad_sequence

from audiochat.errors import VoiceError
from audiochat.model.alignment import Reading, read_units
from audiochat.model.beam_search import BeamSearch, Found
from audiochat.model.ear import Hearing
from audiochat.model.language_model import LanguageModel
from audiochat.model.ngram import plain_words
from audiochat.model.phones import phone_ids, pronounce
from audiochat.model.text_likelihood import TextLikelihood
from audiochat.model.units import BLANK

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReaderConfig:
    """What each judge counts beside the search's own log posterior of the sound.

    Chosen on the development clips for the shipped encoder.
    """

    phone_weight: float = 0.4
    """Of the log likelihood of the text's phones."""
    max_texts: int = 32
    """Texts whose phones are looked at."""
    max_read: int = 5
    """Texts that the LLM reads: 48 were no better on people than these."""
    max_behind: float = 3.0
    """Texts this far behind the best are not read by it (natural log)."""
    llm_weight: float = 0.4
    """Of the log likelihood the LLM gives the text."""
    words_weight: float = 0.6
    """Of the n-gram model's part once the LLM has its say: they judge the same."""


class Reader:
    """Reads hearings: a beam search, then a choice among what it found."""

    def __init__(
        self,
        search: BeamSearch,
        lm: LanguageModel | None = None,
        *,
        config: ReaderConfig = ReaderConfig(),
        pronounce: Callable[[str], str] = pronounce,
    ) -> None:
        """Choose among what `search` finds; the LLM has no say when it is None."""
        self._search, self._units = search, search.units
        self._likelihood = TextLikelihood(lm) if lm else None
        self._config, self._pronounce = config, pronounce

    def worth_expecting(self, texts: Iterable[str]) -> frozenset[str]:
        """The rare words of a conversation's texts: who speaks of them is likely to say them."""
        return self._search.rare(word for text in texts for word in plain_words(text))

    def __call__(self, hearing: Hearing, expected: Collection[str] = ()) -> Reading:
        """A hearing → the best text, its words and confidences.

        `expected`: plain words that are likelier here than elsewhere.
        """
        search = self._search.expecting(expected) if expected else self._search
        texts: dict[str, Found] = {}
        for one in search.found(hearing.log_probs):
            texts.setdefault(self._units.decode(one.units), one)
            if len(texts) == self._config.max_texts:
                break
        worth = {text: one.sound + one.words for text, one in texts.items()}
        for text, score in zip(texts, self._by_phones(list(texts), hearing), strict=True):
            worth[text] += self._config.phone_weight * score
        best = self._by_llm(texts, worth) if self._likelihood else max(worth, key=worth.__getitem__)
        return read_units(hearing.log_probs, list(texts[best].units), self._units)

    def _by_phones(self, texts: Sequence[str], hearing: Hearing) -> list[float]:
        """The log likelihood of each text's phones; all alike where they cannot be had."""
        if not len(hearing.phone_log_probs) or len(texts) == 1:
            return [0.0] * len(texts)
        try:
            phones = [phone_ids(self._pronounce(text)) for text in texts]
        except VoiceError as error:
            _log.warning("Words are read without their pronunciation: %s", error)
            self._pronounce = lambda _text: ""
            return [0.0] * len(texts)
        return ctc_log_likelihoods(hearing.phone_log_probs, phones).tolist()

    def _by_llm(self, texts: dict[str, Found], worth: dict[str, float]) -> str:
        """The best of the likeliest texts once the LLM has read them."""
        assert self._likelihood is not None
        config = self._config
        ranked = sorted(worth, key=worth.__getitem__, reverse=True)[: config.max_read]
        floor = worth[ranked[0]] - config.max_behind
        # No chat has an empty turn, so silence is only for the sound to find.
        read = [text for text in ranked if text.strip() and worth[text] >= floor]
        if len(read) < 2 or not ranked[0].strip():
            return ranked[0]
        for text, score in zip(read, self._likelihood(read), strict=True):
            worth[text] += config.llm_weight * score
            worth[text] -= (1 - config.words_weight) * texts[text].words
        return max(read, key=worth.__getitem__)


def ctc_log_likelihoods(log_probs: Tensor, sequences: Sequence[Sequence[int]]) -> Tensor:
    """log_probs: (T, V) of one clip, n sequences of units → (n,) of all their paths."""
    targets = pad_sequence([torch.tensor(ids, dtype=torch.long) for ids in sequences], True)
    return -ctc_loss(
        log_probs[:, None].expand(-1, len(sequences), -1),
        targets,
        torch.full((len(sequences),), len(log_probs)),
        torch.tensor([len(ids) for ids in sequences]),
        blank=BLANK,
        reduction="none",
    )
