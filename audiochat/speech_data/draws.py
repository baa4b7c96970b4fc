"""Random numbers of a training step: drawn on the CPU, so that every device gets the same ones."""

import torch
from torch import Tensor

Range = tuple[float, float]


class Draws:
    """A generator of its own; `begin` makes what follows a function of the step alone."""

    def __init__(self, seed: int) -> None:
        """Start at step 0 of `seed`."""
        self._seed = seed
        self._generator = torch.Generator().manual_seed(seed)

    def begin(self, step: int) -> None:
        """Draw from here on as this step does, whatever was drawn before."""
        self._generator.manual_seed(self._seed + 1_000_003 * step)

    def uniform(self, range_: Range, *shape: int) -> Tensor:
        """Numbers of this shape, even within the range."""
        low, high = range_
        return torch.rand(shape, generator=self._generator) * (high - low) + low

    def number(self, range_: Range) -> float:
        """One number within the range."""
        return float(self.uniform(range_, 1))

    def happens(self, probability: float) -> bool:
        """True with this probability."""
        return self.number((0, 1)) < probability

    def chosen(self, probability: float, count: int) -> Tensor:
        """(C,) indices of those of `count` clips that a change of this probability meets."""
        return torch.nonzero(self.uniform((0, 1), count) < probability)[:, 0]

    def below(self, stop: int, *shape: int) -> Tensor:
        """Whole numbers of this shape from 0 up to `stop`, without it."""
        return torch.randint(stop, shape, generator=self._generator)

    def noise(self, *shape: int) -> Tensor:
        """Normal noise of this shape."""
        return torch.randn(shape, generator=self._generator)
