"""Recipes: what is trained, on what, for how long. Each shows only its difference from the base."""

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from audiochat.errors import DataError
from audiochat.model.config import ConnectorKind, EncoderConfig
from audiochat.speech_data.augmentation import MASKED, STRONG, AugmentationConfig

LlmType: TypeAlias = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class OptimizerConfig:
    """Muon for the matrices inside, AdamW for the rest; warm-up, plateau, then down to the floor.

    A plateau, and not a cosine, so that one run can be cooled down in several ways to compare them.
    """

    muon_lr: float = 0.02
    """Peak step of the orthogonalised matrices; 0 gives them to AdamW."""
    adam_lr: float = 1e-3
    """Peak step of AdamW."""
    adam_betas: tuple[float, float] = (0.9, 0.98)
    """Decay of AdamW's averages."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it."""
    warm_up_share: float = 0.03
    """Share of the run that warms up."""
    cool_down_share: float = 0.3
    """Share of the run in which the rates sink to the floor, the last one."""
    floor: float = 0.01
    """Share of the peak left at the end."""
    average_decay: float = 0.995
    """Of the moving average of the weights, a step; the average is what is measured and shipped."""


@dataclass(frozen=True)
class CtcRecipe:
    """CTC pretraining of the encoder."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    optimizer: OptimizerConfig = OptimizerConfig(cool_down_share=0.45)
    augmentation: AugmentationConfig | None = field(default_factory=AugmentationConfig)
    """None trains on the clips as they are."""
    augmentation_at_end: AugmentationConfig | None = None
    """What the augmentation moves to until the run's end; None leaves it as it is."""
    augment_from: float = 0.0
    """Share of the run after which augmentation starts."""
    batch_s: float = 120.0
    """Seconds of padded speech to a step."""
    max_clip_s: float = 18.0
    """Longer clips are left out."""
    human_weight: float = 50.0
    """How often a human clip is drawn for each time a synthetic one is."""
    set_weights: tuple[tuple[str, float], ...] = ()
    """Sets of clips by name that are drawn so many times as often as they would be."""
    phone_weight: float = 0.4
    """Share of the phone losses of the middle blocks."""
    consistency: float = 0.0
    """Weight of the distance between two masked views of each clip; each step then costs two."""
    chunked_share: float = 0.2
    """Share of the steps that see only chunks, so that streaming works with the same weights."""
    seed: int = 1
    """Of every draw."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if self.batch_s < self.max_clip_s:
            raise DataError(
                f"--batch-s {self.batch_s} must hold the longest clip ({self.max_clip_s} s)."
            )


@dataclass(frozen=True)
class AlignRecipe:
    """Training of a connector through the frozen LLM."""

    connector: ConnectorKind = "hybrid"
    """`hybrid` or `end_to_end`."""
    optimizer: OptimizerConfig = OptimizerConfig(muon_lr=0.0, weight_decay=0.0)
    batch_examples: int = 8
    """Examples to a step: of some 110 positions each, prompt and response."""
    kl_weight: float = 0.5
    """Share of the distillation loss; the rest is cross-entropy on the response."""
    teacher_tokens: int = 64
    """The distillation looks at so many of the likeliest tokens, and at all others as one."""
    max_response_tokens: int = 32
    """Responses are cut here while training."""
    encoder_rate: float = 0.0
    """Rate of the encoder as a share of the connector's; 0 leaves it as it is."""
    ctc_weight: float = 0.3
    """Weight of the CTC loss that keeps a trained encoder's words right."""
    dtype: LlmType = "float32"
    """Of the LLM's weights; what is trained stays in float32."""
    shard_llm: bool = False
    """Spread the LLM's layers over the processes, if several train."""
    llm: str = "embedded"
    """The LLM it is meant for; of another than the embedded one `--llm` must say where it is."""
    speech: str = "what `train pack` and `train synthesize` made"
    """The speech it is meant for."""
    seed: int = 1
    """Of every draw."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not 0 <= self.kl_weight <= 1:
            raise DataError(f"--kl-weight {self.kl_weight} must lie between 0 and 1.")
        if self.encoder_rate < 0:
            raise DataError(f"--encoder-rate {self.encoder_rate} must not be below 0.")


AUGMENTATIONS = {"mild": AugmentationConfig(), "strong": STRONG, "masked": MASKED}
"""By name, for the command line."""

EMBEDDED = CtcRecipe()
CTC_RECIPES = {
    "embedded": EMBEDDED,
    "tiny": replace(
        EMBEDDED,
        encoder=EncoderConfig(dim=96, n_layers=2, n_units=128, phones_every=0),
        augmentation=None,
        batch_s=60.0,
        chunked_share=0.0,
        phone_weight=0.0,
    ),
    "gpu": replace(
        EMBEDDED,
        optimizer=OptimizerConfig(),
        encoder=EncoderConfig(dim=256, n_layers=12, ffn_ratio=4, phones_every=4, dropout=0.05),
        augmentation_at_end=STRONG,
        augment_from=0.1,
        batch_s=1800.0,
        human_weight=4.0,
    ),
    "paper": replace(
        EMBEDDED,
        optimizer=OptimizerConfig(),
        encoder=EncoderConfig(
            dim=512, n_layers=18, n_heads=8, ffn_ratio=4, conv_kernel=11, n_units=1547
        ),
        augment_from=0.1,
        batch_s=1800.0,
        max_clip_s=24.0,
        human_weight=1.0,
    ),
}
"""By name: `tiny` overfits a few clips in a minute, `embedded` makes an ear like the shipped one on
a laptop (its runs are in the model card), `gpu` larger ones in a quarter of an hour on one
data-centre GPU, `paper` has the published sizes (facts gathered second-hand) for MLS-sized data."""

ALIGN_RECIPES = {
    "embedded": AlignRecipe(),
    "tiny": AlignRecipe(batch_examples=2, max_response_tokens=8),
    "paper": AlignRecipe(
        connector="end_to_end",
        batch_examples=16,
        kl_weight=0.0,
        max_response_tokens=256,
        encoder_rate=1.0,
        ctc_weight=0.0,
        dtype="bfloat16",
        shard_llm=True,
        llm="Llama-2-7b-chat, as a folder (13.5 GB in bfloat16: one 80 GB GPU, or two of 24 GB)",
        speech="the English part of Multilingual LibriSpeech, as a manifest",
    ),
}
"""By name: `embedded` makes the shipped connectors on a laptop, `tiny` is for tests, `paper` is of
the published kind."""
