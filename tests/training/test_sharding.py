"""A frozen LLM spread over two processes of this CPU, run for real."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from audiochat.__main__ import main
from audiochat.errors import DataError
from audiochat.model.checkpoint import fresh_parts, load_parts, save_parts
from audiochat.model.config import AudioChatLlamaConfig, EncoderConfig
from audiochat.model.connector import HybridConnector
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.model.units import Units
from audiochat.speech_data.packed import packed_folders
from audiochat.training.exercises import Exercise, Spoken
from audiochat.training.processes import Processes
from audiochat.training.responses import write_responses
from audiochat.training.sharding import shard_layers
from tests.conftest import ROOT
from tests.model import tiny_llama
from tests.model_card import NLL

LAUNCHER = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def test_two_processes_hold_half_the_layers_each_and_score_as_one(tmp_path: Path) -> None:
    tiny_llama.write_folder(tmp_path)
    script = ROOT / "tests" / "training" / "sharded_process.py"
    done = subprocess.run(
        [sys.executable, "-m", *LAUNCHER, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(done.stdout.split()) == ["rank0", "rank1"]


def align(speech: Path, folder: Path) -> list[str]:
    """A `train align` of a tiny ear to a tiny LLM, with all that it needs in `folder`."""
    (folder / "llm").mkdir()
    llm = tiny_llama.write_folder(folder / "llm")
    sources = packed_folders(speech)
    units = Units.trained([clip.spoken for clip in sources[0]], 40)
    encoder = EncoderConfig(dim=32, n_layers=1, n_heads=2, n_units=units.size)
    weights = folder / "weights"
    save_parts(fresh_parts(AudioChatLlamaConfig(encoder), units), weights)
    name = sources[0].folder.name
    exercises = [
        Exercise("answer", ((Spoken(((name, at),), clip.text),),), "")
        for at, clip in enumerate(sources[0])
    ]
    written = write_responses(
        TorchLanguageModel.load(llm), exercises, folder / "all.jsonl", max_new_tokens=6
    )
    assert [one.done for one in written] == [len(exercises)]
    given = {
        "--recipe": "tiny", "--llm": llm, "--weights": weights, "--out": folder / "run",
        "--steps": 3, "--speech": speech, "--responses": folder / "all.jsonl",
        "--dev": speech, "--dev-responses": folder / "all.jsonl",
    }  # fmt: skip
    return ["train", "align", *(str(word) for pair in given.items() for word in pair)]


def test_a_connector_is_trained_through_a_sharded_llm(speech: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", *LAUNCHER, "--module", "audiochat"]
    command += [*align(speech, tmp_path), "--connector", "end_to_end"]
    done = subprocess.run(
        [*command, "--shard-llm", "--json", str(tmp_path / "figures.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("shuffled_nll") == 1
    assert "end_to_end" in load_parts(tmp_path / "weights").connectors
    printed = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert printed["steps"] == 3
    assert printed["settings"]["connector"] == "end_to_end"
    assert set(printed["figures"]) == {f"{name}_nll" for name in NLL}


def test_a_hybrid_is_written_with_a_share_of_its_residual(speech: Path, tmp_path: Path) -> None:
    command = [*align(speech, tmp_path), "--connector", "hybrid"]
    written = []
    for more in ([], ["--shrink", "0.25"]):  # the second finds the run at its end
        assert main([*command, *more]) == 0
        hybrid = load_parts(tmp_path / "weights").connectors["hybrid"]
        assert isinstance(hybrid, HybridConnector)
        written.append([weights.detach() for weights in hybrid.residual[-1].parameters()])
    for whole, shrunk in zip(*written, strict=True):
        assert float(whole.abs().max()) > 0
        torch.testing.assert_close(shrunk, whole * 0.25)


def test_one_process_is_told_how_to_start_more(tmp_path: Path) -> None:
    lm = TorchLanguageModel.load(tiny_llama.write_folder(tmp_path))
    with pytest.raises(DataError, match="torchrun"):
        shard_layers(lm, Processes())
