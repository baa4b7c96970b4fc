"""The sound card and its microphone. The only module that imports sounddevice.

Replies are played by `player`.
"""

from __future__ import annotations

import queue
import select
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np
import soxr

from audiochat.audio import SAMPLE_RATE, TURN_LIMITS, Waveform, waveform_from_pcm
from audiochat.cli import sound_devices
from audiochat.errors import AudioError, MissingPartError
from audiochat.turn_taking import SpeechDetector, TurnState, TurnTaking, listen

BLOCK_S = 0.1
"""How much sound is looked at together; also how soon Enter is noticed."""

STALLED_S = 5.0
"""A device that neither gives nor takes for so long was unplugged: a muted one gives zeros."""


@dataclass(frozen=True)
class SoundCard:
    """sounddevice, and which of its devices to use; None is the system's own choice."""

    sounddevice: Any
    microphone: int | None = None
    loudspeaker: int | None = None


def load_sounddevice() -> ModuleType:
    """Import sounddevice.

    Raises:
        MissingPartError: the PortAudio library is missing; the message has the remedy.
    """
    try:
        import sounddevice
    except OSError as error:
        raise MissingPartError(
            "The sound card needs the PortAudio library, which is not installed. Install it "
            "(Debian: apt install libportaudio2; macOS: brew install portaudio), "
            "or ask with --text or --audio FILE."
        ) from error
    module: ModuleType = sounddevice
    return module


def open_sound_card(microphone: str | None = None, loudspeaker: str | None = None) -> SoundCard:
    """The devices to talk with, by number or name as a person gave them.

    Raises:
        MissingPartError: PortAudio or a device is missing; the message has the remedy.
    """
    sounddevice = load_sounddevice()
    wanted: dict[sound_devices.Kind, str | None] = {"input": microphone, "output": loudspeaker}
    numbers: dict[str, int | None] = {}
    for kind, name in wanted.items():
        numbers[kind] = None if name is None else sound_devices.find(sounddevice, name, kind)
        try:
            sounddevice.query_devices(numbers[kind], kind)
        except (sounddevice.PortAudioError, ValueError) as error:
            raise MissingPartError(
                f"No {sound_devices.PARTS[kind]} was found. Connect one, or ask with --text or "
                "--audio FILE."
            ) from error
    return SoundCard(sounddevice, numbers["input"], numbers["output"])


class Microphone:
    """The card's microphone; while it is open it gives its sound away in blocks."""

    def __init__(self, card: SoundCard, take: Callable[[np.ndarray], None], block_s: float) -> None:
        """`take` is called in PortAudio's own thread, with (N,) float32 at SAMPLE_RATE."""
        self._card = card
        self._take = take
        self._block_s = block_s
        self._stream: Any = None

    @property
    def is_open(self) -> bool:
        """Whether it was opened, and not closed since."""
        return self._stream is not None

    def open(self) -> None:
        """Begin to listen.

        Raises:
            AudioError: the microphone cannot be used.
        """
        sounddevice, device = self._card.sounddevice, self._card.microphone
        try:
            rate = int(sounddevice.query_devices(device, "input")["default_samplerate"])
            # One resampler for the whole sound: blocks taken one by one would click at the seams.
            at_our_rate = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32").resample_chunk
            self._stream = sounddevice.InputStream(
                device=device,
                samplerate=rate,
                channels=1,
                dtype="float32",
                blocksize=int(self._block_s * rate),
                callback=lambda block, *_: self._take(at_our_rate(block[:, 0].copy())),
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            self.close()
            raise no_sound(str(error)) from error

    def close(self) -> None:
        """Listen no more."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def no_sound(reason: str = "it stayed silent") -> AudioError:
    """The sentence about a microphone that gives nothing."""
    return AudioError(
        f"The microphone gave no sound ({reason}). "
        "Check that it is connected and that no other program holds it."
    )


def record_turn(card: SoundCard, detector: SpeechDetector, taking: TurnTaking) -> Waveform:
    """Record until Enter is pressed or the person has fallen silent.

    Raises:
        AudioError: Nothing usable was recorded, or the microphone failed.
    """
    blocks: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
    recorded: list[np.ndarray] = []
    state = TurnState()
    with Microphone(card, blocks.put, BLOCK_S):
        while not state.ended and not _enter_pressed():
            try:
                recorded.append(blocks.get(timeout=STALLED_S))
            except queue.Empty as error:
                raise no_sound() from error
            state = listen(detector, state, recorded[-1], taking)
            if len(recorded) * BLOCK_S >= TURN_LIMITS.max_s:
                break
    # Enter may have been pressed before the first block; nothing recorded has its own sentence.
    return waveform_from_pcm(np.concatenate([np.zeros(0, np.float32), *recorded]), SAMPLE_RATE)


def _enter_pressed() -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    if ready:
        sys.stdin.readline()
    return bool(ready)
