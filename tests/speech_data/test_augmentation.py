"""Augmentation changes what it says it changes, and only that."""

from pathlib import Path

import pytest
import torch

from audiochat.errors import DataError
from audiochat.speech_data.augmentation import Augmentation, AugmentationConfig

OFF = AugmentationConfig(
    speed=(1.0, 1.0), gain_db=(0.0, 0.0), noise=0.0, room=0.0, band_limit=0.0, warp=(1.0, 1.0)
)


def clips() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    samples = torch.randn(3, 16000) * 0.1
    counts = torch.tensor([16000, 12000, 8000])
    return samples * (torch.arange(16000) < counts[:, None]), counts


def test_all_off_only_sets_the_level() -> None:
    samples, counts = clips()
    changed, n_changed = Augmentation(OFF, noise_folder=None, seed=1).samples(samples, counts)
    assert torch.equal(n_changed, counts)
    for before, after in zip(samples, changed, strict=True):
        similarity = torch.nn.functional.cosine_similarity(before, after, dim=0)
        assert float(similarity) > 0.999


def test_the_same_seed_gives_the_same_batch() -> None:
    samples, counts = clips()
    one, two = (
        Augmentation(AugmentationConfig(), noise_folder=None, seed=3).samples(samples, counts)
        for _ in range(2)
    )
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[0][:, :8000], samples[:, :8000])


def test_noise_has_the_ratio_asked_for() -> None:
    config = AugmentationConfig(
        speed=(1.0, 1.0),
        gain_db=(0.0, 0.0),
        noise=1.0,
        snr_db=(10.0, 10.0),
        room=0.0,
        band_limit=0.0,
    )
    augmentation = Augmentation(config, noise_folder=None, seed=1)
    samples, _ = clips()
    power = samples[:1].square().mean(1)
    noise = augmentation._noises(samples[:1], power)
    ratio_db = 10 * torch.log10(power / noise.square().mean(1))
    assert float(ratio_db) == pytest.approx(10.0, abs=0.1)


def test_padding_stays_silent() -> None:
    samples, counts = clips()
    augmentation = Augmentation(AugmentationConfig(noise=1.0, room=1.0), noise_folder=None, seed=2)
    changed, n_changed = augmentation.samples(samples, counts)
    for row, count in zip(changed, n_changed.tolist(), strict=True):
        assert not row[count:].any()
        assert row[:count].any()


def test_warp_moves_a_peak_along_the_bands() -> None:
    frames = torch.zeros(1, 4, 80)
    frames[:, :, 40] = 1.0
    config = AugmentationConfig(warp=(1.25, 1.25))
    warped = Augmentation(config, noise_folder=None, seed=1).warp(frames)
    assert int(warped[0, 0].argmax()) == 32


def test_masks_stay_within_their_share() -> None:
    frames = torch.ones(8, 200, 80)
    config = AugmentationConfig(mask_share=0.1, mask_bands=10)
    masked = Augmentation(config, noise_folder=None, seed=1).mask(frames, torch.full((8,), 200))
    assert (masked == 0).any()
    whole_frames = (masked == 0).all(2).sum(1)
    assert int(whole_frames.max()) <= 2 * 0.1 * 200 + 2
    assert (masked == 0).all(1).sum(1).max() <= 2 * 10 + 2


def test_an_empty_noise_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no noise"):
        Augmentation(AugmentationConfig(), noise_folder=tmp_path, seed=1)
