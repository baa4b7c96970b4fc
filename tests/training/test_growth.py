"""A deeper ear from a shallower one."""

from dataclasses import replace

import pytest
import torch

from audiochat.errors import DataError
from audiochat.model.config import EncoderConfig
from audiochat.model.ear import Ear
from audiochat.training.growth import deepened

SMALL = EncoderConfig(dim=32, n_layers=5, n_heads=2, n_units=40, conv_kernel=5, phones_every=2)


def shaken(config: EncoderConfig) -> Ear:
    """An ear none of whose weights is what a fresh one has."""
    torch.manual_seed(7)
    ear = Ear(config).eval()
    with torch.no_grad():
        for weights in ear.encoder.parameters():
            weights += 0.1 * torch.randn_like(weights)
    return ear


@pytest.mark.parametrize(
    ("before", "after"),
    [((5, 2), (7, 3)), ((5, 2), (8, 3)), ((4, 2), (10, 5)), ((2, 0), (4, 0)), ((3, 3), (4, 4))],
)
def test_it_hears_what_the_shallower_one_hears(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    small, large = (replace(SMALL, n_layers=n, phones_every=every) for n, every in (before, after))
    ear = shaken(small)
    deeper = deepened(ear, large).eval()
    assert len(deeper.encoder.blocks) == after[0]
    samples, n_samples = 0.1 * torch.randn(2, 16_000), torch.tensor([16_000, 9_000])
    with torch.inference_mode():
        one, other = ear(samples, n_samples), deeper(samples, n_samples)
    torch.testing.assert_close(other.frames, one.frames, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(other.log_probs, one.log_probs, atol=2e-4, rtol=1e-3)
    assert len(other.phone_log_probs) == len(one.phone_log_probs)


def test_the_new_blocks_learn() -> None:
    deeper = deepened(shaken(SMALL), replace(SMALL, n_layers=8, phones_every=3))
    log_probs = deeper(torch.randn(1, 16_000), torch.tensor([16_000])).log_probs
    log_probs[..., 1:].sum().backward()
    for block in deeper.encoder.blocks:
        assert all(
            branch.weight.grad.abs().max() > 0
            for branch in (block.before[-1], block.attention.out, block.convolution.out)
        )


@pytest.mark.parametrize(
    "other",
    [{"dim": 64}, {"n_layers": 3}, {"n_layers": 8, "phones_every": 2}, {"phones_every": 0}],
)
def test_what_is_not_only_deeper_is_refused(other: dict[str, int]) -> None:
    with pytest.raises(DataError, match="only deeper"):
        deepened(shaken(SMALL), replace(SMALL, **other))
