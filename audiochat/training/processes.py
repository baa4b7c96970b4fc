"""One process, or several that train together: started by `accelerate launch` or `torchrun`.

Gradients are averaged after the backward pass in one message, which for encoders of tens of
millions of parameters costs less than wrapping every module would save.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator


class Processes:
    """Which of how many processes this is, and what they tell one another."""

    def __init__(self, device: str = "cpu") -> None:
        """Join the others if a launcher started several; `device` is where tensors are."""
        self._accelerator: Accelerator | None = None
        self.device = device
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            # Imported here alone: a single process trains without the package.
            import accelerate

            self._accelerator = accelerate.Accelerator(cpu=device == "cpu")
            self.device = str(self._accelerator.device)

    @property
    def count(self) -> int:
        """How many there are."""
        return self._accelerator.num_processes if self._accelerator else 1

    @property
    def rank(self) -> int:
        """This one's number; 0 writes the files."""
        return self._accelerator.process_index if self._accelerator else 0

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Put the mean over all processes into every parameter's gradient."""
        if self._accelerator is None:
            return
        own = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in own]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        mean: Tensor = self._accelerator.reduce(flat, reduction="mean")
        for parameter, gradient in zip(own, mean.split([p.numel() for p in own]), strict=True):
            parameter.grad = gradient.view_as(parameter)

    def mean(self, *values: float) -> list[float]:
        """The mean of each value over the processes."""
        if self._accelerator is None:
            return list(values)
        given = torch.tensor(values, dtype=torch.float64, device=self.device)
        found: list[float] = self._accelerator.reduce(given, reduction="mean").tolist()
        return found

    def wait(self) -> None:
        """Until all have come here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()
