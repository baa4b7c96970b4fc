"""Weights folders: what is saved is what is loaded, in small shards, and damage is named."""

import json
from pathlib import Path

import pytest
import torch

from audiochat.audio import Waveform
from audiochat.errors import ModelError
from audiochat.model.checkpoint import (
    MAX_SHARD_BYTES,
    TrainedParts,
    fresh_parts,
    load_parts,
    save_parts,
)
from audiochat.model.config import AudioChatLlamaConfig, ConnectorConfig, EncoderConfig
from audiochat.model.ear import listen
from audiochat.model.units import Units

UNITS = Units.trained(["some words to cut into units"] * 3, 30)


def parts(dim: int = 32, seed: int = 0) -> TrainedParts:
    torch.manual_seed(seed)
    encoder = EncoderConfig(dim=dim, n_layers=2, n_heads=2, n_units=UNITS.size)
    connectors = tuple(
        ConnectorConfig(kind, encoder_dim=dim, llm_dim=64, hidden_dim=32)
        for kind in ("hybrid", "end_to_end")
    )
    return fresh_parts(AudioChatLlamaConfig(encoder, connectors), UNITS)


def test_saved_weights_hear_the_same(tmp_path: Path) -> None:
    before = parts()
    before.ear.eval()
    save_parts(before, tmp_path)
    after = load_parts(tmp_path)
    assert after.config == before.config
    clip = Waveform(torch.randn(16000).numpy() * 0.1)
    one, two = (listen(some.ear, some.units, [clip])[0] for some in (before, after))
    assert torch.equal(one.log_probs, two.log_probs)
    assert one.text == two.text
    for name, value in before.modules().state_dict().items():
        assert torch.equal(value, after.modules().state_dict()[name])


def test_shards_stay_small_and_old_ones_go(tmp_path: Path) -> None:
    save_parts(parts(dim=256), tmp_path)
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 1
    assert all(shard.stat().st_size < MAX_SHARD_BYTES + 100_000 for shard in shards)
    save_parts(parts(), tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_loaded_parts_are_frozen(tmp_path: Path) -> None:
    save_parts(parts(), tmp_path)
    assert not any(p.requires_grad for p in load_parts(tmp_path).modules().parameters())


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no whole AudioChatLlama weights"):
        load_parts(tmp_path)
    save_parts(parts(), tmp_path)
    shard = next(tmp_path.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ModelError, match="no whole AudioChatLlama weights"):
        load_parts(tmp_path)


def without_digests(folder: Path) -> None:
    """Make the folder as it was saved before an index had any."""
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    del index["metadata"]
    path.write_text(json.dumps(index))


@pytest.mark.parametrize("moved", [1, 2])
def test_a_kill_between_two_files_never_mixes_two_trainings(
    moved: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_parts(parts(), tmp_path)
    without_digests(tmp_path)
    load_parts(tmp_path)  # as it ever did
    replace, done = Path.replace, []

    def killed(self: Path, target: Path) -> Path:
        if len(done) == moved:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            save_parts(parts(seed=1), tmp_path)
    with pytest.raises(ModelError, match="is not the file that"):
        load_parts(tmp_path)
    save_parts(parts(seed=1), tmp_path)
    load_parts(tmp_path)


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path: Path) -> None:
    save_parts(parts(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["encoder"]["dim"] = 48
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="do not fit"):
        load_parts(tmp_path)


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    save_parts(parts(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format_version": 2}))
    with pytest.raises(ModelError, match="format version 2"):
        load_parts(tmp_path)
