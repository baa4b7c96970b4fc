"""What was heard of the latest recordings, kept so that a history is not heard again.

A recording of any length: the long ones are heard window by window, and can be followed doing so.
"""

from collections.abc import Iterator
from dataclasses import replace
from threading import Lock

from audiochat.audio import Waveform
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.ear import Hearing, Read
from audiochat.model.streaming import StreamedHearing
from audiochat.model.windows import hear_in_windows, hear_whole, window_cuts

MAX_HEARINGS = 1_024
"""Recordings whose hearing is kept: a conversation's are all needed again at its next turn."""
MAX_FRAMES = 45_000
"""Frames of all of them: an hour of speech, about 160 MB."""
MAX_WINDOWS = 40
"""Windows of long recordings that are kept apart: those of ten minutes, about 25 MB."""


class _Windows(dict[str, Hearing]):
    """The windows heard last; several threads may hear at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def __setitem__(self, name: str, hearing: Hearing) -> None:
        with self._lock:
            self.pop(name, None)
            super().__setitem__(name, hearing)
            if len(self) > MAX_WINDOWS:
                del self[next(iter(self))]


class Hearings:
    """The newest hearings by their recording, bounded in number and length."""

    def __init__(self, parts: TrainedParts) -> None:
        """`parts`: what listens."""
        self._parts = parts
        self._kept: dict[str, Hearing] = {}
        self._windows = _Windows()
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def of(
        self, waveform: Waveform, read: Read | None, streamed: StreamedHearing | None = None
    ) -> Hearing:
        """What the ear makes of a recording; words by `read`, greedily when None.

        With `streamed`, which has heard the beginning of it, only the rest is left to encode.
        """
        with self._lock:
            hearing = self._kept.get(waveform.digest)
            if hearing is None and streamed is not None:
                hearing = streamed.completed(waveform)
                if read:
                    hearing = replace(hearing, reading=read(hearing))
            elif hearing is None:
                hearing = hear_whole(
                    self._parts.ear, self._parts.units, waveform, read, known=self._windows
                )
            self._put(waveform, hearing)
        return hearing

    def follow(self, waveform: Waveform, read: Read | None) -> Iterator[tuple[int, int]]:
        """Hear a recording of more than one window, if it is not heard yet.

        Yields:
            Before each window, its number from 1 on and how many there are; closing the iterator
            there stops the work, and of it the windows that were heard are kept.
        """
        one_window = len(window_cuts(waveform, self._parts.ear)) == 2
        if one_window or waveform.digest in self._kept:
            return
        hearing = yield from hear_in_windows(
            self._parts.ear, self._parts.units, waveform, read, known=self._windows
        )
        self.keep(waveform, hearing)

    def keep(self, waveform: Waveform, hearing: Hearing) -> None:
        """Take a hearing that was made elsewhere."""
        with self._lock:
            self._put(waveform, hearing)

    def clear(self) -> None:
        """Forget them all."""
        self._kept.clear()
        self._windows.clear()

    def _put(self, waveform: Waveform, hearing: Hearing) -> None:
        """Keep it as the newest, and let the oldest go."""
        self._kept.pop(waveform.digest, None)
        self._kept[waveform.digest] = hearing
        while len(self._kept) > 1 and self._too_many():
            del self._kept[next(iter(self._kept))]

    def _too_many(self) -> bool:
        n_frames = sum(len(hearing.frames) for hearing in self._kept.values())
        return len(self._kept) > MAX_HEARINGS or n_frames > MAX_FRAMES
