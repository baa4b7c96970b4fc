"""Training by several processes, run for real: two of them on this CPU."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from audiochat.model.checkpoint import load_parts
from audiochat.model.units import Units
from audiochat.training.ctc import CtcStage
from audiochat.training.precision import multiplies_bfloat16
from audiochat.training.train import Run, RunSettings
from tests.conftest import ROOT
from tests.training.conftest import MakeStage

LAUNCHER = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--module"]


@pytest.fixture
def float32() -> Iterator[None]:
    """This process without bfloat16 units, as those of `float32_process` are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cpu, "get_capabilities", dict)
        multiplies_bfloat16.cache_clear()
        yield
    multiplies_bfloat16.cache_clear()


class BothBatches:
    """A stage whose step is the mean of what two processes do."""

    def __init__(self, stage: CtcStage) -> None:
        self.stage, self.modules = stage, stage.modules
        self.optimizers, self.optimizer_config = stage.optimizers, stage.optimizer_config

    def loss(self, step: int, share: float) -> tuple[torch.Tensor, dict[str, float]]:
        losses = [self.stage.loss(2 * step + rank, share) for rank in (0, 1)]
        return (losses[0][0] + losses[1][0]) / 2, losses[0][1]

    def validate(self) -> dict[str, float]:
        return {"none": 0.0}


def test_two_processes_train_as_one_with_both_their_batches(
    speech: Path, stage: MakeStage, float32: None, tmp_path: Path
) -> None:
    program = "tests.training.float32_process"
    command = [sys.executable, "-m", *LAUNCHER, program, "train", "ctc"]
    command += ["--recipe", "tiny", "--batch-s", "18", "--steps", "3", "--speech", str(speech)]
    command += ["--out", str(tmp_path / "run"), "--weights", str(tmp_path / "weights")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("hours an hour") == 1
    units = Units.load(tmp_path / "run" / "units.json")
    alone = Run(BothBatches(stage(units, batch_s=18.0)), RunSettings(tmp_path / "one", steps=3))
    alone.run()
    together = load_parts(tmp_path / "weights").ear
    with alone.averaged():
        for one, two in zip(together.parameters(), alone.stage.modules.parameters(), strict=True):
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)
