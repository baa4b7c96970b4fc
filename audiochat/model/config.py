"""The sizes of the model's trained parts, as frozen values stored beside the weights."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from audiochat.errors import ModelError

ConnectorKind = Literal["hybrid", "end_to_end"]


@dataclass(frozen=True)
class EncoderConfig:
    """The audio encoder: stacked log-mel frames, then a conformer with a CTC head."""

    n_mels: int = 80
    """Mel bands (F)."""
    stack: int = 8
    """10 ms feature frames to one encoder frame: 8 make 80 ms."""
    stack_margin: int = 4
    """Feature frames seen beyond each end of a stack."""
    front_dims: tuple[int, int] = (128, 192)
    """Widths of the front end's two local layers."""
    dim: int = 192
    """Width (D)."""
    n_layers: int = 8
    """Conformer blocks."""
    n_heads: int = 4
    """Attention heads."""
    ffn_ratio: int = 3
    """Width of a block's two feed-forward layers, in D."""
    conv_kernel: int = 9
    """Frames seen by a block's depthwise convolution; odd."""
    n_units: int = 512
    """Subword units of the CTC head, the blank (0) among them."""
    n_phones: int = 41
    """Phone units of the middle CTC head, its blank (0) among them."""
    phones_a_frame: int = 4
    """Phone guesses to an encoder frame, one in 20 ms: people say up to 18 a second."""
    phones_every: int = 3
    """After every so many blocks phones are guessed and added back to the frames (0: never)."""
    dropout: float = field(default=0.0, compare=False)
    """Dropout while training; drawing it costs a CPU step a fifth of its time. Ears that differ in
    it alone have the same weights, so they are equal."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot work."""
        object.__setattr__(self, "front_dims", tuple(self.front_dims))  # JSON has lists
        if self.dim % self.n_heads or (self.dim // self.n_heads) % 2:
            raise ModelError(f"dim {self.dim} must be an even multiple of n_heads {self.n_heads}.")
        if self.stack + 2 * self.stack_margin < 8:
            raise ModelError(
                f"A stack of {self.stack} + 2 x {self.stack_margin} frames is too short."
            )
        if self.conv_kernel % 2 == 0:
            raise ModelError(f"conv_kernel {self.conv_kernel} must be odd.")


@dataclass(frozen=True)
class ConnectorConfig:
    """The connector: encoder frames to the LLM's embedding space."""

    kind: ConnectorKind = "hybrid"
    """`end_to_end` is connector A of the design, `hybrid` is B."""
    encoder_dim: int = 192
    """Width of the frames that come in (D)."""
    llm_dim: int = 576
    """Width of the embeddings that go out (H)."""
    stack: int = 1
    """Kept frames joined into one audio embedding (K), end to end only."""
    max_blank: float = 0.2
    """Frames that the CTC head calls blank with more than this are dropped, end to end only.

    What is nearly blank tells the LLM nothing that its neighbours do not, and costs a position."""
    min_doubt: float = 0.4
    """Words heard with less doubt than this, from 0 to 1, stay text, hybrid only."""
    hidden_dim: int = 512
    """Width of the hidden layer."""
    embedding_rms: float = 0.1
    """Root mean square of the LLM's own token embeddings: what goes out has this scale."""


@dataclass(frozen=True)
class AudioChatLlamaConfig:
    """What a weights folder says of itself."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    connectors: tuple[ConnectorConfig, ...] = ()
    llm: str = "embedded"
    """The frozen LLM the connectors were trained for: a name or a folder."""
    format_version: int = 1

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Back from JSON.

        Raises:
            ModelError: another format version, or names that this version does not know.
        """
        version = values.get("format_version")
        if version != 1:
            raise ModelError(
                f"These weights have format version {version}, this program reads 1. "
                "Update audiochat, or export the weights again."
            )
        try:
            return cls(
                encoder=EncoderConfig(**values["encoder"]),
                connectors=tuple(ConnectorConfig(**one) for one in values["connectors"]),
                llm=str(values["llm"]),
            )
        except (KeyError, TypeError) as error:
            known = ", ".join(one.name for one in fields(EncoderConfig))
            raise ModelError(
                f"The weights' config.json is not understood ({error}); encoder fields: {known}."
            ) from error
