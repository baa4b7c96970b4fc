"""A stream hears what the whole clip in the same chunks gives, from a state that stays small."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.model.alignment import greedy_units
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.config import AudioChatLlamaConfig, EncoderConfig
from audiochat.model.conformer import Context, Encoded
from audiochat.model.ear import Ear, listen
from audiochat.model.features import HOP
from audiochat.model.language_model import LanguageModel
from audiochat.model.streaming import (
    STREAM_CONTEXT,
    StreamedHearing,
    StreamState,
    feed,
    finish,
    frame_samples,
    look_ahead_samples,
    start,
    stream_context,
)
from audiochat.model.units import Units

BOUND = 1e-4
"""Log posteriors and frames of a stream are this near to the whole clip's."""
UNITS = Units.trained(["what is the time", "tell me a story", "how are you today"], 40)
TINY = EncoderConfig(
    dim=32, n_layers=4, n_heads=2, n_units=UNITS.size, conv_kernel=5, phones_every=2
)
CHUNK = Context(4, left=8)
FRAME = frame_samples(TINY)
AHEAD = look_ahead_samples(TINY)
BOUNDARY = CHUNK.chunk * FRAME
"""Samples to a chunk of CHUNK."""


def random_ear(config: EncoderConfig) -> Ear:
    torch.manual_seed(0)
    return Ear(config).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def ear() -> Ear:
    return random_ear(TINY)


def sound(n_samples: int, seed: int = 0) -> Tensor:
    noise = torch.randn(1, n_samples, generator=torch.Generator().manual_seed(seed))
    # Loud and soft by turns, so that frames differ.
    return 0.2 * noise * torch.sin(torch.arange(n_samples) / 3000)


def cuts(samples: Tensor, seed: int, longest: int = 9000) -> Iterator[Tensor]:
    """The samples in pieces of any length, empty ones among them."""
    draw, at = random.Random(seed), 0
    while at < samples.shape[1]:
        length = draw.choice((0, 1, draw.randrange(HOP), draw.randrange(longest)))
        yield samples[:, at : at + length]
        at += length


def streamed(ear: Ear, pieces: Iterator[Tensor], context: Context) -> list[Encoded]:
    state, chunks = start(ear, context), []
    for piece in pieces:
        done, state = feed(ear, state, piece)
        chunks += done
    return chunks + finish(ear, state)


def assert_same(chunks: list[Encoded], whole: Encoded) -> None:
    for name in ("frames", "log_probs"):
        joined = torch.cat([getattr(chunk, name) for chunk in chunks], 1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=BOUND, rtol=0)
    for depth, expected in enumerate(whole.phone_log_probs):
        joined = torch.cat([chunk.phone_log_probs[depth] for chunk in chunks], 1)
        torch.testing.assert_close(joined, expected, atol=BOUND, rtol=0)
    assert sum(int(chunk.n_frames) for chunk in chunks) == int(whole.n_frames)


LENGTHS = [
    *(1, 159, 160, 161, 399, 400, 401, FRAME - 1, FRAME, FRAME + 1),
    *(BOUNDARY + offset for offset in (-1, 0, 1, HOP, AHEAD - 1, AHEAD, AHEAD + 1)),
    *(3 * BOUNDARY + 777 + remainder * (HOP + 1) for remainder in range(8)),
]


@pytest.mark.parametrize("n_samples", LENGTHS)
@pytest.mark.parametrize("context", [CHUNK, Context(1, left=4), Context(5)])
def test_a_stream_equals_the_whole(ear: Ear, n_samples: int, context: Context) -> None:
    samples = sound(n_samples)
    whole = ear(samples, torch.tensor([n_samples]), context)
    assert_same(streamed(ear, cuts(samples, seed=n_samples), context), whole)


@pytest.mark.parametrize("margin", [0, 1, 3])
def test_a_stream_equals_the_whole_for_other_margins(margin: int) -> None:
    ear = random_ear(EncoderConfig(dim=32, n_layers=2, n_heads=2, n_units=40, stack_margin=margin))
    samples = sound(2 * BOUNDARY + 1234)
    whole = ear(samples, torch.tensor([samples.shape[1]]), CHUNK)
    assert_same(streamed(ear, cuts(samples, 0), CHUNK), whole)


def test_a_stream_equals_the_whole_in_the_default_sizes() -> None:
    ear = random_ear(EncoderConfig())
    for n_samples in (5_000, 41_111, 12 * SAMPLE_RATE + 17):
        samples = sound(n_samples)
        whole = ear(samples, torch.tensor([n_samples]), STREAM_CONTEXT)
        assert_same(streamed(ear, cuts(samples, n_samples), STREAM_CONTEXT), whole)


def test_the_left_context_is_used_and_then_forgotten(ear: Ear) -> None:
    """Long enough that the keys before the left context have fallen out of every block."""
    samples = sound(12 * BOUNDARY)
    whole = ear(samples, torch.tensor([samples.shape[1]]), CHUNK)
    assert_same(streamed(ear, cuts(samples, 1), CHUNK), whole)
    unbounded = ear(samples, torch.tensor([samples.shape[1]]), Context(CHUNK.chunk))
    assert not torch.allclose(whole.log_probs, unbounded.log_probs, atol=BOUND)


def state_bytes(state: StreamState) -> int:
    """Bytes held, those that views hold on to included."""
    kept = [(past.keys, past.values, past.gated) for past in state.past]
    tensors = [state.samples, *(tensor for one in kept for tensor in one)]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def test_the_state_does_not_grow(ear: Ear) -> None:
    state, sizes, second = start(ear, CHUNK), [], sound(SAMPLE_RATE)
    for _ in range(60):
        _, state = feed(ear, state, second)
        sizes.append(state_bytes(state))
    samples = BOUNDARY + AHEAD + TINY.stack_margin * HOP
    frames = TINY.n_layers * TINY.dim * (2 * CHUNK.left + TINY.conv_kernel // 2)
    assert max(sizes) <= 4 * (samples + frames)
    assert max(sizes[30:]) == max(sizes[5:30])


def test_a_chunk_sees_its_look_ahead_and_no_further(ear: Ear) -> None:
    samples, end = sound(2 * BOUNDARY), BOUNDARY + AHEAD
    for changed_from, same in ((end, True), (end - 80, False)):
        changed = samples.clone()
        changed[:, changed_from : changed_from + 2000] += 0.5
        one, two = (streamed(ear, iter([x]), CHUNK)[0].log_probs for x in (samples, changed))
        assert torch.equal(one, two) is same


def test_the_look_ahead_is_as_it_is_said() -> None:
    ahead_ms = look_ahead_samples(EncoderConfig()) * 1000 // SAMPLE_RATE
    assert f" {ahead_ms} ms in the default sizes" in str(look_ahead_samples.__doc__)


def test_a_chunk_comes_as_soon_as_its_look_ahead_is_there(ear: Ear) -> None:
    samples = sound(BOUNDARY + AHEAD)
    chunks, state = feed(ear, start(ear, CHUNK), samples[:, :-1])
    assert chunks == []
    chunks, _ = feed(ear, state, samples[:, -1:])
    assert [int(chunk.n_frames) for chunk in chunks] == [CHUNK.chunk]


@pytest.mark.parametrize("n_samples", LENGTHS)
def test_little_is_left_when_the_recording_stops(ear: Ear, n_samples: int) -> None:
    """The last chunk; and a frame of the next where the clip ends within its look-ahead."""
    chunks, state = feed(ear, start(ear, CHUNK), sound(n_samples))
    left = sum(int(chunk.n_frames) for chunk in finish(ear, state))
    assert left <= CHUNK.chunk + 1
    assert len(chunks) * CHUNK.chunk + left == -(-n_samples // FRAME)


def test_a_state_is_a_value(ear: Ear) -> None:
    """Two futures of one past do not disturb one another."""
    samples = sound(3 * BOUNDARY)
    _, state = feed(ear, start(ear, CHUNK), samples[:, : BOUNDARY + AHEAD])
    rest = samples[:, BOUNDARY + AHEAD :]
    first = feed(ear, state, rest)[0]
    feed(ear, state, sound(2 * BOUNDARY, seed=5))
    again = feed(ear, state, rest)[0]
    assert first
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(first, again, strict=True))


def test_nothing_fed_is_nothing_heard(ear: Ear) -> None:
    assert finish(ear, start(ear)) == []
    hearing = StreamedHearing.begin(ear, UNITS).finish()
    assert hearing.text == ""
    assert hearing.log_probs.shape == (0, UNITS.size)


@pytest.mark.parametrize("n_samples", [900, BOUNDARY + AHEAD, 5 * BOUNDARY + 333])
def test_the_hearing_is_that_of_listening_to_the_whole(ear: Ear, n_samples: int) -> None:
    whole = Waveform(sound(n_samples)[0].numpy())
    (expected,) = listen(ear, UNITS, [whole], CHUNK)
    heard, texts = StreamedHearing.begin(ear, UNITS, CHUNK), [""]
    for piece in cuts(torch.from_numpy(whole.samples.copy())[None], n_samples):
        heard = heard.feed(Waveform(piece[0].numpy()))
        assert heard.text.startswith(texts[-1])
        texts.append(heard.text)
    hearing = heard.finish()
    assert hearing.text == expected.text
    assert hearing.reading.frames == expected.reading.frames
    assert hearing.text.startswith(texts[-1])
    torch.testing.assert_close(hearing.log_probs, expected.log_probs, atol=BOUND, rtol=0)
    torch.testing.assert_close(hearing.frames, expected.frames, atol=BOUND, rtol=0)


def test_the_units_of_the_chunks_are_those_of_the_whole(ear: Ear) -> None:
    whole = Waveform(sound(8 * BOUNDARY + AHEAD)[0].numpy())
    heard = StreamedHearing.begin(ear, UNITS, CHUNK).feed(whole)
    (expected,) = listen(ear, UNITS, [whole], CHUNK)
    read = [unit for unit, _, _ in greedy_units(expected.log_probs[: 8 * CHUNK.chunk])]
    assert list(heard.unit_ids) == read
    assert read


def test_a_unit_held_over_a_chunk_is_read_once() -> None:
    ear = random_ear(TINY)
    ear.encoder.head.bias.data[7] = 100.0
    heard = StreamedHearing.begin(ear, UNITS, CHUNK)
    heard = heard.feed(Waveform(sound(4 * BOUNDARY)[0].numpy()))
    assert heard.unit_ids == (7,)
    assert heard.finish().text == UNITS.decode([7])


def test_the_rest_of_a_recording_completes_its_hearing(ear: Ear) -> None:
    samples = sound(3 * BOUNDARY + 99)[0].numpy()
    whole = Waveform(samples)
    heard = StreamedHearing.begin(ear, UNITS, CHUNK).feed(Waveform(samples[:20_000]))
    (expected,) = listen(ear, UNITS, [whole], CHUNK)
    assert heard.completed(whole).reading.frames == expected.reading.frames
    done = heard.feed(Waveform(samples[20_000:]))
    np.testing.assert_array_equal(done.completed(whole).log_probs, done.finish().log_probs)


@pytest.mark.parametrize(("wanted_ms", "n_frames"), [(1280, 16), (1, 1), (130, 2), (640, 8)])
def test_a_chunk_is_named_in_milliseconds(wanted_ms: int, n_frames: int) -> None:
    context = stream_context(TINY, wanted_ms)
    assert context == Context(n_frames, STREAM_CONTEXT.left)


def test_a_turn_takes_what_was_heard_while_it_was_spoken(ear: Ear, tiny_lm: LanguageModel) -> None:
    parts = TrainedParts(AudioChatLlamaConfig(TINY), UNITS, ear, {})
    model = AudioChatLlama(parts, tiny_lm)
    whole = Waveform(sound(3 * BOUNDARY + 99)[0].numpy())
    heard = model.hear_while_speaking(CHUNK).feed(Waveform(whole.samples[:20_000]))
    hearing = model.hear(whole, heard)
    assert hearing.text == listen(ear, UNITS, [whole], CHUNK)[0].text
    assert model.hear(whole) is hearing
