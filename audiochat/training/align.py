"""Training of the connectors through the frozen LLM: modal invariance."""

import logging
import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiochat.errors import DataError
from audiochat.model.audio_embeds import audio_embeds, unit_text_embeds
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.config import ConnectorConfig, ConnectorKind
from audiochat.model.connector import EndToEndConnector, build_connector
from audiochat.model.ear import Hearing, as_batch
from audiochat.model.language_model import LanguageModel
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.training.config import AlignRecipe
from audiochat.training.examples import Example, Recording
from audiochat.training.frozen_llm import FrozenLlm, Row
from audiochat.training.losses import Teacher, ctc_loss, response_loss
from audiochat.training.optimizer import build_optimizers

log = logging.getLogger(__name__)

_NEIGHBOURS = 6
"""A batch is drawn from so many times its size of examples of like length: little padding."""


class AlignStage:
    """One connector, the ear and the frozen LLM around it, and the examples, for `train.Run`."""

    def __init__(
        self,
        recipe: AlignRecipe,
        parts: TrainedParts,
        lm: TorchLanguageModel,
        *,
        train_set: Sequence[Example],
        held_out: Sequence[Example],
    ) -> None:
        """Set the connector of the recipe free; the ear too if the recipe gives it a rate."""
        torch.manual_seed(recipe.seed)
        self.recipe, self.parts, self.lm = recipe, parts, lm
        self.llm = FrozenLlm(lm, share_lead=not recipe.shard_llm)
        self.train_set, self.held_out = train_set, held_out
        self._groups: dict[str, list[int]] = {}
        for at in sorted(range(len(train_set)), key=lambda at: train_set[at].length):
            self._groups.setdefault(train_set[at].group, []).append(at)
        self._teachers: dict[int, Teacher] = {}
        self._unchanging: dict[str, float] = {}
        connector = parts.connectors[recipe.connector]
        connector.requires_grad_(True)
        self.optimizer_config = recipe.optimizer
        self.optimizers = build_optimizers(connector, recipe.optimizer)
        parts.ear.eval().requires_grad_(bool(recipe.encoder_rate))
        self.modules: nn.Module = connector
        if recipe.encoder_rate:
            self.modules = nn.ModuleDict({"connector": connector, "ear": parts.ear})
            rate = recipe.optimizer.adam_lr * recipe.encoder_rate
            weights = list(parts.ear.encoder.parameters())
            self.optimizers[-1].add_param_group({"params": weights, "lr": rate, "peak_lr": rate})

    def batch(self, step: int) -> list[int]:
        """The places of the `step`-th batch's examples: of one group and of like length."""
        draw = random.Random(f"{self.recipe.seed}/{step}")
        size = self.recipe.batch_examples
        first = draw.randrange(len(self.train_set))
        group = self._groups[self.train_set[first].group]
        start = max(0, group.index(first) - draw.randrange(_NEIGHBOURS * size))
        near = group[start : start + _NEIGHBOURS * size]
        return [first, *draw.choices(near, k=size - 1)]

    def loss(self, step: int, share: float) -> tuple[Tensor, dict[str, float]]:
        """The loss of the `step`-th batch, and what the transcripts would have."""
        places = self.batch(step)
        examples = [self.train_set[at] for at in places]
        wanted = self._wanted(examples)
        teacher = self._teacher(places)
        heard = self._hear(examples)
        rows = [
            self._spoken_row(example, hearings)
            for example, hearings in zip(examples, heard, strict=True)
        ]
        logits = self.llm.logits(rows)
        loss = response_loss(logits, wanted, teacher, kl_weight=self.recipe.kl_weight)
        figures = {"response_loss": loss.item()}
        if self.recipe.encoder_rate and self.recipe.ctc_weight:
            reading = self._ctc_loss(examples, heard)
            figures["ctc_loss"] = reading.item()
            loss = loss + self.recipe.ctc_weight * reading
        return loss, figures

    def _wanted(self, examples: Sequence[Example]) -> Tensor:
        tokens = [token for example in examples for token in example.response]
        return torch.tensor(tokens, device=self.llm.device)

    @torch.no_grad()
    def _teacher(self, places: Sequence[int]) -> Teacher | None:
        """What the LLM says after the prompts in writing; asked once for each example.

        Of an LLM spread over processes every time, so that all call it equally often.
        """
        if not self.recipe.kl_weight:
            return None
        if self.recipe.shard_llm:
            self._teachers.clear()
        new = sorted({at for at in places if at not in self._teachers})
        if new:
            rows = [self._row_of(self.train_set[at].written, self.train_set[at]) for at in new]
            counts = [len(self.train_set[at].response) for at in new]
            for at, logits in zip(new, self.llm.logits(rows).split(counts), strict=True):
                self._teachers[at] = Teacher.of(logits, self.recipe.teacher_tokens)
        found = [self._teachers[at] for at in places]
        return Teacher(
            torch.cat([one.ids for one in found]), torch.cat([one.log_probs for one in found])
        )

    def _hear(self, examples: Sequence[Example]) -> list[list[Hearing]]:
        """The hearings of each example; of the encoder as it is now if that is trained."""
        known = [[one.hearing for one in example.recordings] for example in examples]
        if not self.recipe.encoder_rate:
            return known
        recordings = [one for example in examples for one in example.recordings]
        fresh = iter(self._heard_anew(recordings))
        return [[next(fresh) for _ in example.recordings] for example in examples]

    def _heard_anew(self, recordings: Sequence[Recording]) -> list[Hearing]:
        """Frames and posteriors with gradients; the words read at the start stay."""
        ear = self.parts.ear
        device = ear.encoder.head.weight.device
        encoded = ear(*as_batch([one.waveform for one in recordings], device))
        return [
            replace(
                one.hearing,
                frames=encoded.frames[row, :count],
                log_probs=encoded.log_probs[row, :count],
            )
            for row, (one, count) in enumerate(
                zip(recordings, encoded.n_frames.tolist(), strict=True)
            )
        ]

    def _ctc_loss(self, examples: Sequence[Example], heard: Sequence[list[Hearing]]) -> Tensor:
        """CTC loss of the recordings' own words."""
        log_probs = [hearing.log_probs for hearings in heard for hearing in hearings]
        targets = [torch.tensor(one.targets) for e in examples for one in e.recordings]
        return ctc_loss(
            nn.utils.rnn.pad_sequence(log_probs, batch_first=True),
            nn.utils.rnn.pad_sequence(targets, batch_first=True).to(log_probs[0].device),
            torch.tensor([len(one) for one in log_probs]),
            torch.tensor([len(one) for one in targets]),
        )

    def _spoken_row(self, example: Example, hearings: Sequence[Hearing]) -> Row:
        """The prompt with the connector's embeddings in the recordings' places."""
        lead = example.spoken[0]
        assert isinstance(lead, tuple)
        pieces = [self.llm.embed(())]
        for segment in example.spoken[1:]:
            if isinstance(segment, int):
                pieces.append(self._audio_embeds(hearings[segment]).to(pieces[0]))
            else:
                pieces.append(self.llm.embed(segment))
        return Row(lead, torch.cat(pieces), example.response)

    def _audio_embeds(self, hearing: Hearing) -> Tensor:
        """The connector's embeddings of a hearing (L, H), where the connector is."""
        return audio_embeds(self.recipe.connector, self.parts, self.lm, hearing)

    def _row_of(self, prompt: tuple[int, ...], example: Example) -> Row:
        """A prompt of tokens alone."""
        return Row(prompt, self.llm.embed(()), example.response)

    def validate(self) -> dict[str, float]:
        """Mean negative log-likelihood a response token of the examples held out, by what is read.

        `shuffled` is speech of another example: while it is no worse than `audio`, the connector
        has not learnt to say what is heard.
        """
        others = [*self.held_out[1:], *self.held_out[:1]]
        speech = {id(e): self._hear([e])[0] for e in self.held_out}

        def with_speech_of(example: Example, other: Example) -> Row:
            hearings = speech[id(other)]
            needed = range(len(example.recordings))
            return self._spoken_row(example, [hearings[i % len(hearings)] for i in needed])

        if not self._unchanging:  # no training moves what is read as text
            self._unchanging = {
                "cascade_nll": self._nll([self._row_of(e.cascade, e) for e in self.held_out]),
                "text_nll": self._nll([self._row_of(e.written, e) for e in self.held_out]),
            }
        return {
            "audio_nll": self._nll([with_speech_of(e, e) for e in self.held_out]),
            "shuffled_nll": self._nll(
                [with_speech_of(e, o) for e, o in zip(self.held_out, others, strict=True)]
            ),
            **self._unchanging,
        }

    def _nll(self, rows: Sequence[Row]) -> float:
        total = 0.0
        # Short ones together: what pads a batch is read too.
        rows = sorted(rows, key=lambda row: len(row.lead) + len(row.rest) + len(row.response))
        for start in range(0, len(rows), self.recipe.batch_examples):
            some = rows[start : start + self.recipe.batch_examples]
            wanted = torch.tensor([t for row in some for t in row.response])
            logits = self.llm.logits(some).float()
            wanted = wanted.to(logits.device)
            total += functional.cross_entropy(logits, wanted, reduction="sum").item()
        return total / sum(len(row.response) for row in rows)


def with_connector(
    parts: TrainedParts,
    kind: ConnectorKind,
    lm: LanguageModel,
    *,
    llm: str = "embedded",
    fresh: bool = False,
) -> TrainedParts:
    """The parts with a connector of that kind for the LLM named `llm`: its own, or a fresh one.

    Raises:
        DataError: the connectors that are there are of another LLM, and not to be forgotten.
    """
    parts = _for_llm(parts, lm, llm, fresh=fresh)
    if kind in parts.connectors and not fresh:
        return parts
    config = ConnectorConfig(
        kind=kind,
        encoder_dim=parts.config.encoder.dim,
        llm_dim=lm.hidden_dim,
        embedding_rms=lm.embedding_rms,
    )
    connector = build_connector(config, parts.units.size)
    if isinstance(connector, EndToEndConnector):
        connector.start_from(unit_text_embeds(parts.units, lm))
    others = tuple(one for one in parts.config.connectors if one.kind != kind)
    whole = replace(parts.config, connectors=(*others, config), llm=llm)
    return TrainedParts(whole, parts.units, parts.ear, {**parts.connectors, kind: connector})


def _for_llm(parts: TrainedParts, lm: LanguageModel, llm: str, *, fresh: bool) -> TrainedParts:
    """The parts without the connectors of another LLM than `llm`."""
    before = parts.config
    same_width = all(one.llm_dim == lm.hidden_dim for one in before.connectors)
    if not before.connectors or (before.llm == llm and same_width):
        return parts
    names = " and ".join(one.kind for one in before.connectors)
    if not fresh:
        raise DataError(
            f"The weights' connectors ({names}) were trained for the LLM {before.llm}, and --llm "
            f"is {llm}. Give the same LLM, or --fresh to drop them all and begin one for this."
        )
    log.warning("dropped the connectors of the LLM %s: %s", before.llm, names)
    return TrainedParts(replace(before, connectors=()), parts.units, parts.ear, {})


def warn_of_the_others(parts: TrainedParts, kind: ConnectorKind) -> None:
    """Say which connectors were trained on the ear as it was, where it is trained with this one."""
    for other in parts.connectors.keys() - {kind}:
        log.warning(
            "the %s connector was trained on the ear as it is now, which this run changes: train "
            "it again afterwards",
            other,
        )
