"""The audio encoder: stacked log-mel frames, conformer blocks, a CTC head.

One set of weights serves the whole clip and chunks of it: given a chunk length, nothing looks past
the chunk's end. Layers are those measured to be cheap on CPU: a linear front end, rotary
positions, the depthwise convolution as a channels-last 2-D one.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiochat.model.config import EncoderConfig


@dataclass(frozen=True)
class Context:
    """How far a frame may look: to the end of its chunk, and some way back before it."""

    chunk: int = 0
    """Frames to a chunk; 0 is the whole clip."""
    left: int = 0
    """Frames seen before the chunk; 0 is all. Ignored for the whole clip."""


WHOLE_CLIP = Context()


@dataclass(frozen=True)
class Encoded:
    """What the encoder makes of a batch."""

    frames: Tensor
    """(B, T, D)"""
    log_probs: Tensor
    """(B, T, V) log posteriors of the CTC units."""
    phone_log_probs: tuple[Tensor, ...]
    """(B, R·T, P) log posteriors of phones after earlier blocks, R to a frame."""
    n_frames: Tensor
    """(B,) frames that are not padding."""


def rotary_tables(positions: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, head_dim) of rotary position embedding (Su et al. 2021)."""
    inverse = 10_000 ** (-torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    angles = positions[:, None] * inverse
    return torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()


def rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Apply rotary tables to x: (B, heads, T, head_dim)."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * tables[0] + turned * tables[1]


def attention_mask(n_frames: Tensor, length: int, context: Context) -> Tensor:
    """(B, 1, T, T), true where the query (row) may see the key (column)."""
    at = torch.arange(length, device=n_frames.device)
    seen = (at < n_frames[:, None])[:, None, None, :]
    if not context.chunk:
        return seen
    chunk_start = at // context.chunk * context.chunk
    ahead = at[None, :] < (chunk_start + context.chunk)[:, None]
    behind = at[None, :] >= (chunk_start - context.left)[:, None] if context.left else ahead
    return seen & (ahead & behind)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions."""

    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        """`dim` is split among `n_heads`."""
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
        """x: (B, T, D), mask: (B, 1, T, T) → (B, T, D)."""
        return self.attend(*self.project(x, tables), mask)

    def project(self, x: Tensor, tables: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """x: (B, T, D) → rotated queries and keys, and values, each (B, heads, T, head_dim)."""
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return rotate(q, tables), rotate(k, tables), v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """What `project` made → (B, T, D); without a mask all queries see all keys."""
        dropout = self.dropout if self.training else 0.0
        # On a CPU the kernel's gradient takes several times as long in bfloat16.
        wide = q.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if wide else nullcontext():
            q, k, v = (one.float() for one in (q, k, v)) if wide else (q, k, v)
            mixed = functional.scaled_dot_product_attention(q, k, v, mask, dropout)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Convolution(nn.Module):
    """A conformer's convolution module; sees left across chunks, right only within one."""

    def __init__(self, dim: int, kernel: int) -> None:
        """`kernel`: frames seen, odd."""
        super().__init__()
        self.reach = kernel // 2
        self.norm = nn.LayerNorm(dim)
        self.gate = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv2d(dim, dim, (kernel, 1), groups=dim)
        self.mid_norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, inside: Tensor, chunk: int) -> Tensor:
        """x: (B, T, D), inside: (B, T, 1) with 0 on padding → (B, T, D)."""
        gated = self.gated(x) * inside
        mixed = self._mix_chunks(gated, chunk) if chunk else self.mix(gated, self.reach)
        return self.leave(mixed)

    def gated(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D), what the convolution itself sees."""
        return functional.glu(self.gate(self.norm(x)), dim=-1)

    def leave(self, mixed: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D), what follows the convolution itself."""
        return self.out(functional.silu(self.mid_norm(mixed)))

    def mix(self, x: Tensor, left: int) -> Tensor:
        """Depthwise convolution along T, padded with `left` zeros before and `reach` after."""
        padded = functional.pad(x, (0, 0, left, self.reach))
        # (B, T, D) seen as (B, D, T, 1) is channels-last already: no copy.
        return self.depthwise(padded.permute(0, 2, 1).unsqueeze(-1)).squeeze(-1).permute(0, 2, 1)

    def _mix_chunks(self, x: Tensor, chunk: int) -> Tensor:
        batch, length, dim = x.shape
        n_chunks = -(-length // chunk)
        padded = functional.pad(x, (0, 0, self.reach, n_chunks * chunk - length))
        pieces = padded.unfold(1, chunk + self.reach, chunk).permute(0, 1, 3, 2)
        mixed = self.mix(pieces.reshape(batch * n_chunks, chunk + self.reach, dim), 0)
        return mixed.reshape(batch, n_chunks * chunk, dim)[:, :length]


def feed_forward(dim: int, ratio: int, dropout: float) -> nn.Sequential:
    """A pre-normed feed-forward layer, (…, D) → (…, D)."""
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, ratio * dim),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(ratio * dim, dim),
    )


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward (Gulati et al. 2020)."""

    def __init__(self, config: EncoderConfig) -> None:
        """Sizes from `config`."""
        super().__init__()
        self.before = feed_forward(config.dim, config.ffn_ratio, config.dropout)
        self.attention = Attention(config.dim, config.n_heads, config.dropout)
        self.convolution = Convolution(config.dim, config.conv_kernel)
        self.after = feed_forward(config.dim, config.ffn_ratio, config.dropout)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, mask: Tensor, tables: tuple[Tensor, Tensor], inside: Tensor, chunk: int
    ) -> Tensor:
        """x: (B, T, D) → (B, T, D)."""
        return self.around(
            x,
            lambda x: self.attention(x, mask, tables),
            lambda x: self.convolution(x, inside, chunk),
        )

    def around(
        self, x: Tensor, attend: Callable[[Tensor], Tensor], convolve: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The block with its two layers that see other frames given: (B, T, D) → (B, T, D)."""
        x = x + 0.5 * self.dropout(self.before(x))
        x = x + self.dropout(attend(x))
        x = x + self.dropout(convolve(x))
        x = x + 0.5 * self.dropout(self.after(x))
        return self.norm(x)


class FrontEnd(nn.Module):
    """A stack of feature frames to one encoder frame.

    Two local layers share their weights along the stack, so that a sound is learnt once, wherever
    in the stack it lies. They see one stack each: nothing has to be kept between stacks.
    """

    def __init__(self, config: EncoderConfig) -> None:
        """Sizes from `config`."""
        super().__init__()
        first, second = config.front_dims
        n_first = (config.stack + 2 * config.stack_margin - 4) // 2 + 1
        n_second = (n_first - 3) // 2 + 1
        self.first = nn.Linear(4 * config.n_mels, first)
        self.second = nn.Linear(3 * first, second)
        self.out = nn.Linear(n_second * second, config.dim)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, stacks: Tensor) -> Tensor:
        """stacks: (B, T, stack + 2 margins, F) → (B, T, D)."""
        x = functional.silu(self.first(stacks.unfold(2, 4, 2).flatten(3)))
        x = functional.silu(self.second(x.unfold(2, 3, 2).flatten(3)))
        return self.norm(self.out(x.flatten(2)))


class Conformer(nn.Module):
    """Log-mel frames to encoder frames and CTC posteriors."""

    def __init__(self, config: EncoderConfig) -> None:
        """Sizes from `config`."""
        super().__init__()
        self.config = config
        self.front = FrontEnd(config)
        self.blocks = nn.ModuleList(ConformerBlock(config) for _ in range(config.n_layers))
        self.head = nn.Linear(config.dim, config.n_units)
        if config.phones_every:
            n_guesses = config.phones_a_frame * config.n_phones
            self.phones = nn.Linear(config.dim, n_guesses)
            self.condition = nn.Linear(n_guesses, config.dim)

    def stacked(self, features: Tensor) -> Tensor:
        """features: (B, T', F) → (B, ⌈T'/stack⌉, stack + 2 margins, F), zeros past the end."""
        config = self.config
        length = -(-features.shape[1] // config.stack)
        tail = length * config.stack - features.shape[1] + config.stack_margin
        return self.windows(functional.pad(features, (0, 0, config.stack_margin, tail)))

    def windows(self, padded: Tensor) -> Tensor:
        """padded: (B, T·stack + 2 margins, F) → (B, T, stack + 2 margins, F)."""
        config = self.config
        windows = padded.unfold(1, config.stack + 2 * config.stack_margin, config.stack)
        return windows.transpose(2, 3)

    def forward(
        self,
        features: Tensor,
        n_features: Tensor,
        context: Context = WHOLE_CLIP,
    ) -> Encoded:
        """features: (B, T', F) with zeros past n_features (B,) → `Encoded` of ⌈T'/stack⌉ frames."""
        x = self.front(self.stacked(features))
        n_frames = -(-n_features // self.config.stack)
        length = x.shape[1]
        positions = torch.arange(length, device=x.device)
        inside = (positions < n_frames[:, None])[..., None].to(x.dtype)
        mask = attention_mask(n_frames, length, context)
        tables = rotary_tables(positions, self.config.dim // self.config.n_heads)
        return self.encode(
            x, n_frames, lambda block, x: block(x, mask, tables, inside, context.chunk)
        )

    def encode(
        self, x: Tensor, n_frames: Tensor, run: Callable[[nn.Module, Tensor], Tensor]
    ) -> Encoded:
        """The front's frames (B, T, D) through all blocks, each by `run`, and the heads."""
        guesses = []
        every = self.config.phones_every
        for depth, block in enumerate(self.blocks, start=1):
            x = run(block, x)
            if every and depth % every == 0 and depth < len(self.blocks):
                log_probs = self.guess_phones(x)
                guesses.append(log_probs.flatten(1, 2))
                x = x + self.condition(log_probs.exp().flatten(2))
        return Encoded(x, self.head(x).log_softmax(-1), tuple(guesses), n_frames)

    def guess_phones(self, x: Tensor) -> Tensor:
        """x: (B, T, D) → log posteriors (B, T, R, P)."""
        logits: Tensor = self.phones(x).unflatten(-1, (self.config.phones_a_frame, -1))
        return logits.log_softmax(-1)
