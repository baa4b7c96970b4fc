"""Training of the connectors through the frozen LLM: modal invariance."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from audiochat.audio import Waveform
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import DataError
from audiochat.model.alignment import Read
from audiochat.model.audio_embeds import audio_embeds, unit_text_embeds
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.config import ConnectorConfig, ConnectorKind
from audiochat.model.connector import EndToEndConnector, build_connector
from audiochat.model.ear import Hearing, listen
from audiochat.model.language_model import LanguageModel
from audiochat.model.prompt import TokenSegment, assemble
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.speech_data.packed import FULL_SCALE, PackedSpeech
from audiochat.training.config import AlignRecipe
from audiochat.training.losses import response_loss
from audiochat.training.optimizer import build_optimizers
from audiochat.training.responses import Response


@dataclass(frozen=True)
class _Example:
    hearing: Hearing
    transcript: str
    response: tuple[int, ...]


class AlignStage:
    """One connector, the frozen ear and LLM around it, and the responses, for `train.Run`."""

    def __init__(
        self,
        recipe: AlignRecipe,
        parts: TrainedParts,
        lm: TorchLanguageModel,
        *,
        speech: Sequence[PackedSpeech],
        responses: Sequence[Response],
        n_held_out: int = 48,
        read: Read | None = None,
    ) -> None:
        """Hear all clips once, their words by `read` (greedily when None).

        The last `n_held_out` responses are for validation.
        """
        torch.manual_seed(recipe.seed)
        self.recipe, self.parts, self.lm = recipe, parts, lm
        self._read = read
        self.modules = parts.connectors[recipe.connector]
        self.modules.requires_grad_(True)
        if isinstance(self.modules, EndToEndConnector):
            self.modules.start_from(unit_text_embeds(parts.units, lm))
        self.optimizer_config = recipe.optimizer
        self.optimizers = build_optimizers(self.modules, recipe.optimizer)
        examples = list(self._heard(speech, responses))
        if len(examples) <= n_held_out:
            raise DataError(
                f"{len(examples)} responses are too few: {n_held_out} are held out to validate. "
                "Make more with `train responses --count`."
            )
        self.train_set, self.held_out = examples[:-n_held_out], examples[-n_held_out:]
        silence = Message.user(AudioPart(Waveform(torch.zeros(1600).numpy())))
        first, _, last = assemble(Conversation().add(silence), lm)
        assert isinstance(first, TokenSegment)
        assert isinstance(last, TokenSegment)
        self._before, self._after = self._embed(first.ids), self._embed(last.ids)

    def _heard(
        self, speech: Sequence[PackedSpeech], responses: Sequence[Response]
    ) -> Iterator[_Example]:
        folders = {source.folder.name: source for source in speech}
        if len(folders) < len(speech):
            raise DataError("Two folders of --speech have one name: responses know them by it.")
        for response in responses:
            samples = folders[response.folder].samples(response.index)
            waveform = Waveform(samples.astype("float32") / FULL_SCALE)
            hearing = listen(self.parts.ear, self.parts.units, [waveform])[0]
            if self._read:
                hearing = replace(hearing, reading=self._read(hearing.log_probs))
            ids = response.ids[: self.recipe.max_response_tokens]
            yield _Example(hearing, response.text, ids)

    def _audio(self, example: _Example) -> Tensor:
        """The connector's embeddings (L, H) on the LLM's device."""
        embeds = audio_embeds(self.recipe.connector, self.parts, self.lm, example.hearing)
        return embeds.to(self.lm.llama.device)

    def _embed(self, ids: Sequence[int]) -> Tensor:
        """Token ids → (L, H) on the LLM's device."""
        at = torch.tensor(list(ids), device=self.lm.llama.device)
        embeds: Tensor = self.lm.llama.model.embed_tokens(at)
        return embeds

    def _batch(self, step: int) -> list[_Example]:
        draw = random.Random(f"{self.recipe.seed}/{step}")
        return draw.choices(self.train_set, k=self.recipe.batch_examples)

    def _logits(self, users: Sequence[Tensor], responses: Sequence[tuple[int, ...]]) -> Tensor:
        """Logits (n, V) of all response tokens, one example after the other."""
        rows = [
            torch.cat([self._before, user, self._after, self._embed(ids[:-1])])
            for user, ids in zip(users, responses, strict=True)
        ]
        length = max(len(row) for row in rows)
        padded = torch.stack([nn.functional.pad(row, (0, 0, 0, length - len(row))) for row in rows])
        mask = torch.tensor([[i < len(row) for i in range(length)] for row in rows]).long()
        hidden = self.lm.llama.model(
            inputs_embeds=padded, attention_mask=mask.to(padded.device), use_cache=False
        ).last_hidden_state
        picked = [
            hidden[at, len(row) - len(ids) : len(row)]
            for at, (row, ids) in enumerate(zip(rows, responses, strict=True))
        ]
        logits: Tensor = self.lm.llama.lm_head(torch.cat(picked))
        return logits

    def _losses(self, examples: Sequence[_Example]) -> tuple[Tensor, Tensor]:
        """The training loss, and the transcript's own negative log-likelihood a token."""
        responses = [example.response for example in examples]
        wanted = torch.tensor([token for ids in responses for token in ids])[None]
        wanted = wanted.to(self.lm.llama.device)
        with torch.no_grad():
            texts = [
                self._embed(self.lm.tokenizer.encode(e.transcript, add_special_tokens=False).ids)
                for e in examples
            ]
            teacher = self._logits(texts, responses)[None]
        users = [self._audio(example) for example in examples]
        logits = self._logits(users, responses)[None]
        ones = torch.ones_like(wanted, dtype=torch.float32)
        loss = response_loss(logits, teacher, wanted, ones, kl_weight=self.recipe.kl_weight)
        text_nll = response_loss(teacher, None, wanted, ones, kl_weight=0)
        return loss, text_nll

    def loss(self, step: int, share: float) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch of examples."""
        loss, text_nll = self._losses(self._batch(step))
        return loss, {"text_nll": text_nll.item()}

    def validate(self) -> dict[str, float]:
        """Mean negative log-likelihood a response token of held-out clips: audio, cascade, text."""
        figures: dict[str, float] = {}
        wanted = [token for e in self.held_out for token in e.response]
        arms = {
            "audio": self._audio,
            "cascade": lambda e: self._embed(self._ids(e.hearing.text)),
            "text": lambda e: self._embed(self._ids(e.transcript)),
        }
        for name, embed in arms.items():
            total = 0.0
            for start in range(0, len(self.held_out), 8):
                some = self.held_out[start : start + 8]
                logits = self._logits([embed(e) for e in some], [e.response for e in some])
                ids = torch.tensor([t for e in some for t in e.response], device=logits.device)
                total += nn.functional.cross_entropy(logits, ids, reduction="sum").item()
            figures[f"{name}_nll"] = total / len(wanted)
        return figures

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.lm.tokenizer.encode(text or " ", add_special_tokens=False).ids
        return ids


def with_connector(
    parts: TrainedParts, kind: ConnectorKind, lm: LanguageModel, *, llm: str = "embedded"
) -> TrainedParts:
    """The parts with a fresh connector of that kind, for the LLM named `llm`, if they lack it."""
    if kind in parts.connectors:
        return parts
    config = ConnectorConfig(
        kind=kind,
        encoder_dim=parts.config.encoder.dim,
        llm_dim=lm.hidden_dim,
        embedding_rms=lm.embedding_rms,
    )
    connectors = {**parts.connectors, kind: build_connector(config, parts.units.size)}
    whole = replace(parts.config, connectors=(*parts.config.connectors, config), llm=llm)
    return TrainedParts(whole, parts.units, parts.ear, connectors)
