"""The page's open microphone: pieces of sound come in while people talk, turns come out.

The browser sends what it records every tenth of a second and is told what was made of it; when a
turn has ended it asks for the answer by the turn's name. Knows nothing of Gradio.
"""

import math
import threading
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import soxr

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.audio_limits import TURN_LIMITS
from audiochat.errors import AudioError
from audiochat.hands_free import HandsFree, OpenMicrophone, Paused, SpeechBegan, TurnEnded
from audiochat.turn_taking import SpeechDetector, TurnTaking

MAX_VISITORS = 64
"""Open microphones at a time; beyond them the one that was silent longest is forgotten."""

MAX_PIECE_S = 30.0
"""Longest sound sent at a time: a page that lost its connection sends what it kept meanwhile."""

MAX_TURNS = 4
"""Turns of a visitor kept until they are taken."""

END_SILENCE_S = (0.3, 3.0)
"""Least and most silence that may end a turn."""

_FULL_SCALE = 32_768


@dataclass(frozen=True)
class Piece:
    """What the browser sends."""

    visitor: str
    """The microphone's name, another one each time that it is opened."""
    tab: str
    """Whose conversation it is: the name that the browser's tab gives itself."""
    first: int
    """Samples before these since the microphone was opened: sound that came already, because its
    answer was lost on the way, is known by it."""
    samples: np.ndarray
    """(N,) float32"""
    rate: int
    replying: bool
    settings: HandsFree

    @classmethod
    def of(cls, sent: Any) -> "Piece":
        """Read what came over the wire.

        Raises:
            AudioError: it is not what this page's own script sends.
        """
        try:
            samples = np.frombuffer(b64decode(sent["samples"], validate=True), "<i2")
            rate, silence_s = int(sent["rate"]), float(sent["endSilence"])
            first = int(sent["first"])
            visitor, tab = str(sent["visitor"]), str(sent["tab"])
            replying, barge_in = bool(sent["replying"]), bool(sent["bargeIn"])
        except (KeyError, TypeError, ValueError, OverflowError, NotBase64) as error:
            raise AudioError("The page sent sound that cannot be read. Reload it.") from error
        if not TURN_LIMITS.min_rate <= rate <= TURN_LIMITS.max_rate or not visitor:
            raise AudioError(f"The microphone's sample rate, {rate} Hz, cannot be used.")
        if len(samples) > MAX_PIECE_S * rate or len(visitor) > 64 or not math.isfinite(silence_s):
            raise AudioError("The page sent more sound at once than it may. Reload it.")
        low, high = END_SILENCE_S
        turns = TurnTaking(end_silence_s=min(max(silence_s, low), high))
        return cls(
            visitor,
            tab,
            first,
            samples.astype(np.float32) / _FULL_SCALE,
            rate,
            replying,
            HandsFree(turns, barge_in=barge_in),
        )


@dataclass
class _Visitor:
    """One page's microphone; its lock keeps the pieces in order."""

    microphone: OpenMicrophone = field(default_factory=OpenMicrophone)
    resampler: soxr.ResampleStream | None = None
    rate: int = SAMPLE_RATE
    heard: int = 0
    """Samples that came, at the microphone's rate."""
    turns: dict[int, Waveform] = field(default_factory=dict)
    """Those not taken yet, by their names."""
    n_turns: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    """The last one, which the page may have missed."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def new_sound(self, piece: Piece) -> np.ndarray:
        """What of the piece did not come before, at SAMPLE_RATE, without seams between pieces."""
        known = min(max(self.heard - piece.first, 0), len(piece.samples))
        piece = replace(piece, samples=piece.samples[known:])
        self.heard = piece.first + known + len(piece.samples)
        if piece.rate != self.rate:
            self.rate = piece.rate
            self.resampler = soxr.ResampleStream(piece.rate, SAMPLE_RATE, 1, dtype="float32")
        if self.rate == SAMPLE_RATE or self.resampler is None:
            return piece.samples
        resampled: np.ndarray = self.resampler.resample_chunk(piece.samples)
        return resampled


class OpenMicrophones:
    """The open microphones of all visitors, bounded in number."""

    def __init__(self, hear_ahead: Callable[[str, Waveform], None]) -> None:
        """`hear_ahead` is told, while a turn's last silence is waited for, its tab and sound."""
        self._hear_ahead = hear_ahead
        self._visitors: dict[str, _Visitor] = {}
        self._lock = threading.Lock()
        self._detector: SpeechDetector | None = None

    def listen(self, sent: Any) -> dict[str, Any]:
        """Follow one microphone through its next piece of sound.

        Returns:
            What the page shows and does: `state` (listening or hearing), `began` when the person
            has begun to speak, `turn` the name of a turn that has ended; or `trouble`, a sentence.
        """
        try:
            piece = Piece.of(sent)
        except AudioError as error:
            return {"trouble": str(error)}
        visitor = self._visitor(piece.visitor)
        with visitor.lock:
            missed = visitor.answer if piece.first < visitor.heard else {}
            samples = visitor.new_sound(piece)
            visitor.microphone, events = visitor.microphone.follow(
                self._shared_detector(), samples, piece.settings, replying=piece.replying
            )
            answer: dict[str, Any] = {
                "state": "hearing" if visitor.microphone.hearing else "listening",
                "began": any(isinstance(event, SpeechBegan) for event in events),
            }
            if missed:
                answer["began"] |= missed["began"]
                answer |= {key: missed[key] for key in ("turn",) if key in missed}
            for event in events:
                if isinstance(event, TurnEnded):
                    visitor.n_turns += 1
                    answer["turn"] = visitor.n_turns
                    visitor.turns[visitor.n_turns] = event.recording
                    visitor.turns.pop(visitor.n_turns - MAX_TURNS, None)
            visitor.answer = answer
        for event in events:
            if isinstance(event, Paused):
                self._hear_ahead(piece.tab, event.recording)
        return answer

    def take(self, visitor: str, name: str) -> Waveform:
        """Give the turn of that name, once.

        Raises:
            AudioError: there is none.
        """
        known = self._visitors.get(visitor, _Visitor())
        with known.lock:
            # By its letters: nobody's number is read that may be thousands of digits long.
            turn = next((known.turns.pop(n) for n in list(known.turns) if str(n) == name), None)
        if turn is None:
            raise AudioError("What you said was lost on the way. Please say it again.")
        return turn

    def _visitor(self, name: str) -> _Visitor:
        with self._lock:
            known = self._visitors.pop(name, None) or _Visitor()
            self._visitors[name] = known  # the newest is the last
            while len(self._visitors) > MAX_VISITORS:
                del self._visitors[next(iter(self._visitors))]
            return known

    def _shared_detector(self) -> SpeechDetector:
        # Made when first needed, so that the page comes up without it; it keeps no state of a
        # visitor, and ONNX Runtime's sessions may be run by several threads.
        with self._lock:
            if self._detector is None:
                self._detector = SpeechDetector()
            return self._detector
