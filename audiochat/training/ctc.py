"""CTC pretraining of the encoder on packed speech."""

import random
from collections.abc import Sequence
from pathlib import Path

import jiwer
import torch
from torch import Tensor
from whisper_normalizer.english import EnglishTextNormalizer

from audiochat.audio import SAMPLE_RATE
from audiochat.model.alignment import read_greedily
from audiochat.model.conformer import Context
from audiochat.model.ear import Ear
from audiochat.model.units import Units
from audiochat.speech_data.augmentation import Augmentation
from audiochat.speech_data.packed import FULL_SCALE, PackedSpeech
from audiochat.training.batches import SpeechBatch, SpeechBatches
from audiochat.training.config import CtcRecipe
from audiochat.training.losses import ctc_loss
from audiochat.training.optimizer import build_optimizers

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
    ) -> None:
        """Gather data and fresh weights; the seed fixes both."""
        torch.manual_seed(recipe.seed)
        self.recipe, self.units, self.device, self.dev = recipe, units, device, dev
        assert units.size <= recipe.encoder.n_units
        self.modules = Ear(recipe.encoder)
        self.batches = SpeechBatches(
            speech,
            units,
            batch_s=recipe.batch_s,
            max_clip_s=recipe.max_clip_s,
            human_weight=recipe.human_weight,
            seed=recipe.seed,
        )
        first = self.batches.batch(0)
        self.modules.features.fit(first.samples, first.n_samples)
        self.modules.to(device)
        self.augmentation = (
            Augmentation(recipe.augmentation, noise_folder=noise_folder, seed=recipe.seed)
            if recipe.augmentation
            else None
        )
        self.optimizer_config = recipe.optimizer
        self.optimizers = build_optimizers(
            self.modules, recipe.optimizer, outer=("front.0", "head", "condition")
        )
        self._normaliser = EnglishTextNormalizer()

    def _features(self, batch: SpeechBatch, share: float) -> tuple[Tensor, Tensor]:
        samples, n_samples = batch.samples.to(self.device), batch.n_samples.to(self.device)
        log_mel = self.modules.features
        if self.augmentation is None or share < self.recipe.augment_from:
            features, n_features = log_mel(samples, n_samples)
            return features, n_features
        samples, n_samples = self.augmentation.samples(samples, n_samples)
        features, n_features = log_mel(samples, n_samples, self.augmentation.warp)
        return self.augmentation.mask(features, n_features), n_features

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
        if self.augmentation is not None:
            self.augmentation.begin(step)
        with torch.no_grad():
            features, n_features = self._features(batch, share)
        with torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu"):
            encoded = self.modules.encoder(features, n_features, self._context(step))
        loss = ctc_loss(
            encoded,
            batch.targets.to(self.device),
            batch.n_targets.to(self.device),
            early_weight=self.recipe.early_weight,
        )
        return loss, {"audio_s": float(batch.n_samples.sum()) / SAMPLE_RATE}

    def transcribe(self, speech: PackedSpeech, at: int) -> str:
        """The greedy reading of one packed clip."""
        samples = torch.from_numpy(speech.samples(at).copy()).float()[None] / FULL_SCALE
        n_samples = torch.tensor([samples.shape[1]])
        encoded = self.modules(samples.to(self.device), n_samples.to(self.device))
        return read_greedily(encoded.log_probs[0].cpu(), self.units).text

    def validate(self) -> dict[str, float]:
        """Word error rate of each dev set, by the Whisper normaliser."""
        said: dict[str, list[tuple[str, str]]] = {}
        for speech in self.dev:
            for at, clip in enumerate(speech):
                heard = self._normaliser(self.transcribe(speech, at))
                said.setdefault(clip.set_name, []).append((self._normaliser(clip.text), heard))
        return {
            name: float(jiwer.wer([text for text, _ in pairs], [heard for _, heard in pairs]))
            for name, pairs in sorted(said.items())
        }
