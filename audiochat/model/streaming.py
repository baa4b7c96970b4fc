"""The ear while the person still speaks: chunks are encoded as soon as they are complete.

What comes out is what `ear` gives the whole clip in the same `Context`. The state of a stream goes
in and comes out as a value, so a stream can be kept, copied and dropped; no module remembers one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.model.alignment import read_greedily
from audiochat.model.config import EncoderConfig
from audiochat.model.conformer import Conformer, ConformerBlock, Context, Encoded, rotary_tables
from audiochat.model.ear import Ear, Hearing, as_batch, phones_heard
from audiochat.model.features import HOP, WINDOW
from audiochat.model.units import BLANK, Units

STREAM_CONTEXT = Context(chunk=16, left=100)
"""Chunks of 1.28 s with 8 s before them: lengths that training draws its own from."""


@dataclass(frozen=True)
class BlockPast:
    """What one block needs of the chunks before."""

    keys: Tensor
    """(1, heads, T, head_dim), rotated to their places in the clip; T up to the left context."""
    values: Tensor
    """(1, heads, T, head_dim)"""
    gated: Tensor
    """(1, reach, D), the convolution's last inputs; zeros before the clip."""


@dataclass(frozen=True)
class StreamState:
    """A stream between two pieces; its size is bounded by the chunk and the left context."""

    context: Context
    samples: Tensor
    """(1, N) from `stack_margin` features before the next chunk on."""
    n_samples: int
    """Samples fed since the clip began."""
    n_frames: int
    """Frames encoded since the clip began."""
    past: tuple[BlockPast, ...]
    """Of each block, first to last."""


def look_ahead_samples(config: EncoderConfig) -> int:
    """Samples past a chunk's end that its last frame sees: 55 ms in the default sizes."""
    return (config.stack_margin - 1) * HOP + WINDOW


def frame_samples(config: EncoderConfig) -> int:
    """Samples from one encoder frame to the next: 80 ms by default."""
    return config.stack * HOP


def start(ear: Ear, context: Context = STREAM_CONTEXT) -> StreamState:
    """A stream of which nothing has been heard; with `context.left` 0 its state grows for ever."""
    assert context.chunk > 0, "a stream needs a chunk length"
    none = ear.features.mean.new_zeros(1, 0)
    past = tuple(_no_past(_conformer_block(block)) for block in ear.encoder.blocks)
    return StreamState(context, none, 0, 0, past)


def feed(ear: Ear, state: StreamState, samples: Tensor) -> tuple[list[Encoded], StreamState]:
    """Take samples (1, N), in [-1, 1] at SAMPLE_RATE, as they come in.

    Returns:
        The chunks that they completed, each `Encoded` of `context.chunk` frames, and the state for
        the next call. A chunk is complete `look_ahead_samples` after its end.
    """
    config = ear.encoder.config
    needed = state.context.chunk * frame_samples(config) + look_ahead_samples(config)
    heard = torch.cat([state.samples, samples.to(state.samples)], 1)
    state = replace(state, samples=heard, n_samples=state.n_samples + samples.shape[1])
    chunks = []
    while _n_waiting(state, config) >= needed:
        chunk, state = _next_chunk(ear, state)
        chunks.append(chunk)
    # A copy, for a view would hold on to all that was fed.
    return chunks, replace(state, samples=state.samples.clone())


def finish(ear: Ear, state: StreamState) -> list[Encoded]:
    """Encode what is left after the last samples: a chunk and, within the look-ahead, a frame."""
    chunks = []
    while _n_waiting(state, ear.encoder.config) > 0:
        chunk, state = _next_chunk(ear, state)
        chunks.append(chunk)
    return chunks


def _n_waiting(state: StreamState, config: EncoderConfig) -> int:
    """Samples from the next chunk's start on."""
    return state.n_samples - state.n_frames * frame_samples(config)


def _margin_before(config: EncoderConfig, n_frames: int) -> int:
    """Features before a chunk that its first frame sees and that lie inside the clip."""
    return min(config.stack_margin, n_frames * config.stack)


def _next_chunk(ear: Ear, state: StreamState) -> tuple[Encoded, StreamState]:
    """Encode one chunk of the samples held, or as much of it as there is."""
    config, context = ear.encoder.config, state.context
    before = _margin_before(config, state.n_frames)
    n_features = before + context.chunk * config.stack + config.stack_margin
    seen = state.samples[:, : (n_features - 1) * HOP + WINDOW]
    features, _ = ear.features(seen, torch.tensor([seen.shape[1]], device=seen.device))
    features = features[:, :n_features]
    n_inside = features.shape[1] - before
    n_frames = min(context.chunk, -(-n_inside // config.stack))
    # Zeros beyond the clip's ends, as for the whole clip.
    pads = config.stack_margin - before, n_frames * config.stack + config.stack_margin - n_inside
    windows = ear.encoder.windows(nn.functional.pad(features, (0, 0, *pads)))
    encoded, past = _encode(ear.encoder, windows, state)
    done = state.n_frames + n_frames
    used = n_frames * config.stack + before - _margin_before(config, done)
    left = state.samples[:, used * HOP :]
    return encoded, replace(state, samples=left, n_frames=done, past=past)


def _encode(
    encoder: Conformer, windows: Tensor, state: StreamState
) -> tuple[Encoded, tuple[BlockPast, ...]]:
    """The frames of a chunk from its windows (1, T, …), and each block's past for the next."""
    x = encoder.front(windows)
    positions = torch.arange(state.n_frames, state.n_frames + x.shape[1], device=x.device)
    tables = rotary_tables(positions, encoder.config.dim // encoder.config.n_heads)
    kept: list[BlockPast] = []

    def run(block: nn.Module, x: Tensor) -> Tensor:
        past = state.past[len(kept)]
        x, past = _through(_conformer_block(block), x, past, tables, left=state.context.left)
        kept.append(past)
        return x

    encoded = encoder.encode(x, torch.tensor([x.shape[1]], device=x.device), run)
    return encoded, tuple(kept)


def _through(
    block: ConformerBlock,
    x: Tensor,
    past: BlockPast,
    tables: tuple[Tensor, Tensor],
    *,
    left: int,
) -> tuple[Tensor, BlockPast]:
    """A chunk (1, T, D) through one block; `left` frames are kept, all if it is 0."""
    keys, values, gated = past.keys, past.values, past.gated

    def attend(x: Tensor) -> Tensor:
        nonlocal keys, values
        queries, new_keys, new_values = block.attention.project(x, tables)
        keys, values = torch.cat([keys, new_keys], 2), torch.cat([values, new_values], 2)
        return block.attention.attend(queries, keys, values)

    def convolve(x: Tensor) -> Tensor:
        nonlocal gated
        gated = torch.cat([gated, block.convolution.gated(x)], 1)
        return block.convolution.leave(block.convolution.mix(gated, 0))

    x = block.around(x, attend, convolve)
    if left:
        # Copies, for a view would hold on to all that it was cut from.
        keys, values = keys[:, :, -left:].clone(), values[:, :, -left:].clone()
    return x, BlockPast(keys, values, gated[:, gated.shape[1] - block.convolution.reach :].clone())


def _no_past(block: ConformerBlock) -> BlockPast:
    dim, heads = len(block.norm.weight), block.attention.n_heads
    none = block.norm.weight.new_zeros(1, heads, 0, dim // heads)
    return BlockPast(none, none, block.norm.weight.new_zeros(1, block.convolution.reach, dim))


def _conformer_block(block: nn.Module) -> ConformerBlock:
    assert isinstance(block, ConformerBlock)
    return block


@dataclass(frozen=True)
class StreamedHearing:
    """What has been heard of a recording that still goes on: a value, each piece makes the next.

    heard = StreamedHearing.begin(ear, units)
    for piece in microphone:
        heard = heard.feed(piece)
        print(heard.text)
    hearing = heard.finish()
    """

    ear: Ear
    units: Units
    state: StreamState
    frames: tuple[Tensor, ...] = ()
    """(T, D) of each chunk."""
    log_probs: tuple[Tensor, ...] = ()
    """(T, V) of each chunk."""
    phone_log_probs: tuple[Tensor, ...] = ()
    """(R·T, P) of each chunk."""
    unit_ids: tuple[int, ...] = ()
    """The units read so far; later chunks only add to them."""
    last_unit: int = BLANK
    """Of the last frame: a chunk that goes on with it does not say it twice."""

    @classmethod
    def begin(cls, ear: Ear, units: Units, context: Context = STREAM_CONTEXT) -> Self:
        """Before the first sample."""
        return cls(ear, units, start(ear, context))

    @property
    def text(self) -> str:
        """The words so far: those of the complete chunks, the last of them perhaps half said."""
        return self.units.decode(self.unit_ids)

    @torch.inference_mode()
    def feed(self, piece: Waveform) -> Self:
        """Hear the next piece, of any length."""
        samples, _ = as_batch([piece])
        chunks, state = feed(self.ear, self.state, samples)
        return replace(self._with(chunks), state=state) if chunks else replace(self, state=state)

    @torch.inference_mode()
    def finish(self) -> Hearing:
        """Hear the rest; the same as `listen` to the whole in this context, with less left to do.

        The stream itself stays as it is: more may be fed to it.
        """
        whole = self._with(finish(self.ear, self.state))
        config = self.ear.encoder.config
        log_probs = torch.cat([torch.zeros(0, config.n_units), *whole.log_probs])
        frames = torch.cat([torch.zeros(0, config.dim), *whole.frames])
        guessed = whole.phone_log_probs
        phones = torch.cat(guessed) if guessed else torch.zeros(0, 0)
        return Hearing(read_greedily(log_probs, self.units), frames, log_probs, phones)

    def completed(self, whole: Waveform) -> Hearing:
        """Hear the rest of a recording whose beginning, and nothing else, has been fed."""
        n_fed = self.state.n_samples
        assert n_fed <= len(whole.samples), "more was fed than the recording holds"
        return self.feed(Waveform(whole.samples[n_fed:], whole.sample_rate)).finish()

    def _with(self, chunks: Sequence[Encoded]) -> Self:
        ids, last = list(self.unit_ids), self.last_unit
        log_probs = [chunk.log_probs[0].float().cpu() for chunk in chunks]
        for unit in (unit for one in log_probs for unit in one.argmax(-1).tolist()):
            if unit not in (last, BLANK):
                ids.append(unit)
            last = unit
        return replace(
            self,
            frames=(*self.frames, *(chunk.frames[0].float().cpu() for chunk in chunks)),
            log_probs=(*self.log_probs, *log_probs),
            phone_log_probs=(
                *self.phone_log_probs,
                *(phones_heard(chunk)[0].float().cpu() for chunk in chunks),
            ),
            unit_ids=tuple(ids),
            last_unit=last,
        )


def stream_context(config: EncoderConfig, chunk_ms: int) -> Context:
    """`STREAM_CONTEXT` with the chunk nearest to `chunk_ms`, of one frame at least."""
    n_frames = round(chunk_ms * SAMPLE_RATE / 1000 / frame_samples(config))
    return replace(STREAM_CONTEXT, chunk=max(1, n_frames))
