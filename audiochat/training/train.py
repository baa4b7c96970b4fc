"""The training loop, for any stage: schedule by the elapsed share, checkpoints, curves, clean ends.

Knows nothing of speech; a stage gives the modules, the loss of a step and a validation.
"""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from audiochat.errors import DataError
from audiochat.training import checkpoints, curves
from audiochat.training.config import OptimizerConfig
from audiochat.training.optimizer import rate_at
from audiochat.training.processes import Processes

log = logging.getLogger(__name__)

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]

_MAX_BAD_STEPS = 20
"""Losses in a row that are not finite before a run gives up."""
_SEED_STRIDE = 1_000_000_007
"""Seeds are so far apart: more steps than any run has."""


@dataclass(frozen=True)
class RunSettings:
    """Where a run lives and when it ends: after `steps` if given, else after `minutes` of work."""

    folder: Path
    minutes: float = 60.0
    steps: int | None = None
    part_minutes: float = math.inf
    """This call stops after so long, to be called again: for machines lent for minutes."""
    checkpoint_every_s: float = 60.0
    validate_every_s: float = 420.0
    validate_together: bool = False
    """All processes validate, not the first alone: for a model that is spread over them."""
    seed: int = 1
    """Of what a loss draws from torch itself, as dropout does."""


class Stage(Protocol):
    """What is trained."""

    optimizers: list[torch.optim.Optimizer]
    optimizer_config: OptimizerConfig

    @property
    def modules(self) -> nn.Module:
        """What is trained and saved."""

    def loss(self, step: int, share: float) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step and figures to log; `share` is how much of the run is over.

        Every process asks for steps of its own: 0, 1, 2 ... dealt among them in turn.
        """

    def validate(self) -> dict[str, float]:
        """Figures on held-out data."""


@dataclass
class Position:
    """Where a run is; stored in its checkpoint."""

    step: int = 0
    elapsed_s: float = 0.0
    audio_s: float = 0.0
    """Speech trained on by this process, padding left out."""


class Run:
    """One training run in a folder; started again there, it goes on where it stopped."""

    def __init__(
        self, stage: Stage, settings: RunSettings, processes: Processes | None = None
    ) -> None:
        """Load the folder's checkpoint if it has one.

        Raises:
            DataError: it is damaged, or of another model.
        """
        self.stage, self.settings = stage, settings
        self.processes = processes or Processes()
        self.progress = Position()
        self.average = AveragedModel(stage.modules, multi_avg_fn=self._move_average)
        settings.folder.mkdir(parents=True, exist_ok=True)
        state = checkpoints.read(settings.folder)
        if state is not None:
            self._restore(state)
        if self.processes.rank == 0:
            for name in (curves.TRAINING, curves.VALIDATION):
                curves.drop_after(settings.folder / name, self.progress.step)

    def _restore(self, state: checkpoints.State) -> None:
        try:
            self.stage.modules.load_state_dict(state["modules"])
            self.average.load_state_dict(state["average"])
            for optimizer, saved in zip(self.stage.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.progress = Position(**state["progress"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"The run in {self.settings.folder} was begun with another recipe, connector or "
                "version of this program. Give another --out, or delete that folder to begin again."
            ) from error
        log.info("resuming at step %d", self.progress.step)

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.processes.rank:
            return
        state = {
            "modules": self.stage.modules.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.stage.optimizers],
            "progress": vars(self.progress),
        }
        checkpoints.write(self.settings.folder, state)

    @property
    def share(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.settings.steps is not None:
            return min(1.0, self.progress.step / self.settings.steps)
        return min(1.0, self.progress.elapsed_s / (60 * self.settings.minutes))

    def run(self) -> dict[str, float]:
        """Train to the end, to the end of this part, or to SIGTERM; returns the last validation.

        Raises:
            DataError: the loss stopped being a number; the last good checkpoint stays.
        """
        began_s = saved_s = validated_s = self.progress.elapsed_s
        part_s = 60 * self.settings.part_minutes
        with _stopping_on_sigterm() as stopping, self._bar() as bar:
            while self.share < 1 and self.progress.elapsed_s - began_s < part_s:
                started = time.monotonic()
                self._step(bar)
                # All processes go by one clock and stop together, or their rates would part.
                took_s, stop = self.processes.mean(time.monotonic() - started, stopping())
                self.progress.elapsed_s += took_s
                if stop:
                    break
                if self.progress.elapsed_s - saved_s > self.settings.checkpoint_every_s:
                    self.save()
                    saved_s = self.progress.elapsed_s
                if self.progress.elapsed_s - validated_s > self.settings.validate_every_s:
                    self._validate()
                    validated_s = self.progress.elapsed_s
        self.save()
        return self._validate()

    def _move_average(self, average: Tensors, own: Tensors, step: Tensor | int) -> None:
        """Shorter at first, or the random start would stay in the average for long."""
        decay = min(self.stage.optimizer_config.average_decay, (1 + int(step)) / (10 + int(step)))
        torch._foreach_lerp_(average, own, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Puts the moving average of the weights in their place for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        average = self.average.module.parameters()
        for own, other in zip(self.stage.modules.parameters(), average, strict=True):
            own.data, other.data = other.data, own.data

    def _bar(self) -> tqdm:
        return tqdm(
            initial=self.progress.step,
            total=self.settings.steps,
            unit="step",
            mininterval=5,
            disable=self.processes.rank > 0,
        )

    def _step(self, bar: "tqdm") -> None:
        rate = rate_at(self.share, self.stage.optimizer_config)
        self.stage.modules.train()
        loss, figures = self._finite_loss()
        loss.backward()
        parameters = [p for p in self.stage.modules.parameters() if p.requires_grad]
        self.processes.average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, self.stage.optimizer_config.clip_norm)
        for optimizer in self.stage.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * rate
            if torch.isfinite(norm):
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.stage.modules)
        self.progress.audio_s += figures.get("audio_s", 0.0)
        bar.update()
        done = {} if self.settings.steps else {"done": f"{self.share:.0%}"}
        shown = done | {"loss": f"{loss.item():.3f}", **_rounded(figures)}
        bar.set_postfix(shown, refresh=False)
        if self.progress.step % 10 == 0:
            row = {"loss": loss.item(), "rate": rate, "norm": float(norm), **figures}
            self._log(curves.TRAINING, row)

    def _finite_loss(self) -> tuple[Tensor, dict[str, float]]:
        """The next step's loss; steps whose loss is no number on some process are skipped."""
        for _ in range(_MAX_BAD_STEPS + 1):
            own_step = self.progress.step * self.processes.count + self.processes.rank
            # Also CUDA's generators: a resumed run drops out what it would have dropped.
            torch.manual_seed(_SEED_STRIDE * self.settings.seed + own_step)
            loss, figures = self.stage.loss(own_step, self.share)
            self.progress.step += 1
            (all_finite,) = self.processes.mean(float(math.isfinite(loss.item())))
            if all_finite == 1:
                return loss, figures
            log.warning("step %d: the loss is %s; skipped", self.progress.step, loss.item())
        raise DataError(
            f"{_MAX_BAD_STEPS} steps in a row had no finite loss. The last checkpoint is "
            f"kept in {self.settings.folder}; start again from it with a lower rate."
        )

    def _validate(self) -> dict[str, float]:
        """The figures of the averaged weights, measured by one process for all."""
        figures: dict[str, float] = {}
        if self.settings.validate_together or self.processes.rank == 0:
            self.stage.modules.eval()
            with self.averaged(), torch.inference_mode():
                figures = self.stage.validate()
            self._log(curves.VALIDATION, figures)
            log.info("step %d: %s", self.progress.step, _rounded(figures))
        self.processes.wait()
        return figures

    def _log(self, name: str, figures: dict[str, float]) -> None:
        if self.processes.rank == 0:
            elapsed_s = round(self.progress.elapsed_s, 1)
            row = {"step": self.progress.step, "elapsed_s": elapsed_s, **figures}
            curves.append(self.settings.folder / name, row)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


@contextmanager
def _stopping_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether SIGTERM came, so that a step is never cut in half."""
    came = False

    def remember(*_: object) -> None:
        nonlocal came
        came = True

    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGTERM, before)
