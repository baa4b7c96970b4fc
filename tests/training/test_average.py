"""The mean of several ears."""

from pathlib import Path

import pytest
import torch

from audiochat.__main__ import main
from audiochat.errors import DataError
from audiochat.model.checkpoint import TrainedParts, fresh_parts, load_parts, save_parts
from audiochat.model.config import AudioChatLlamaConfig, EncoderConfig
from audiochat.model.units import Units
from audiochat.training.average import average_ears

UNITS = Units.trained(["hello there", "the cat sat on the mat"], 40)


def parts(seed: int, dim: int = 32, units: Units = UNITS) -> TrainedParts:
    torch.manual_seed(seed)
    encoder = EncoderConfig(dim=dim, n_layers=3, n_units=units.size)
    return fresh_parts(AudioChatLlamaConfig(encoder), units)


def test_the_mean_of_two_ears_lies_halfway(tmp_path: Path) -> None:
    first, second = parts(1), parts(2)
    save_parts(first, tmp_path / "first")
    save_parts(second, tmp_path / "second")
    folders = [str(tmp_path / name) for name in ("first", "second")]
    out = tmp_path / "mean"
    assert main(["train", "average", "--weights", *folders, "--out", str(out)]) == 0
    mean = load_parts(out).ear.state_dict()
    one, other = first.ear.state_dict(), second.ear.state_dict()
    moved = [name for name in mean if not torch.equal(one[name], other[name])]
    assert len(moved) > 10
    for name in moved:
        torch.testing.assert_close(mean[name], (one[name] + other[name]) / 2)
    # What went in is as it was.
    torch.testing.assert_close(second.ear.state_dict(), other)


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(DataError, match="at least two"):
        average_ears([parts(1)])
    with pytest.raises(DataError, match="one size"):
        average_ears([parts(1), parts(2, dim=64)])
    other = Units.trained(["quite other words", "and none of those"], UNITS.size)
    with pytest.raises(DataError, match="same units"):
        average_ears([parts(1), parts(2, units=other)])
