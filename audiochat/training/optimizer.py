"""The optimisers and the schedule.

Muon (Jordan et al. 2024) replaces each hidden matrix's momentum by its nearest orthogonal matrix;
matrices of one shape are orthogonalised together, which keeps it cheap on a CPU.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from audiochat.training.config import OptimizerConfig
from audiochat.training.precision import multiplies_bfloat16

# Coefficients of the quintic Newton-Schulz iteration, from the Muon write-up.
_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrices: Tensor, steps: int = 4) -> Tensor:
    """(n, rows, columns) → each matrix's singular values brought near 1."""
    a, b, c = _QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    # Muon's authors iterate in bfloat16 too.
    x = x.to(torch.bfloat16 if multiplies_bfloat16(matrices.device.type) else torch.float32)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for 2-D parameters."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        """`lr`: step of a matrix of unit aspect; others are scaled by √(rows/columns)."""
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every matrix once."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[tuple(parameter.shape)].append(parameter)
            for shape, parameters in by_shape.items():
                updates = []
                for parameter in parameters:
                    state = self.state[parameter]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(parameter)
                    gradient = parameter.grad
                    assert gradient is not None
                    average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    updates.append(gradient.lerp(average, group["momentum"]))
                scale = group["lr"] * math.sqrt(max(1.0, shape[0] / shape[1]))
                for parameter, update in zip(
                    parameters, orthogonalised(torch.stack(updates)), strict=True
                ):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-scale)


def build_optimizers(
    module: nn.Module, config: OptimizerConfig, *, outer: tuple[str, ...] = ()
) -> list[torch.optim.Optimizer]:
    """Muon for 2-D parameters whose name has none of `outer`, AdamW for all others."""
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        inside = parameter.ndim == 2 and not any(part in name for part in outer)
        (matrices if inside and config.muon_lr else rest).append(parameter)
    found: list[torch.optim.Optimizer] = []
    if matrices:
        found.append(Muon(matrices, config.muon_lr, weight_decay=config.weight_decay))
    if rest:
        found.append(
            torch.optim.AdamW(
                rest, config.adam_lr, betas=config.adam_betas, weight_decay=config.weight_decay
            )
        )
    for optimizer in found:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return found


def rate_at(share: float, config: OptimizerConfig) -> float:
    """The factor on the peak rates after `share` (0 to 1) of the run."""
    if share < config.warm_up_share:
        return max(share / config.warm_up_share, 1e-3)
    left = min(1.0, max(0.0, 1 - share) / config.cool_down_share)
    return config.floor + (1 - config.floor) * left
