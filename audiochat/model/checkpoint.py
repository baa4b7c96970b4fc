"""Weights folders: config.json, units.json and safetensors shards small enough for any host.

Only safetensors are read: a pickle can run code.
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from audiochat.errors import ModelError
from audiochat.model.config import AudioChatLlamaConfig
from audiochat.model.connector import EndToEndConnector, HybridConnector, build_connector
from audiochat.model.ear import Ear
from audiochat.model.units import Units

MAX_SHARD_BYTES = 9_000_000
"""Plain files above 10 MB are refused by Spaces."""
_INDEX = "model.safetensors.index.json"


@dataclass
class TrainedParts:
    """What a weights folder holds: all that is trained, without the LLM."""

    config: AudioChatLlamaConfig
    units: Units
    ear: Ear
    connectors: dict[str, EndToEndConnector | HybridConnector]
    """By kind."""

    def modules(self) -> nn.ModuleDict:
        """All weights under one roof, named as in the shards."""
        return nn.ModuleDict({"ear": self.ear, "connectors": nn.ModuleDict(self.connectors)})


def fresh_parts(config: AudioChatLlamaConfig, units: Units) -> TrainedParts:
    """Untrained parts of the sizes in `config`."""
    connectors: dict[str, EndToEndConnector | HybridConnector] = {
        one.kind: build_connector(one, units.size) for one in config.connectors
    }
    return TrainedParts(config, units, Ear(config.encoder), connectors)


def save_parts(parts: TrainedParts, folder: Path) -> None:
    """Write a weights folder; other files in it, as a model card, are left alone.

    All is written beside it first: a full disk leaves the old weights whole. The index is moved
    first and has the others' digests: a kill between two files leaves a folder that `load_parts`
    refuses, never one that mixes two trainings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name:
        new = Path(name)
        _write(parts, new)
        written = {path.name for path in new.iterdir()}
        for name in sorted(written, key=lambda one: (one != _INDEX, one)):
            (new / name).replace(folder / name)
    for old in folder.glob("*.safetensors"):
        if old.name not in written:
            old.unlink()


def _write(parts: TrainedParts, folder: Path) -> None:
    state = {name: value.contiguous() for name, value in parts.modules().state_dict().items()}
    shards = _sharded(state)
    where: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / name)
        where |= dict.fromkeys(shard, name)
    config = json.dumps(parts.config.to_json(), indent=1)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")
    parts.units.save(folder / "units.json")
    digests = {
        name: _sha256(folder / name) for name in (*sorted(set(where.values())), "units.json")
    }
    index = json.dumps({"metadata": {"sha256": digests}, "weight_map": where}, indent=1)
    (folder / _INDEX).write_text(index, encoding="utf-8")


def load_parts(folder: Path) -> TrainedParts:
    """Read a weights folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        state: dict[str, Tensor] = {}
        for name in sorted(set(index["weight_map"].values())):
            state |= load_file(folder / Path(name).name)
        _check_together(folder, index)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"{folder} holds no whole AudioChatLlama weights ({error}). Give a folder that "
            "`audiochat train` wrote, or copy this one again."
        ) from error
    parts = fresh_parts(AudioChatLlamaConfig.from_json(config), Units.load(folder / "units.json"))
    try:
        parts.modules().load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"The weights in {folder} do not fit its config.json: {error}") from error
    for module in parts.modules().children():
        module.eval().requires_grad_(False)
    return parts


def _check_together(folder: Path, index: dict[str, Any]) -> None:
    """Raise ValueError where a file is not the one that the index was written with.

    Indexes written before there were digests have none.
    """
    for name, digest in index.get("metadata", {}).get("sha256", {}).items():
        if _sha256(folder / Path(name).name) != digest:
            raise ValueError(f"{name} is not the file that {_INDEX} was written with")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sharded(state: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, value in state.items():
        size = value.numel() * value.element_size()
        if shards[-1] and filled + size > MAX_SHARD_BYTES:
            shards.append({})
            filled = 0
        shards[-1][name] = value
        filled += size
    return shards
