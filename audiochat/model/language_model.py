"""The frozen language model as the rest of the package sees it: embeddings in, logits out.

One port, two engines: `onnx_engine` (CPU) and `torch_engine` (GPU, training, reference). It knows
nothing of audio, chat or sampling.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from audiochat.errors import ModelError
from audiochat.model.chat_template import ChatTemplate

END_OF_TURN_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "</s>",
)
"""Tokens that end a reply in the chat models of the Llama family, whatever their configs say."""


class Cache(Protocol):
    """Keys and values of the positions a language model has read; it belongs to one engine."""

    @property
    def length(self) -> int:
        """Positions filled."""
        ...

    @property
    def n_bytes(self) -> int:
        """Memory it holds."""
        ...

    def prefix(self, n: int) -> "Cache":
        """Gives an independent copy of the first n positions, in storage no larger than needed."""
        ...


class LanguageModel(Protocol):
    """A frozen decoder that reads embeddings.

    Attributes:
        hidden_dim: Width H of an embedding.
        vocab_size: Number V of tokens.
        context_length: Most positions it can hold.
        embedding_rms: Root mean square of its token embeddings: the scale that audio must meet.
        tokenizer: Its tokenizer, for plain text: what looks like a special token stays text.
            The special tokens come from `prompt` alone.
        end_of_turn_ids: Tokens that end a reply.
        chat_template: How it is told who says what.
    """

    hidden_dim: int
    vocab_size: int
    context_length: int
    embedding_rms: float
    tokenizer: Tokenizer
    end_of_turn_ids: frozenset[int]
    chat_template: ChatTemplate

    def embed(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Gives the embeddings (L, H) float32 of tokens."""
        ...

    def extend(
        self, embeds: np.ndarray, cache: Cache | None = None, *, reserve: int = 0
    ) -> tuple[np.ndarray, Cache]:
        """Reads positions after those of the cache.

        Args:
            embeds: (L, H) float32, L at least 1.
            cache: What was read before; it is used up and must not be used again.
            reserve: Positions to make room for beyond these, where the reply's length is known.

        Returns:
            The logits (V,) float32 after the last position, and the longer cache.

        Raises:
            ModelError: The positions do not fit into the context.
        """
        ...

    def score(self, embeds: np.ndarray, cache: Cache | None = None) -> tuple[np.ndarray, Cache]:
        """Gives the logits (L, V) float32 after every position of embeds (L, H), and the cache.

        A cache of what was read before them is used up and must not be used again.
        """
        ...


def read_json(path: Path) -> dict[str, object]:
    """Reads a JSON object of a model's folder; an absent file is an empty one.

    Raises:
        ModelError: It is not JSON.
    """
    if not path.exists():
        return {}
    try:
        found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"{path} is not JSON ({error}), so the model cannot be read: fetch it anew."
        ) from error
    return found


def read_tokenizer(folder: Path) -> Tokenizer:
    """Reads the `tokenizer.json` of a model's folder, set to take all text as plain text.

    Raises:
        ModelError: There is none.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"{folder} has no tokenizer.json, so text cannot be cut into the model's tokens: "
            "save its fast tokenizer there."
        )
    tokenizer = Tokenizer.from_file(str(path))
    # Whatever people type must not become the tokens that end turns or begin another's.
    tokenizer.encode_special_tokens = True
    return tokenizer


def read_end_of_turn_ids(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """Gathers the tokens that end a reply from a folder's configs and from the well-known names."""
    known = {tokenizer.token_to_id(token) for token in END_OF_TURN_TOKENS}
    ids = {id_ for id_ in known if id_ is not None}
    for name in ("config.json", "generation_config.json"):
        found = read_json(folder / name).get("eos_token_id")
        found = found if isinstance(found, list) else [found]
        ids.update(id_ for id_ in found if isinstance(id_, int))
    return frozenset(ids)


def check_room(length: int, more: int, context_length: int) -> None:
    """Makes sure that more positions fit.

    Raises:
        ModelError: They do not.
    """
    if length + more > context_length:
        raise ModelError(
            f"The conversation takes {length + more} positions and the model holds "
            f"{context_length}: leave older turns out, or take a shorter recording."
        )
