"""Hands-free talk: an open microphone becomes turns. The same for the page and the terminal.

State goes in and comes out as a value. Knows nothing of devices, pages or models: it is given
samples, and told whether a reply is under way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from audiochat.audio import SAMPLE_RATE, TURN_LIMITS, Waveform
from audiochat.turn_taking import SpeechDetector, TurnState, TurnTaking, listen

BEFORE_S = 0.4
"""Sound kept from before the speech began: the detector is late, and first words begin softly."""

AFTER_S = 0.3
"""Sound kept behind the last word. Once so much silence has passed the recording is what it will
be if the turn ends here, so it can be heard while the rest of the silence is waited for."""

_ECHO_PROBABILITY = 0.7
"""While a reply sounds, a window must be this likely to be speech: its echo may come back."""


@dataclass(frozen=True)
class HandsFree:
    """When a turn begins and ends, and whether speaking up stops a reply."""

    turns: TurnTaking = field(default_factory=TurnTaking)

    barge_in: bool = False
    """Listen while a reply is thought of and spoken; otherwise nothing is heard meanwhile."""

    barge_in_s: float = 0.25
    """Speech that stops a reply: longer than a cough or a word of assent."""

    def now(self, *, replying: bool) -> TurnTaking:
        """What holds for a turn that has not begun yet."""
        if not replying:
            return self.turns
        likely = max(_ECHO_PROBABILITY, self.turns.start_probability)
        return replace(self.turns, start_probability=likely, min_speech_s=self.barge_in_s)


@dataclass(frozen=True)
class SpeechBegan:
    """The person has begun to speak; a reply under way is to stop."""


@dataclass(frozen=True)
class Paused:
    """The person has paused. If no more is said, `recording` is the turn, to the sample."""

    recording: Waveform


@dataclass(frozen=True)
class TurnEnded:
    """The person has finished."""

    recording: Waveform


MicrophoneEvent = SpeechBegan | Paused | TurnEnded


@dataclass(frozen=True, eq=False)
class OpenMicrophone:
    """What was heard since the last turn ended."""

    turn: TurnState = field(default_factory=TurnState)

    samples: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """(N,) at SAMPLE_RATE: the turn so far, and a little from before it."""

    paused: bool = False
    """Whether the present pause was told of."""

    @property
    def hearing(self) -> bool:
        """Whether a turn has begun."""
        return self.turn.begun

    def follow(
        self,
        detector: SpeechDetector,
        samples: np.ndarray,
        settings: HandsFree,
        *,
        replying: bool = False,
    ) -> tuple[OpenMicrophone, list[MicrophoneEvent]]:
        """Take in the next samples, some tenths of a second of them.

        Args:
            detector: judges them.
            samples: (N,) float32 at SAMPLE_RATE.
            settings: when turns begin and end.
            replying: whether a reply is under way or still sounds.

        Returns:
            The microphone afterwards, and what has happened, in order.
        """
        if replying and not settings.barge_in:
            return OpenMicrophone(), []
        taking = settings.turns if self.turn.begun else settings.now(replying=replying)
        turn = listen(detector, self.turn, samples, taking)
        heard = np.concatenate([self.samples, samples])
        if not turn.begun:
            kept = round((BEFORE_S + turn.speech_s) * SAMPLE_RATE) + len(turn.rest)
            return OpenMicrophone(turn, heard[-kept:]), []
        events: list[MicrophoneEvent] = [] if self.turn.begun else [SpeechBegan()]
        if turn.ended or len(heard) >= TURN_LIMITS.max_s * SAMPLE_RATE:
            return OpenMicrophone(), [*events, TurnEnded(_recording(turn, heard))]
        paused = turn.silence_s >= AFTER_S
        if paused and not (self.paused and turn.speech_s == self.turn.speech_s):
            events.append(Paused(_recording(turn, heard)))
        return OpenMicrophone(turn, heard, paused), events


def _recording(turn: TurnState, heard: np.ndarray) -> Waveform:
    """The sound up to a little behind the last word."""
    silent = round(turn.silence_s * SAMPLE_RATE) + len(turn.rest)
    after = round(AFTER_S * SAMPLE_RATE)
    end = len(heard) - max(0, silent - after)
    limit = round(TURN_LIMITS.max_s * SAMPLE_RATE)
    return Waveform(heard[: min(end, limit)])
