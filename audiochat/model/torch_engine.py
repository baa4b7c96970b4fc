"""The language model on torch: for GPUs, for training, and as the reference of the other engine.

It holds any `LlamaForCausalLM`, frozen, and never subclasses it.
"""

import audiochat.torchaudio_guard  # noqa: F401  before transformers, which imports torchaudio

# isort: split
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import DynamicCache, LlamaForCausalLM
from transformers.utils import logging

from audiochat.errors import ModelError
from audiochat.model.chat_template import ChatTemplate, read_chat_template
from audiochat.model.language_model import (
    Cache,
    check_room,
    read_end_of_turn_ids,
    read_json,
    read_tokenizer,
)


class TorchCache:
    """Keys and values of a `TorchLanguageModel`."""

    def __init__(self, layers: list[tuple[torch.Tensor, torch.Tensor]]):
        """Keeps the keys and values of each layer: (1, heads, positions, width)."""
        self.layers = layers

    @property
    def length(self) -> int:
        """Positions filled."""
        return int(self.layers[0][0].shape[2])

    @property
    def n_bytes(self) -> int:
        """Memory it holds."""
        return sum(part.numel() * part.element_size() for pair in self.layers for part in pair)

    def prefix(self, n: int) -> "TorchCache":
        """Copies the first n positions."""
        assert 0 < n <= self.length
        return TorchCache([(k[:, :, :n].clone(), v[:, :, :n].clone()) for k, v in self.layers])


class TorchLanguageModel:
    """A frozen Llama behind the `LanguageModel` port.

    Attributes:
        llama: The model itself, in evaluation mode and without gradients of its own; gradients
            flow through it to `inputs_embeds`, which is what training needs.
    """

    def __init__(
        self,
        llama: LlamaForCausalLM,
        tokenizer: Tokenizer,
        *,
        chat_template: ChatTemplate,
        end_of_turn_ids: frozenset[int],
    ):
        """Freezes the model and takes it."""
        self.llama = llama.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.chat_template = chat_template
        self.end_of_turn_ids = end_of_turn_ids
        table = llama.model.embed_tokens.weight
        self.vocab_size = int(table.shape[0])
        self.hidden_dim = int(table.shape[1])
        self.context_length = int(llama.config.max_position_embeddings)
        self.embedding_rms = float(table.detach().float().square().mean().sqrt())

    @classmethod
    def load(
        cls, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> "TorchLanguageModel":
        """Reads a Llama-family model in the Hugging Face layout.

        Raises:
            ModelError: The folder is not such a model.
        """
        architectures = read_json(folder / "config.json").get("architectures")
        if architectures != ["LlamaForCausalLM"]:
            raise ModelError(
                f"{folder} holds {architectures or 'no config.json'}, and this program speaks "
                "through LlamaForCausalLM: name the folder of a Llama-family chat model."
            )
        tokenizer = read_tokenizer(folder)
        target = torch.device(device)
        progress_shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            llama = LlamaForCausalLM.from_pretrained(
                folder, dtype=dtype, device_map=target, local_files_only=True
            )
        except OSError as error:
            raise ModelError(
                f"The weights in {folder} cannot be read ({error}): fetch the model anew."
            ) from error
        finally:
            if progress_shown:
                logging.enable_progress_bar()
        return cls(
            llama,
            tokenizer,
            chat_template=read_chat_template(folder),
            end_of_turn_ids=read_end_of_turn_ids(folder, tokenizer),
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.llama.device

    @torch.inference_mode()
    def embed(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Gives the embeddings (L, H) float32 of tokens."""
        rows = torch.as_tensor(np.asarray(ids, np.int64), device=self.device)
        return _to_numpy(self.llama.model.embed_tokens(rows))

    @torch.inference_mode()
    def extend(
        self, embeds: np.ndarray, cache: Cache | None = None, *, reserve: int = 0
    ) -> tuple[np.ndarray, Cache]:
        """Reads positions after those of the cache; see `LanguageModel.extend`.

        `reserve` is not needed here: torch's cache grows by itself.
        """
        assert cache is None or isinstance(cache, TorchCache)
        assert len(embeds) > 0
        check_room(cache.length if cache else 0, len(embeds), self.context_length)
        read = self.llama(
            inputs_embeds=self._batch(embeds),
            past_key_values=DynamicCache(cache.layers if cache else None),
            use_cache=True,
            logits_to_keep=1,
        )
        return _to_numpy(read.logits[0, -1]), _kept(read)

    @torch.inference_mode()
    def score(self, embeds: np.ndarray, cache: Cache | None = None) -> tuple[np.ndarray, Cache]:
        """Gives the logits (L, V) after every position; see `LanguageModel.score`."""
        assert cache is None or isinstance(cache, TorchCache)
        check_room(cache.length if cache else 0, len(embeds), self.context_length)
        read = self.llama(
            inputs_embeds=self._batch(embeds),
            past_key_values=DynamicCache(cache.layers if cache else None),
            use_cache=True,
        )
        return _to_numpy(read.logits[0]), _kept(read)

    def _batch(self, embeds: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(embeds).to(self.device, self.llama.dtype)[None]


def _kept(read: Any) -> TorchCache:
    """The keys and values after a call of the model, which says nothing of their types."""
    return TorchCache([(layer.keys, layer.values) for layer in read.past_key_values.layers])


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
