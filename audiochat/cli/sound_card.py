"""The sound card: one spoken turn in, a reply out. The only module that imports sounddevice."""

from __future__ import annotations

import queue
import select
import sys
from collections import deque
from types import ModuleType
from typing import Any, Self

import numpy as np

from audiochat.audio import SAMPLE_RATE, TURN_LIMITS, Waveform, resample, waveform_from_pcm
from audiochat.errors import AudioError, MissingPartError
from audiochat.turn_taking import SpeechDetector, TurnState, listen

BLOCK_S = 0.1
"""How much sound is looked at together; also how soon Enter is noticed."""


def open_sound_card() -> ModuleType:
    """Return sounddevice, once there is a microphone and a loudspeaker to use.

    Raises:
        MissingPartError: PortAudio or a device is missing; the message has the remedy.
    """
    try:
        import sounddevice
    except OSError as error:
        raise MissingPartError(
            "The sound card needs the PortAudio library, which is not installed. Install it "
            "(Debian: apt install libportaudio2; macOS: brew install portaudio), "
            "or ask with --text or --audio FILE."
        ) from error
    for kind, part in (("input", "microphone"), ("output", "loudspeaker")):
        try:
            sounddevice.query_devices(kind=kind)
        except (sounddevice.PortAudioError, ValueError) as error:
            raise MissingPartError(
                f"No {part} was found. Connect one, or ask with --text or --audio FILE."
            ) from error
    module: ModuleType = sounddevice
    return module


def record_turn(sounddevice: Any, detector: SpeechDetector) -> Waveform:
    """Record until Enter is pressed or the person has fallen silent.

    Raises:
        AudioError: Nothing usable was recorded, or the microphone failed.
    """
    blocks: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
    recorded: list[np.ndarray] = []
    state = TurnState()
    try:
        rate = int(sounddevice.query_devices(kind="input")["default_samplerate"])
        with sounddevice.InputStream(
            samplerate=rate,
            channels=1,
            dtype="float32",
            blocksize=int(BLOCK_S * rate),
            callback=lambda block, *_: blocks.put(block[:, 0].copy()),
        ):
            while not state.ended and not _enter_pressed():
                block = blocks.get(timeout=5)
                recorded.append(block)
                state = listen(detector, state, resample(block, rate, SAMPLE_RATE))
                if len(recorded) * BLOCK_S >= TURN_LIMITS.max_s:
                    break
    except (sounddevice.PortAudioError, queue.Empty) as error:
        raise AudioError(
            f"The microphone gave no sound ({error or 'it stayed silent'}). "
            "Check that it is connected and that no other program holds it."
        ) from error
    # Enter may have been pressed before the first block; nothing recorded has its own sentence.
    return waveform_from_pcm(np.concatenate([np.zeros(0, np.float32), *recorded]), rate)


class Player:
    """Plays the pieces of a reply one after the other, while later ones are still being made."""

    def __init__(self, sounddevice: Any) -> None:
        self._sounddevice = sounddevice
        self._waiting: deque[np.ndarray] = deque()
        self._stream: Any = None
        self._rate = 0
        self._failed = False

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

    def wait(self) -> None:
        """Return when all that was queued has been played."""
        while self._waiting:
            self._sounddevice.sleep(50)
        if self._stream is not None:
            self._sounddevice.sleep(int(1000 * self._stream.latency))

    def _open(self, rate: int) -> None:
        self._rate = rate
        try:
            self._stream = self._sounddevice.OutputStream(
                samplerate=rate, channels=1, dtype="float32", callback=self._fill
            )
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            self._failed = True
            raise AudioError(
                f"The loudspeaker cannot be used ({error}), so this reply is text alone. "
                "Check that it is connected and that no other program holds it."
            ) from error

    def _fill(self, out: np.ndarray, n_frames: int, *_: object) -> None:
        """Give PortAudio its next samples; it calls this from a thread of its own."""
        out.fill(0)
        filled = 0
        while filled < n_frames and self._waiting:
            piece = self._waiting[0]
            taken = min(n_frames - filled, len(piece))
            out[filled : filled + taken, 0] = piece[:taken]
            filled += taken
            if taken == len(piece):
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[taken:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()
        if self._stream is not None:
            self._stream.close()


def _enter_pressed() -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    if ready:
        sys.stdin.readline()
    return bool(ready)
