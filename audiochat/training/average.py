"""One ear from several of the same training, by averaging their weights.

The ends of successive runs lie in one basin, and their mean hears better than either (Izmailov et
al. 2018; Wortsman et al. 2022).
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import torch

from audiochat.errors import DataError
from audiochat.model.checkpoint import TrainedParts


def average_ears(parts: Sequence[TrainedParts]) -> TrainedParts:
    """The mean of the ears; the connectors are the last one's, and want training on it.

    Raises:
        DataError: there is nothing to average, or the ears are not of one size and one set of
            units.
    """
    if len(parts) < 2:
        raise DataError("Give at least two weights folders to average.")
    last = parts[-1]
    for one in parts:
        if one.config.encoder != last.config.encoder or _pieces(one) != _pieces(last):
            raise DataError("Only ears of one size and with the same units can be averaged.")
    states = [one.ear.state_dict() for one in parts]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in states[-1].items()
    }
    ear = deepcopy(last.ear)
    ear.load_state_dict(mean)
    return replace(last, ear=ear)


def _pieces(parts: TrainedParts) -> list[str]:
    return [parts.units.piece(unit) for unit in range(parts.units.size)]
