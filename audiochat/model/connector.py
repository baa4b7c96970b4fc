"""The connectors: encoder frames to audio embeddings in the space of the frozen LLM.

End to end (A): the frames that the CTC head does not call blank become embeddings; no word is
decided on. Hybrid (B): the LLM's embeddings of the words heard, plus a residual from the frames
beneath each, as large as it is doubtful: untrained, or heard for sure, it is the cascade.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiochat.model.config import ConnectorConfig
from audiochat.model.units import BLANK


def stack_frames(frames: Tensor, n_frames: Tensor, stack: int) -> tuple[Tensor, Tensor]:
    """Join `stack` frames into one; the tail is padded, so no frame is lost.

    frames: (B, T, D) with zeros past n_frames (B,) → (B, ⌈T/K⌉, K·D) and (B,).
    """
    batch, length, dim = frames.shape
    whole = -(-length // stack) * stack
    padded = functional.pad(frames, (0, 0, 0, whole - length))
    return padded.reshape(batch, whole // stack, stack * dim), -(-n_frames // stack)


def is_spoken(log_probs: Tensor, max_blank: float) -> Tensor:
    """Which frames the CTC head does not call blank: log_probs (…, V) → (…) bool."""
    return log_probs[..., BLANK].exp() < max_blank


def spoken_frames(
    frames: Tensor, log_probs: Tensor, n_frames: Tensor, max_blank: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the frames whose blank posterior is below `max_blank`, moved to the front.

    frames: (B, T, D), log_probs: (B, T, V), n_frames: (B,) → (B, T', D), (B, T', V), (B,), with
    zeros past the counts. A clip with none keeps its first frame, so that no prompt is empty.
    """
    at = torch.arange(frames.shape[1], device=frames.device)
    kept = is_spoken(log_probs, max_blank) & (at < n_frames[:, None])
    kept[:, 0] |= ~kept.any(1)
    counts = kept.sum(1)
    # A stable sort of "dropped" brings the kept frames forward in their order.
    order = (~kept).to(torch.int8).sort(dim=1, stable=True).indices[:, : int(counts.max())]
    inside = (at[: order.shape[1]] < counts[:, None])[..., None]
    chosen = frames.gather(1, order[..., None].expand(-1, -1, frames.shape[2]))
    posteriors = log_probs.gather(1, order[..., None].expand(-1, -1, log_probs.shape[2])).exp()
    return chosen * inside, posteriors * inside, counts


def zero_linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear layer that gives zeros until it is trained."""
    layer = nn.Linear(n_in, n_out)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class EndToEndConnector(nn.Module):
    """Connector A: posterior-weighted unit embeddings plus a projection of the stacked frames."""

    def __init__(self, config: ConnectorConfig, n_units: int) -> None:
        """`n_units`: V of the CTC head."""
        super().__init__()
        self.config = config
        self.unit_embeds = nn.Parameter(torch.randn(n_units, config.llm_dim) * config.embedding_rms)
        self.project = nn.Sequential(
            nn.Linear(config.stack * config.encoder_dim, config.hidden_dim),
            nn.SiLU(),
            zero_linear(config.hidden_dim, config.llm_dim),
        )
        self.scale = nn.Parameter(torch.tensor(1.0))

    @torch.no_grad()
    def start_from(self, unit_embeds: Tensor) -> None:
        """Start from the LLM's own embeddings of the units' text, (V, H)."""
        self.unit_embeds.copy_(unit_embeds)

    def forward(self, frames: Tensor, log_probs: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """frames: (B, T, D), log_probs: (B, T, V), n_frames: (B,) → (B, L, H) and counts (B,).

        What goes out has the root mean square of the LLM's embeddings, times a learnt scale: raw
        projections are far from it, which is the classic failure.
        """
        config = self.config
        kept, posteriors, counts = spoken_frames(frames, log_probs, n_frames, config.max_blank)
        stacked, n_out = stack_frames(kept, counts, config.stack)
        mixed, _ = stack_frames(posteriors @ self.unit_embeds, counts, config.stack)
        mixed = mixed.unflatten(-1, (config.stack, config.llm_dim)).mean(-2)
        out = mixed + config.embedding_rms * self.project(stacked)
        rms = out.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-6)
        inside = torch.arange(out.shape[1], device=out.device) < n_out[:, None]
        return out / rms * (config.embedding_rms * self.scale) * inside[..., None], n_out


class HybridConnector(nn.Module):
    """Connector B: the LLM's embeddings of the words heard, plus a residual from their frames."""

    def __init__(self, config: ConnectorConfig) -> None:
        """Sizes from `config`."""
        super().__init__()
        self.config = config
        self.residual = nn.Sequential(
            nn.LayerNorm(config.encoder_dim + config.llm_dim),
            nn.Linear(config.encoder_dim + config.llm_dim, config.hidden_dim),
            nn.SiLU(),
            zero_linear(config.hidden_dim, config.llm_dim),
        )

    def forward(self, token_embeds: Tensor, frames: Tensor, doubts: Tensor) -> Tensor:
        """Tokens of what was heard to audio embeddings; what was heard for sure stays text.

        token_embeds: (…, L, H), frames beneath each token: (…, L, D), doubts, from 0 (sure) to 1:
        (…, L) → (…, L, H).
        """
        config = self.config
        scaled = token_embeds / config.embedding_rms
        share = (doubts - config.min_doubt).clamp(min=0) / (1 - config.min_doubt)
        residual = share[..., None] * self.residual(torch.cat([frames, scaled], -1))
        return token_embeds + config.embedding_rms * residual

    @torch.no_grad()
    def shrink(self, share: float) -> None:
        """Go back towards the words alone: the residual is `share` of what it was.

        Between what was trained and what it began from lies a model that keeps the gain and strays
        less (Wortsman et al. 2022, robust fine-tuning).
        """
        last = self.residual[-1]
        for weights in last.parameters():
            weights.mul_(share)


def frames_beneath(frames: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    """The mean frame of each span of first and last frame: frames (T, D) → (L, D)."""
    if not spans:
        return frames.new_zeros(0, frames.shape[1])
    return torch.stack([frames[first : last + 1].mean(0) for first, last in spans])


def build_connector(config: ConnectorConfig, n_units: int) -> EndToEndConnector | HybridConnector:
    """The connector of that kind, untrained."""
    if config.kind == "end_to_end":
        return EndToEndConnector(config, n_units)
    return HybridConnector(config)
