"""The token loop: a plain generator over a language model, whichever its engine.

Closing it stops the work at once. It knows ids, logits and text, not conversations or audio.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

from audiochat.model.language_model import Cache, LanguageModel
from audiochat.sampling import Sampling

_NUCLEUS_GUESS = 1024
"""Likeliest tokens looked at first for top-p: sorting the whole vocabulary takes 4 ms a token."""

_CIRCLE_TIMES, _CIRCLE_TOKENS, _LONGEST_CIRCLE = 4, 32, 48
"""A reply goes round in circles when its last tokens, at most so many, came so often in a row and
fill so many together: small models do so after long recordings, and never find the way out."""


@dataclass(frozen=True)
class Token:
    """One token of a reply."""

    id: int
    """As chosen; the end of turn too."""

    piece: str
    """The text that it completes, often none: half a character waits for its other half."""

    cache: Cache
    """What the model has read when the token was chosen: the prompt and the tokens before it.

    The loop goes on with the same cache, so its `length` grows when the next token is asked for.
    """

    finish_reason: Literal["stop", "length"] | None = None
    """On the last token: the model ended its turn, or it was cut off: no more room, or circles."""


def generate(
    lm: LanguageModel,
    embeds: np.ndarray,
    sampling: Sampling,
    *,
    cache: Cache | None = None,
    replied: Sequence[int] = (),
) -> Iterator[Token]:
    """Replies to a prompt, token by token.

    Args:
        lm: The language model.
        embeds: (L, H), the positions of the prompt that it has not read yet.
        sampling: How to choose; with a seed, or greedy, the same prompt gives the same reply.
        cache: The positions read before; used up.
        replied: Tokens of the replies before, which the repetition penalty counts as said.

    Yields:
        Each token. The pieces put together are the tokenizer's decoding of all ids.

    Raises:
        ModelError: The prompt does not fit into the model's context.
    """
    choose = _Chooser(sampling, replied)
    text = StreamedText(lm.tokenizer)
    said: list[int] = []
    logits, read = lm.extend(embeds, cache, reserve=sampling.max_new_tokens)
    for n_tokens in range(1, sampling.max_new_tokens + 1):
        id_ = choose(logits)
        piece = text.push(id_)
        if id_ in lm.end_of_turn_ids:
            yield Token(id_, piece + text.flush(), read, "stop")
            return
        said.append(id_)
        full = n_tokens == sampling.max_new_tokens or read.length == lm.context_length
        if full or circling(said):
            yield Token(id_, piece + text.flush(), read, "length")
            return
        yield Token(id_, piece, read)
        logits, read = lm.extend(lm.embed([id_]), read)


def circling(ids: list[int]) -> bool:
    """Whether tokens end in the same run again and again."""
    for length in range(1, _LONGEST_CIRCLE + 1):
        times = max(_CIRCLE_TIMES, -(-_CIRCLE_TOKENS // length))
        tail = ids[-times * length :]
        if len(tail) < times * length:
            continue
        if tail[length:] == tail[:-length]:
            return True
    return False


class StreamedText:
    """Turns tokens into text as they come; never gives half a character.

    It decodes a few tokens at a time: those not given yet, after those given last, because some
    tokenizers write a token differently at the beginning of a text.
    """

    def __init__(self, tokenizer: Tokenizer):
        """Begins an empty text."""
        self._tokenizer = tokenizer
        self._given: list[int] = []
        self._waiting: list[int] = []

    def push(self, id_: int) -> str:
        """Takes a token and gives the text that is now certain."""
        self._waiting.append(id_)
        piece = self._piece()
        # U+FFFD at the end stands for bytes that the next token may complete.
        if piece.endswith("\ufffd") or not piece:
            return ""
        self._given, self._waiting = self._waiting, []
        return piece

    def flush(self) -> str:
        """Gives what is left; bytes that are no character come as U+FFFD."""
        piece = self._piece()
        self._given, self._waiting = self._waiting, []
        return piece

    def _piece(self) -> str:
        given = self._tokenizer.decode(self._given)
        return self._tokenizer.decode(self._given + self._waiting)[len(given) :]


class _Chooser:
    """Chooses tokens, and remembers them for the repetition penalty."""

    def __init__(self, sampling: Sampling, replied: Sequence[int]):
        self.sampling = sampling
        self.said = np.unique(np.asarray(replied, np.int64))
        self.random = np.random.default_rng(sampling.seed)

    def __call__(self, logits: np.ndarray) -> int:
        id_ = self._choose(self._penalised(logits))
        self.said = np.union1d(self.said, [id_])
        return id_

    def _penalised(self, logits: np.ndarray) -> np.ndarray:
        """Makes what was said less likely (Keskar et al. 2019, CTRL, section 4.1).

        The replies count, this one and those before: a small model falls into giving its last one
        again, whatever it is asked. What the person said does not: a question heard would else be
        answered otherwise than typed.
        """
        penalised = logits.astype(np.float64)
        seen, penalty = penalised[self.said], self.sampling.repetition_penalty
        penalised[self.said] = np.where(seen > 0, seen / penalty, seen * penalty)
        return penalised

    def _choose(self, logits: np.ndarray) -> int:
        if self.sampling.greedy:
            return int(logits.argmax())
        scaled = (logits - logits.max()) / self.sampling.temperature
        weights = np.exp(scaled)
        weights /= weights.sum()
        ids = _nucleus(weights, self.sampling.top_p)
        shares = weights[ids].cumsum()
        return int(
            ids[min(np.searchsorted(shares, self.random.random() * shares[-1]), len(ids) - 1)]
        )


def _nucleus(weights: np.ndarray, top_p: float) -> np.ndarray:
    """Gives the likeliest tokens, likeliest first, that together hold a share of `top_p`."""
    ids = np.arange(len(weights))
    if top_p < 1.0 and len(weights) > _NUCLEUS_GUESS:
        guess = np.argpartition(weights, -_NUCLEUS_GUESS)[-_NUCLEUS_GUESS:]
        ids = guess if weights[guess].sum() >= top_p else ids
    if top_p == 1.0:
        return ids
    ids = ids[np.argsort(-weights[ids], kind="stable")]
    return ids[: int(np.searchsorted(weights[ids].cumsum(), top_p)) + 1]
