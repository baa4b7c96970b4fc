"""The frozen LLM while a connector is trained: logits of the responses to a batch of prompts.

What all prompts of a batch begin with is read once, without gradients: a system prompt is a third
of a short turn.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import DynamicCache

from audiochat.model.torch_engine import TorchLanguageModel


@dataclass(frozen=True)
class Row:
    """A prompt and the response that is to follow it."""

    lead: tuple[int, ...]
    """The prompt's first tokens, at least one."""
    rest: Tensor
    """(L, H) the embeddings after them; L may be 0."""
    response: tuple[int, ...]


class FrozenLlm:
    """Scores responses; gradients flow to the embeddings of the rows."""

    def __init__(self, lm: TorchLanguageModel, *, share_lead: bool = True) -> None:
        """Take a model whose parameters are frozen.

        `share_lead`: read the common beginning once. Not for a model spread over processes, which
        must all call it equally often.
        """
        assert not any(weights.requires_grad for weights in lm.llama.parameters())
        self._llama, self._share_lead = lm.llama, share_lead

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._llama.device

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Token ids → (L, H) on the LLM's device."""
        at = torch.tensor(list(ids), dtype=torch.long, device=self.device)
        embeds: Tensor = self._llama.model.embed_tokens(at)
        return embeds

    def logits(self, rows: Sequence[Row]) -> Tensor:
        """Logits (n, V) that predict all rows' response tokens, one row after the other."""
        lead = self._common_lead(rows)
        embeds = [
            torch.cat([self.embed(row.lead[len(lead) :]), row.rest, self.embed(row.response[:-1])])
            for row in rows
        ]
        length = max(map(len, embeds))
        padded = torch.stack([functional.pad(e, (0, 0, 0, length - len(e))) for e in embeds])
        seen = torch.arange(len(lead) + length) < torch.tensor(
            [[len(lead) + len(e)] for e in embeds]
        )
        with self._attention():
            hidden = self._llama.model(
                inputs_embeds=padded,
                attention_mask=seen.long().to(self.device),
                past_key_values=self._read(lead, len(rows)),
                use_cache=bool(lead),
            ).last_hidden_state
        picked = [
            hidden[at, len(e) - len(row.response) : len(e)]
            for at, (e, row) in enumerate(zip(embeds, rows, strict=True))
        ]
        logits: Tensor = self._llama.lm_head(torch.cat(picked))
        return logits

    def _attention(self) -> AbstractContextManager[None]:
        """On a CPU in bfloat16 the plain one: the fused one's gradient was a third of a step."""
        slow = self.device.type == "cpu" and self._llama.dtype == torch.bfloat16
        return sdpa_kernel(SDPBackend.MATH) if slow else nullcontext()

    def _common_lead(self, rows: Sequence[Row]) -> tuple[int, ...]:
        """What all prompts begin with, but for one token: the first logits need a position."""
        if not self._share_lead:
            return ()
        leads = [row.lead for row in rows]
        room = min(map(len, leads)) - 1
        same = (len(set(tokens)) == 1 for tokens in zip(*leads, strict=False))
        return leads[0][: sum(1 for _ in takewhile(bool, same))][:room]

    @torch.no_grad()
    def _read(self, lead: tuple[int, ...], count: int) -> DynamicCache | None:
        """Keys and values of the common tokens, for every row."""
        if not lead:
            return None
        ids = torch.tensor([lead], device=self.device)
        cache = self._llama.model(input_ids=ids, use_cache=True).past_key_values
        return DynamicCache(
            [
                (layer.keys.expand(count, -1, -1, -1), layer.values.expand(count, -1, -1, -1))
                for layer in cache.layers
            ]
        )
