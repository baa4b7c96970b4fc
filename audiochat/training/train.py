"""The training loop, for any stage: schedule by the elapsed share, checkpoints, curves, clean ends.

Knows nothing of speech; a stage gives the modules, the loss of a step and a validation.
"""

import csv
import logging
import math
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from audiochat.errors import DataError
from audiochat.training.config import OptimizerConfig
from audiochat.training.optimizer import rate_at

log = logging.getLogger(__name__)

_CHECKPOINT = "checkpoint.pt"
_MAX_BAD_STEPS = 20
"""Losses in a row that are not finite before a run gives up."""


@dataclass(frozen=True)
class RunSettings:
    """Where a run lives and when it ends: after `steps` if given, else after `minutes` of work."""

    folder: Path
    minutes: float = 60.0
    steps: int | None = None
    checkpoint_every_s: float = 60.0
    validate_every_s: float = 420.0


class Stage(Protocol):
    """What is trained."""

    optimizers: list[torch.optim.Optimizer]
    optimizer_config: OptimizerConfig

    @property
    def modules(self) -> nn.Module:
        """What is trained and saved."""

    def loss(self, step: int, share: float) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step and figures to log; `share` is how much of the run is over."""

    def validate(self) -> dict[str, float]:
        """Figures on held-out data."""


@dataclass
class Position:
    """Where a run is; stored in its checkpoint."""

    step: int = 0
    elapsed_s: float = 0.0


class Run:
    """One training run in a folder; started again there, it goes on where it stopped."""

    def __init__(self, stage: Stage, settings: RunSettings) -> None:
        """Load the folder's checkpoint if it has one."""
        self.stage, self.settings = stage, settings
        self.progress = Position()
        settings.folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint = settings.folder / _CHECKPOINT
        if self._checkpoint.exists():
            self._restore()

    def _restore(self) -> None:
        try:
            state = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, pickle.UnpicklingError) as error:
            raise DataError(
                f"{self._checkpoint} is damaged ({error}). Delete it to begin this run again."
            ) from error
        self.stage.modules.load_state_dict(state["modules"])
        for optimizer, saved in zip(self.stage.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        torch.set_rng_state(state["random"])
        self.progress = Position(**state["progress"])
        log.info("resuming at step %d", self.progress.step)

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        unfinished = self._checkpoint.with_suffix(".part")
        state = {
            "modules": self.stage.modules.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.stage.optimizers],
            "random": torch.get_rng_state(),
            "progress": vars(self.progress),
        }
        try:
            torch.save(state, unfinished)
            unfinished.replace(self._checkpoint)
        except (OSError, RuntimeError) as error:
            log.warning("the checkpoint could not be written (%s); the last one stays", error)

    @property
    def share(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.settings.steps is not None:
            return min(1.0, self.progress.step / self.settings.steps)
        return min(1.0, self.progress.elapsed_s / (60 * self.settings.minutes))

    def run(self) -> dict[str, float]:
        """Train to the end, or to SIGTERM; returns the last validation.

        Raises:
            DataError: the loss stopped being a number; the last good checkpoint stays.
        """
        saved_at = validated_at = self.progress.elapsed_s
        with _stopping_on_sigterm() as stopping, self._bar() as bar:
            while self.share < 1 and not stopping():
                started = time.monotonic()
                self._step(bar)
                self.progress.elapsed_s += time.monotonic() - started
                elapsed = self.progress.elapsed_s
                if elapsed - saved_at > self.settings.checkpoint_every_s:
                    self.save()
                    saved_at = elapsed
                if elapsed - validated_at > self.settings.validate_every_s:
                    self._validate()
                    validated_at = elapsed
        self.save()
        return self._validate()

    def _bar(self) -> tqdm:
        return tqdm(
            initial=self.progress.step, total=self.settings.steps, unit="step", mininterval=5
        )

    def _step(self, bar: "tqdm") -> None:
        rate = rate_at(self.share, self.stage.optimizer_config)
        self.stage.modules.train()
        for bad in range(_MAX_BAD_STEPS + 1):
            loss, figures = self.stage.loss(self.progress.step, self.share)
            self.progress.step += 1
            if math.isfinite(loss.item()):
                break
            log.warning("step %d: the loss is %s; skipped", self.progress.step, loss.item())
            if bad == _MAX_BAD_STEPS:
                raise DataError(
                    f"{_MAX_BAD_STEPS} steps in a row had no finite loss. The last checkpoint is "
                    f"kept in {self.settings.folder}; start again from it with a lower rate."
                )
        loss.backward()
        parameters = [p for p in self.stage.modules.parameters() if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(parameters, self.stage.optimizer_config.clip_norm)
        for optimizer in self.stage.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * rate
            if torch.isfinite(norm):
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        bar.update()
        bar.set_postfix({"loss": f"{loss.item():.3f}", **_rounded(figures)}, refresh=False)
        if self.progress.step % 10 == 0:
            row = {"loss": loss.item(), "rate": rate, "norm": float(norm), **figures}
            self._log("curve.csv", row)

    def _validate(self) -> dict[str, float]:
        self.stage.modules.eval()
        with torch.inference_mode():
            figures = self.stage.validate()
        self._log("validation.csv", figures)
        log.info("step %d: %s", self.progress.step, _rounded(figures))
        return figures

    def _log(self, name: str, figures: dict[str, float]) -> None:
        path = self.settings.folder / name
        row = {
            "step": self.progress.step,
            "elapsed_s": round(self.progress.elapsed_s, 1),
            **figures,
        }
        new = not path.exists()
        with path.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


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
