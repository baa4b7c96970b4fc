"""A deeper ear that begins by hearing just what a shallower one hears.

The new blocks add nothing at first (Chen et al. 2016, Net2Net): training goes on where it was.
"""

from dataclasses import replace

import torch
from torch import nn

from audiochat.errors import DataError
from audiochat.model.config import EncoderConfig
from audiochat.model.conformer import ConformerBlock
from audiochat.model.ear import Ear


@torch.no_grad()
def deepened(ear: Ear, config: EncoderConfig) -> Ear:
    """An ear of the sizes in `config` that hears what `ear` hears.

    The blocks between two guesses at the phones stay together, and the new ones follow them.

    Raises:
        DataError: the sizes differ in more than depth, or some blocks would have no place.
    """
    ours, theirs = ear.encoder.config, config
    old, new = _stretches(ours), _stretches(theirs)
    fits = len(old) == len(new) and all(one <= other for one, other in zip(old, new, strict=True))
    deeper_ours = replace(ours, n_layers=theirs.n_layers, phones_every=theirs.phones_every)
    if deeper_ours != theirs or not fits:
        raise DataError(
            f"An ear of {ours} cannot become one of {theirs}. "
            "Choose the recipe it was made by, or one that is only deeper."
        )
    deeper = Ear(config)
    # All that is no block has the same name in both.
    kept = {name: value for name, value in ear.state_dict().items() if ".blocks." not in name}
    deeper.load_state_dict(kept, strict=False)
    given = iter(ear.encoder.blocks)
    at = iter(deeper.encoder.blocks)
    for n_given, n_all in zip(old, new, strict=True):
        block: nn.Module | None = None
        for _ in range(n_given):
            block = next(at)
            block.load_state_dict(next(given).state_dict())
        for _ in range(n_all - n_given):
            assert isinstance(block, ConformerBlock)
            fresh = next(at)
            assert isinstance(fresh, ConformerBlock)
            _add_nothing(fresh, after=block)
            block = fresh
    return deeper


def _stretches(config: EncoderConfig) -> list[int]:
    """How many blocks lie before, between and after the guesses at the phones."""
    every, left = config.phones_every or config.n_layers, config.n_layers
    stretches = []
    while left > 0:
        stretches.append(min(every, left))
        left -= every
    return stretches


def _add_nothing(block: ConformerBlock, *, after: ConformerBlock) -> None:
    """Make `block` give what `after` gave, whose last scale it takes over.

    A norm of what is normed already changes nothing, so `after` leaves the scale to `block`.
    """
    for last in (block.before[-1], block.attention.out, block.convolution.out, block.after[-1]):
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)
    block.norm.load_state_dict(after.norm.state_dict())
    nn.init.ones_(after.norm.weight)
    nn.init.zeros_(after.norm.bias)
