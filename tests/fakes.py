"""Backends and voices for tests of the plumbing: they answer at once and load nothing."""

import threading
import time
from collections.abc import Iterator

import numpy as np

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.backends.base import BackendEvent, Heard, Notice, TextPiece, Usage
from audiochat.conversation import AudioPart, Conversation
from audiochat.errors import ModelError, VoiceError
from audiochat.sampling import Sampling
from audiochat.voices.base import VoiceStyle

STYLE = VoiceStyle()


def tone(seconds: float, hz: float = 440.0, sample_rate: int = SAMPLE_RATE) -> Waveform:
    """A clear sine tone."""
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    return Waveform((0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32), sample_rate)


class EchoBackend:
    """Says back what the last message said, word by word; hears every clip as its length."""

    name = "echo"
    label = "Echo"

    def __init__(
        self, *, delay_s: float = 0.0, confidence: float = 0.9, notice: str | None = None
    ) -> None:
        self.delay_s = delay_s
        self.confidence = confidence
        self.notice = notice
        self.conversations: list[Conversation] = []
        self.samplings: list[Sampling] = []
        self.closed_early = 0

    def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        """Echo the last message; the turn's number comes first."""
        self.conversations.append(conversation)
        self.samplings.append(sampling)
        index = len(conversation.messages) - 1
        words = []
        try:
            for part_index, part in enumerate(conversation.messages[-1].parts):
                if isinstance(part, AudioPart) and not part.corrected:
                    text = f"a clip of {part.waveform.duration_s:.1f} seconds"
                    yield Heard(text, self.confidence, index, part_index)
                    words.append(text)
                else:
                    words.append(part.words if isinstance(part, AudioPart) else part)
            if self.notice:
                yield Notice(self.notice)
            reply = f"Turn {index // 2 + 1}. You said: {' '.join(words)}.".split(" ")
            for number, word in enumerate(reply):
                time.sleep(self.delay_s)
                yield TextPiece(word if number == 0 else " " + word)
            yield Usage(len(reply), 0, len(reply), "stop")
        except GeneratorExit:
            self.closed_early += 1
            raise

    def close(self) -> None:
        """Hold nothing."""


class BrokenBackend(EchoBackend):
    """Fails with `error` after `pieces` words, the first `times` times; then it is an echo."""

    name = "broken"
    label = "Broken"

    def __init__(
        self, *, pieces: int = 2, times: int = 1_000_000, error: Exception | None = None
    ) -> None:
        super().__init__()
        self.pieces = pieces
        self.times = times
        self.error = error or ModelError("The model broke on purpose. Ask again.")

    def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        """Say a few words, then raise."""
        if self.times <= 0:
            yield from super().reply(conversation, sampling)
            return
        self.times -= 1
        for number in range(self.pieces):
            yield TextPiece(f"word{number} ")
        raise self.error


class BeepVoice:
    """Beeps for as long as the text is, at a rate of its own."""

    name = "beep"
    sample_rate = 22_050

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.said: list[str] = []
        self.styles: list[VoiceStyle] = []
        self.threads: set[int] = set()

    def voices(self) -> list[str]:
        """Return two names, so that there is a choice."""
        return ["high", "low"]

    def speak(self, text: str, style: VoiceStyle = STYLE) -> Waveform:
        """Return 50 ms of 440 Hz (voice "low": 220 Hz) for each letter."""
        time.sleep(self.delay_s)
        self.said.append(text)
        self.styles.append(style)
        self.threads.add(threading.get_ident())
        seconds = 0.05 * len(text) / style.speed
        return tone(seconds, 220.0 if style.voice == "low" else 440.0, self.sample_rate)

    def close(self) -> None:
        """Hold nothing."""


class BrokenVoice(BeepVoice):
    """Fails from its `working`-th piece on."""

    name = "mute"

    def __init__(self, *, working: int = 0) -> None:
        super().__init__()
        self.working = working

    def speak(self, text: str, style: VoiceStyle = STYLE) -> Waveform:
        """Beep a few times, then raise."""
        if len(self.said) >= self.working:
            raise VoiceError("The voice broke on purpose. The text stays.")
        return super().speak(text, style)
