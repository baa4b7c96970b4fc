"""CTC pretraining of the encoder on packed speech."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from audiochat.audio import SAMPLE_RATE
from audiochat.errors import DataError
from audiochat.model.alignment import read_greedily
from audiochat.model.conformer import Context
from audiochat.model.ear import Ear
from audiochat.model.phones import N_PHONE_UNITS
from audiochat.model.units import Units
from audiochat.speech_data.augmentation import Augmentation
from audiochat.speech_data.packed import FULL_SCALE, PackedSpeech
from audiochat.training.batches import SpeechBatch, SpeechBatches
from audiochat.training.config import CtcRecipe
from audiochat.training.losses import consistency_loss, hearing_losses
from audiochat.training.optimizer import build_optimizers
from audiochat.training.precision import multiplies_bfloat16
from audiochat.training.word_errors import word_error_rate

CHUNKS = (4, 6, 8, 12, 16, 25)
"""Chunk lengths drawn while training, in 80 ms frames: 0.3 to 2 s."""


class CtcStage:
    """The encoder, its data and its loss, for `train.Run`."""

    def __init__(
        self,
        recipe: CtcRecipe,
        speech: Sequence[PackedSpeech],
        dev: Sequence[PackedSpeech],
        *,
        units: Units,
        noise_folder: Path | None = None,
        device: str = "cpu",
        start_from: Ear | None = None,
    ) -> None:
        """Gather data and weights: fresh ones, fixed by the seed, or those of `start_from`.

        Raises:
            DataError: the weights to start from have other sizes than the recipe's.
        """
        torch.manual_seed(recipe.seed)
        self.recipe, self.units, self.device, self.dev = recipe, units, device, dev
        assert units.size <= recipe.encoder.n_units
        assert recipe.encoder.n_phones == N_PHONE_UNITS
        self.modules = Ear(recipe.encoder)
        self.batches = SpeechBatches(
            speech,
            units,
            batch_s=recipe.batch_s,
            max_clip_s=recipe.max_clip_s,
            human_weight=recipe.human_weight,
            set_weights=dict(recipe.set_weights),
            seed=recipe.seed,
            device=device,
        )
        self._start(start_from)
        self.modules.to(device)
        self.augmentation = (
            Augmentation(
                recipe.augmentation,
                noise_folder=noise_folder,
                seed=recipe.seed,
                until=recipe.augmentation_at_end,
            )
            if recipe.augmentation
            else None
        )
        self.optimizer_config = recipe.optimizer
        self.optimizers = build_optimizers(
            self.modules, recipe.optimizer, outer=("front.first", "head", "phones", "condition")
        )

    def _start(self, given: Ear | None) -> None:
        if given is None:
            first = self.batches.batch(0)
            self.modules.features.fit(first.samples.cpu(), first.n_samples)
        elif given.encoder.config != self.recipe.encoder:
            raise DataError(
                f"The weights to start from have {given.encoder.config}, the recipe has "
                f"{self.recipe.encoder}. Choose the recipe they were made by."
            )
        else:
            self.modules.load_state_dict(given.state_dict())

    def _features(self, batch: SpeechBatch, *, augmenting: bool) -> tuple[Tensor, Tensor]:
        samples, n_samples = batch.samples.to(self.device), batch.n_samples.to(self.device)
        warp = None
        if self.augmentation is not None and augmenting:
            samples, n_samples = self.augmentation.samples(samples, n_samples, batch.wordless)
            warp = self.augmentation.warp
        features, n_features = self.modules.features(samples, n_samples, warp)
        return features, n_features

    def _context(self, step: int) -> Context:
        draw = random.Random(f"{self.recipe.seed}/context/{step}")
        if draw.random() >= self.recipe.chunked_share:
            return Context()
        chunk = draw.choice(CHUNKS)
        return Context(chunk, left=draw.choice((0, 50, 100)))

    def loss(self, step: int, share: float) -> tuple[Tensor, dict[str, float]]:
        """CTC loss of the `step`-th batch."""
        batch = self.batches.batch(step)
        kind = torch.device(self.device).type
        augmenting = self.augmentation is not None and share >= self.recipe.augment_from
        views = 2 if augmenting and self.recipe.consistency else 1
        with torch.no_grad():
            if self.augmentation is not None and augmenting:
                self.augmentation.begin(step, share)
                batch = batch.without_words(self.augmentation.wordless(len(batch.texts)))
            features, n_features = self._features(batch, augmenting=augmenting)
            if augmenting:
                assert self.augmentation is not None
                masked = [self.augmentation.mask(features, n_features) for _ in range(views)]
                features, n_features = torch.cat(masked), n_features.repeat(views)
        with torch.autocast(kind, torch.bfloat16, enabled=multiplies_bfloat16(kind)):
            encoded = self.modules.encoder(features, n_features, self._context(step))
        units, phones = hearing_losses(encoded, batch, views=views)
        weight = self.recipe.phone_weight if encoded.phone_log_probs else 0.0
        loss = (1 - weight) * units + weight * phones
        if views == 2:
            loss = loss + self.recipe.consistency * consistency_loss(encoded)
        return loss, {
            "audio_s": float(batch.n_samples.sum()) / SAMPLE_RATE,
            "units_loss": units.item(),
            "phones_loss": phones.item(),
        }

    def transcribe(self, speech: PackedSpeech, at: int) -> str:
        """The greedy reading of one packed clip."""
        samples = torch.from_numpy(speech.samples(at).copy()).float()[None] / FULL_SCALE
        n_samples = torch.tensor([samples.shape[1]])
        encoded = self.modules(samples.to(self.device), n_samples.to(self.device))
        return read_greedily(encoded.log_probs[0].cpu(), self.units).text

    def validate(self) -> dict[str, float]:
        """Word error rate of each dev set, the quick one of `word_errors`."""
        said: dict[str, list[tuple[str, str]]] = {}
        for speech in self.dev:
            for at, clip in enumerate(speech):
                pairs = said.setdefault(clip.set_name, [])
                pairs.append((clip.spoken, self.transcribe(speech, at)))
        return {name: word_error_rate(pairs) for name, pairs in sorted(said.items())}
