"""One of the processes of `test_sharding`: what it checks is asserted here."""

import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.training.frozen_llm import FrozenLlm, Row
from audiochat.training.processes import Processes
from audiochat.training.sharding import shard_layers


def scored(lm: TorchLanguageModel, speech: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a response after "speech", and the gradient of their sum of squares to it."""
    given = speech.clone().requires_grad_(True)
    rows = [Row((1, 40, 41), given, (50, 51, 52)), Row((1, 40), given[:2], (60,))]
    logits = FrozenLlm(lm, share_lead=False).logits(rows)
    logits.square().sum().backward()
    assert given.grad is not None
    return logits.detach(), given.grad


def main(folder: Path) -> None:
    processes = Processes()
    assert processes.count == 2
    lm = TorchLanguageModel.load(folder)
    torch.manual_seed(processes.rank)  # each has speech of its own
    speech = torch.randn(5, lm.hidden_dim) * 0.05
    alone = scored(lm, speech)
    shard_layers(lm, processes)
    for layer in lm.llama.model.layers:
        for weights in layer.parameters():
            assert isinstance(weights, DTensor)
            assert not weights.requires_grad
            assert weights.to_local().numel() <= -(-weights.numel() // 2) + weights.shape[-1]
    together = scored(lm, speech)
    for one, two in zip(alone, together, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
    sys.stdout.write(f"rank{processes.rank}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
