"""Tells a person who speaks up from the reply's own echo, by loudness alone.

No echo canceller: it keeps a reply from stopping itself on open loudspeakers. Knows no devices.
"""

from __future__ import annotations

from collections import deque

import numpy as np

RECENT_S = 0.5
"""An echo comes back at most so much later: the buffers of both devices, and the room."""

_MARGIN_DB = 6.0
"""By how much a voice must be louder than the echo that is to be expected."""

_AUDIBLE_DB = -50.0
"""What is played below it comes back as nothing."""

_ENOUGH = 10
"""Blocks after which the echo's loudness is known; until then all that comes back counts as it."""

_KEPT = 100

_SILENT_DB = -100.0


class EchoGuard:
    """Learns from the first blocks of one reply on how much of it comes back.

    Each reply has its own, so that a volume turned up is learned with the next one.
    """

    def __init__(self) -> None:
        self._returns_db: deque[float] = deque(maxlen=_KEPT)
        """Of late blocks that were echo: how loud it was, against what was played."""

    def is_echo(self, heard_db: float, played_db: float) -> bool:
        """Whether a block of the microphone is no louder than an echo.

        Args:
            heard_db: level of the block, in dB of full scale.
            played_db: level of the loudest sound played in the last RECENT_S.
        """
        if played_db < _AUDIBLE_DB:
            return False
        return_db = max(heard_db, _SILENT_DB) - played_db
        if len(self._returns_db) >= _ENOUGH:
            # Nearly the loudest: in a pause of the reply less comes back than was played before it.
            expected_db = float(np.percentile(self._returns_db, 90))
            if return_db >= expected_db + _MARGIN_DB:
                return False
        self._returns_db.append(return_db)
        return True
