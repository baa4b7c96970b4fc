"""The encoder's promises: padding, batches and chunks change nothing they should not."""

import pytest
import torch

from audiochat.errors import ModelError
from audiochat.model.config import EncoderConfig
from audiochat.model.conformer import Conformer, Context

CONFIG = EncoderConfig(dim=32, n_layers=4, n_heads=2, n_units=40, conv_kernel=5, phones_every=2)


@pytest.fixture(scope="module")
def conformer() -> Conformer:
    torch.manual_seed(0)
    return Conformer(CONFIG).eval()


def features(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, length, CONFIG.n_mels, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("context", [Context(), Context(4), Context(4, left=8)])
def test_a_batch_equals_one_by_one(conformer: Conformer, context: Context) -> None:
    lengths = [40, 97, 160]
    clips = [features(length, seed) for seed, length in enumerate(lengths)]
    batch = torch.zeros(len(clips), max(lengths), CONFIG.n_mels)
    for row, clip in zip(batch, clips, strict=True):
        row[: clip.shape[1]] = clip[0]
    together = conformer(batch, torch.tensor(lengths), context)
    for row, clip in enumerate(clips):
        alone = conformer(clip, torch.tensor([clip.shape[1]]), context)
        count = int(alone.n_frames)
        assert int(together.n_frames[row]) == count
        torch.testing.assert_close(
            together.log_probs[row, :count], alone.log_probs[0, :count], atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("remainder", range(8))
def test_every_remainder_of_the_stack_keeps_its_frames(
    conformer: Conformer, remainder: int
) -> None:
    length = 32 + remainder
    encoded = conformer(features(length), torch.tensor([length]))
    assert encoded.frames.shape[1] == int(encoded.n_frames) == -(-length // 8)


def test_the_last_frame_of_a_partial_stack_is_heard(conformer: Conformer) -> None:
    clip = features(33)
    changed = clip.clone()
    changed[:, -1] += 1.0
    before, after = (conformer(x, torch.tensor([33])).frames[0, -1] for x in (clip, changed))
    assert not torch.allclose(before, after)


def test_more_padding_changes_nothing(conformer: Conformer) -> None:
    clip = features(60)
    padded = torch.cat([clip, torch.zeros(1, 75, CONFIG.n_mels)], 1)
    short = conformer(clip, torch.tensor([60]))
    long = conformer(padded, torch.tensor([60]))
    count = int(short.n_frames)
    torch.testing.assert_close(
        long.log_probs[:, :count], short.log_probs[:, :count], atol=1e-4, rtol=1e-4
    )


def test_chunks_heard_so_far_equal_the_whole(conformer: Conformer) -> None:
    """What a stream has after k chunks is what the whole clip gives for them.

    The front end looks `stack_margin` features past a stack, so the clip is cut that much later.
    """
    chunk, whole = Context(4), features(8 * 20)
    full = conformer(whole, torch.tensor([whole.shape[1]]), chunk)
    for n_chunks in (1, 2, 4):
        cut = n_chunks * chunk.chunk * 8 + CONFIG.stack_margin
        part = conformer(whole[:, :cut], torch.tensor([cut]), chunk)
        seen = n_chunks * chunk.chunk
        torch.testing.assert_close(
            part.log_probs[:, :seen], full.log_probs[:, :seen], atol=1e-4, rtol=1e-4
        )


def test_the_whole_clip_context_does_look_ahead(conformer: Conformer) -> None:
    clip = features(160)
    changed = clip.clone()
    changed[:, -8:] += 1.0
    before, after = (conformer(x, torch.tensor([160])).frames[0, 0] for x in (clip, changed))
    assert not torch.allclose(before, after)


def test_left_context_is_bounded(conformer: Conformer) -> None:
    """One block, four frames of the past: past the convolution's reach the first chunk is gone."""
    torch.manual_seed(0)
    shallow = Conformer(
        EncoderConfig(dim=32, n_layers=1, n_heads=2, n_units=40, conv_kernel=5)
    ).eval()
    clip = features(160)
    changed = clip.clone()
    changed[:, :8] += 1.0
    context = Context(4, left=4)
    before, after = (shallow(x, torch.tensor([160]), context).frames[0] for x in (clip, changed))
    assert not torch.allclose(before[:4], after[:4])
    reach = 5 // 2
    torch.testing.assert_close(before[8 + reach :], after[8 + reach :])


def test_phones_are_guessed_after_the_blocks_named(conformer: Conformer) -> None:
    encoded = conformer(features(80), torch.tensor([80]))
    (guesses,) = encoded.phone_log_probs  # after block 2 of 4; the last block's is not asked
    assert guesses.shape == (1, 10 * CONFIG.phones_a_frame, CONFIG.n_phones)
    torch.testing.assert_close(guesses.exp().sum(-1), torch.ones(guesses.shape[:2]))


def test_a_stack_too_short_for_the_front_end_is_refused() -> None:
    with pytest.raises(ModelError, match="too short"):
        EncoderConfig(stack=4, stack_margin=1)
