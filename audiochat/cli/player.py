"""Plays a reply on the sound card, piece by piece."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any, Self

import numpy as np

from audiochat.audio import Waveform, resample
from audiochat.cli.echo_guard import RECENT_S
from audiochat.cli.sound_card import STALLED_S, SoundCard
from audiochat.errors import AudioError


class Player:
    """Plays the pieces of a reply one after the other, while later ones are still being made."""

    def __init__(self, card: SoundCard) -> None:
        self._card = card
        self._waiting: deque[np.ndarray] = deque()
        self._stream: Any = None
        self._rate = 0
        self._failed = False
        self.n_begun = 0
        """Pieces that have begun to sound."""
        self._within = False
        """Whether a piece has begun and is not over."""
        self._tail = 0
        """Frames that PortAudio was given and that are not heard yet."""
        self._levels_db: tuple[float, ...] = ()
        """Of the blocks of the last RECENT_S; replaced whole, as another thread reads it."""
        self._asked_at = 0.0
        """When PortAudio last asked for samples, by the monotonic clock."""

    @property
    def sounding(self) -> bool:
        """Whether something that was queued is still to be heard."""
        return bool(self._waiting) or self._tail > 0

    @property
    def recent_db(self) -> float:
        """Level of the loudest block of the last RECENT_S, in dB of full scale."""
        return max(self._levels_db, default=-math.inf)

    def play(self, waveform: Waveform) -> None:
        """Queue a piece and return at once; the first one opens the stream at its rate.

        Raises:
            AudioError: The loudspeaker failed. It is said once: later pieces are dropped.
        """
        if self._failed:
            return
        if self._stream is None:
            self._open(waveform.sample_rate)
        self._waiting.append(resample(waveform.samples, waveform.sample_rate, self._rate))

    def check(self) -> None:
        """Notice a loudspeaker that went away while it played; what was queued is dropped.

        Raises:
            AudioError: It did. It is said once.
        """
        if self.sounding and time.monotonic() - self._asked_at > STALLED_S:
            self.close()
            raise self._failure("it has stopped")

    def wait(self) -> None:
        """Return when all that was queued has been heard.

        Raises:
            AudioError: The loudspeaker went away.
        """
        while self.sounding:
            self.check()
            self._card.sounddevice.sleep(50)

    def close(self) -> None:
        """Fall silent at once, whatever was queued."""
        # The stream first: until it is closed, PortAudio's thread takes from the queue.
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._waiting.clear()
        self._tail = 0

    def _open(self, rate: int) -> None:
        sounddevice = self._card.sounddevice
        self._rate = rate
        try:
            self._stream = sounddevice.OutputStream(
                device=self._card.loudspeaker,
                samplerate=rate,
                channels=1,
                dtype="float32",
                callback=self._fill,
            )
            self._asked_at = time.monotonic()
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise self._failure(str(error)) from error

    def _failure(self, reason: str) -> AudioError:
        self._failed = True
        return AudioError(
            f"The loudspeaker cannot be used ({reason}), so this reply is text alone. "
            "Check that it is connected and that no other program holds it."
        )

    def _fill(self, out: np.ndarray, n_frames: int, *_: object) -> None:
        """Give PortAudio its next samples; it calls this from a thread of its own."""
        self._asked_at = time.monotonic()
        out.fill(0)
        filled = 0
        while filled < n_frames and self._waiting:
            piece = self._waiting[0]
            self.n_begun += not self._within
            taken = min(n_frames - filled, len(piece))
            out[filled : filled + taken, 0] = piece[:taken]
            filled += taken
            # Counted before the queue is empty, so that `sounding` has no gap between the two.
            self._tail = n_frames + round(self._stream.latency * self._rate)
            self._within = taken < len(piece)
            if not self._within:
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[taken:]
        kept = math.ceil(RECENT_S * self._rate / n_frames)
        self._levels_db = (*self._levels_db, Waveform(out[:, 0]).rms_db)[-kept:]
        if not filled:
            self._tail = max(0, self._tail - n_frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
