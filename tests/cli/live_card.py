"""For tests of live talk: a sound card with scripted sound, and a pseudo-terminal to type at."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
import types
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from audiochat.audio import resample
from audiochat.voices import load_voice

RATE = 48_000
BLOCK = RATE // 20
WAIT_S = 30.0
"""A script that waits longer waits for ever."""

Script = Callable[["LiveCard"], Iterator[np.ndarray]]


@cache
def speech(text: str = "What is the capital of France?") -> np.ndarray:
    """The text as espeak says it, without the silence before it, (N,) at RATE."""
    voice = load_voice("espeak")
    assert voice is not None
    spoken = voice.speak(text)
    samples = resample(spoken.samples, spoken.sample_rate, RATE)
    return samples[np.flatnonzero(np.abs(samples) > 0.02)[0] :]


def quiet(seconds: float) -> np.ndarray:
    """A room in which nothing happens."""
    rng = np.random.default_rng(0)
    return (0.002 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


class _Stream:
    """One of the card's devices, while it is used."""

    latency = 0.1

    def __init__(self, card: LiveCard, callback: Callable[..., None], rate: int) -> None:
        self.card, self.callback, self.rate = card, callback, rate

    def start(self) -> None:
        self.card.start(self)

    def close(self) -> None:
        self.card.stop(self)


class _Input(_Stream):
    pass


class _Output(_Stream):
    pass


class LiveCard(types.ModuleType):
    """As much of sounddevice as live talk uses, on a clock `speed` times as fast as real time.

    For each block that the microphone gives the loudspeaker plays one, which comes back to the
    microphone `echo` times as loud. The script yields the room's sound; `until` waits in quiet.
    """

    class PortAudioError(Exception):
        """What sounddevice raises."""

    def __init__(self, script: Script, *, speed: float = 20.0, echo: float = 0.0) -> None:
        super().__init__("sounddevice")
        self.speed, self.echo = speed, echo
        self.devices: list[dict[str, object]] = [
            device("Built-in Audio Analog", 2, 2),
            device("USB Headset: Mono (hw:1,0)", 1, 2),
            device("HDMI 0", 0, 8),
        ]
        self.opened: list[tuple[str, object]] = []
        self.played: list[np.ndarray] = []
        self.played_at: list[float] = []
        self.now_s = 0.0
        self.n_played_out = 0
        """Streams of the loudspeaker that were opened and closed again."""
        self.unplugged: set[type] = set()
        self.finished = threading.Event()
        self._streams: dict[type, _Stream] = {}
        self._lock = threading.RLock()
        self._room = self._blocks(script(self))
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    # What sounddevice has

    def query_devices(self, device: int | None = None, kind: str | None = None) -> object:
        if kind is None:
            return self.devices
        index = 0 if device is None else device
        return {"default_samplerate": float(RATE), "index": index, **self.devices[index]}

    def InputStream(self, *, callback, samplerate, blocksize, device, **_: object) -> _Stream:
        assert blocksize == BLOCK
        self.opened.append(("input", device))
        return self._stream(_Input(self, callback, samplerate))

    def OutputStream(self, *, callback, samplerate, device, **_: object) -> _Stream:
        self.opened.append(("output", device))
        return self._stream(_Output(self, callback, samplerate))

    def _stream(self, stream: _Stream) -> _Stream:
        if type(stream) in self.unplugged:
            raise self.PortAudioError("Device unavailable")
        return stream

    def start(self, stream: _Stream) -> None:
        with self._lock:
            self._streams[type(stream)] = stream
        if not self._thread.is_alive() and not self._leave.is_set():
            self._thread.start()

    def stop(self, stream: _Stream) -> None:
        with self._lock:
            if self._streams.pop(type(stream), None) and isinstance(stream, _Output):
                self.n_played_out += 1

    # For scripts

    @property
    def sounding(self) -> bool:
        """Whether the newest block that was played is loud."""
        return bool(self.played) and float(np.abs(self.played[-1]).max()) > 0.01

    def until(self, done: Callable[[], bool]) -> Iterator[np.ndarray]:
        """Quiet until something has come about."""
        begun_s = time.monotonic()
        while not done():
            assert time.monotonic() - begun_s < WAIT_S, "the script waits for what never comes"
            yield quiet(0.05)

    def unplug_microphone(self) -> None:
        """It gives no more blocks, as PortAudio's do."""
        self.unplugged.add(_Input)

    def unplug_loudspeaker(self) -> None:
        """It asks for no more samples."""
        self.unplugged.add(_Output)

    def close(self) -> None:
        """Stop the clock."""
        self._leave.set()
        if self._thread.is_alive():
            self._thread.join()

    def _blocks(self, script: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for sound in script:
            for start in range(0, len(sound), BLOCK):
                block = np.zeros(BLOCK, np.float32)
                block[: len(sound[start : start + BLOCK])] = sound[start : start + BLOCK]
                yield block
        self.finished.set()
        while True:
            yield quiet(0.05)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._leave.is_set():
            with self._lock:
                out = self._play()
                block = next(self._room) + self.echo * out
                if (source := self._streams.get(_Input)) and _Input not in self.unplugged:
                    source.callback(block[:, None].astype(np.float32), BLOCK, None, None)
            self.now_s += BLOCK / RATE
            due += BLOCK / RATE / self.speed
            time.sleep(max(0.0, due - time.monotonic()))

    def _play(self) -> np.ndarray:
        sink = self._streams.get(_Output)
        if sink is None or _Output in self.unplugged:
            return np.zeros(BLOCK, np.float32)
        n_frames = sink.rate // 20
        out = np.zeros((n_frames, 1), np.float32)
        sink.callback(out, n_frames, None, None)
        self.played.append(out[:, 0])
        self.played_at.append(self.now_s)
        heard = resample(out[:, 0], sink.rate, RATE)
        return np.resize(heard, BLOCK)


def device(name: str, n_inputs: int, n_outputs: int) -> dict[str, object]:
    return {"name": name, "max_input_channels": n_inputs, "max_output_channels": n_outputs}


class Terminal:
    """A real pseudo-terminal: `keyboard` is what the program reads from, `type` the person."""

    def __init__(self) -> None:
        self._person, program = os.openpty()
        self._shown = b""
        self.keyboard = os.fdopen(program, "r")
        self.screen = os.fdopen(os.dup(program), "w")

    def type(self, keys: str) -> None:
        self.type_bytes(keys.encode())

    def type_bytes(self, keys: bytes) -> None:
        os.write(self._person, keys)

    def leave(self) -> None:
        """Ctrl-D."""
        self.type("\x04")

    def press_ctrl_c(self) -> None:
        """As a terminal does it that controls the program."""
        os.kill(os.getpid(), signal.SIGINT)

    def shown(self) -> str:
        """All that was written to it so far."""
        while select.select([self._person], [], [], 0)[0]:
            self._shown += os.read(self._person, 65_536)
        return self._shown.decode(errors="ignore")

    def close(self) -> None:
        self.keyboard.close()
        self.screen.close()
        os.close(self._person)
