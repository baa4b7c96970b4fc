"""When a person starts and ends a turn: Silero's voice activity model, and the rule on top of it.

State goes in and comes out as a value, so that a page can follow many people with one detector.
Knows nothing of microphones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime

from audiochat.audio import SAMPLE_RATE
from audiochat.errors import AudioError, MissingPartError

WINDOW = 512
"""Samples the detector judges at a time (32 ms)."""

CONTEXT = 64
"""Samples before a window that the detector sees again; fixed by its training."""


@dataclass(frozen=True)
class TurnTaking:
    """When a turn counts as begun and as ended.

    Raises:
        AudioError: a time is outside its range; the message names its flag.
    """

    start_probability: float = 0.5
    """A window at least this likely to be speech is speech."""

    end_probability: float = 0.35
    """Once speaking, a window must fall below this to count as silence."""

    min_speech_s: float = 0.2
    """Speech needed before a turn has begun: a click or a cough is shorter."""

    end_silence_s: float = 0.8
    """Silence after speech that ends the turn; shorter pauses are for thinking."""

    def __post_init__(self) -> None:
        """Check the times: shorter ones cut words or take every click, longer ones never end."""
        for flag, value, low, high in (
            ("--end-silence", self.end_silence_s, 0.2, 10.0),
            ("--min-speech", self.min_speech_s, 0.05, 2.0),
        ):
            if not low <= value <= high:
                raise AudioError(f"{flag} must be from {low:g} to {high:g} seconds, not {value:g}.")


@dataclass(frozen=True, eq=False)
class Memory:
    """What the detector carries from window to window."""

    state: np.ndarray = field(default_factory=lambda: np.zeros((2, 1, 128), np.float32))
    context: np.ndarray = field(default_factory=lambda: np.zeros(CONTEXT, np.float32))


@dataclass(frozen=True, eq=False)
class TurnState:
    """How far a turn has come."""

    memory: Memory = field(default_factory=Memory)
    rest: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """Samples not judged: too few for a window yet, or behind the end of the turn."""

    speech_s: float = 0.0
    """Speech in the turn so far; while it has not begun, in the present stretch of speech."""

    silence_s: float = 0.0
    """Silence since the last speech."""

    begun: bool = False
    """Whether the person has started to speak."""

    ended: bool = False
    """Whether the person has finished."""


class SpeechDetector:
    """Silero VAD as shipped in its wheel, run by ONNX Runtime on one thread.

    Raises:
        MissingPartError: The package silero-vad is not installed.
    """

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(_model_file()), options, providers=["CPUExecutionProvider"]
        )

    def probability(self, window: np.ndarray, memory: Memory) -> tuple[float, Memory]:
        """Judge the next window.

        Args:
            window: (WINDOW,) float32 at SAMPLE_RATE.
            memory: what came out with the window before it.

        Returns:
            The probability of speech, and the memory for the next window.
        """
        assert window.shape == (WINDOW,)
        seen = np.concatenate([memory.context, window]).astype(np.float32)
        inputs = {"input": seen[None], "state": memory.state, "sr": np.array(SAMPLE_RATE)}
        probability, state = self._session.run(None, inputs)
        return float(probability.item()), Memory(state, seen[-CONTEXT:])


def listen(
    detector: SpeechDetector,
    state: TurnState,
    samples: np.ndarray,
    settings: TurnTaking = TurnTaking(),
) -> TurnState:
    """Follow a turn through the next samples, any number of them.

    Args:
        detector: judges each window.
        state: what the call before returned; `TurnState()` for a new turn.
        samples: (N,) float32 at SAMPLE_RATE.
        settings: when a turn begins and ends.

    Returns:
        The new state; once it has ended it changes no more.
    """
    samples = np.concatenate([state.rest, samples])
    judged = 0
    while not state.ended and len(samples) - judged >= WINDOW:
        window = samples[judged : judged + WINDOW]
        probability, memory = detector.probability(window, state.memory)
        state = replace(_advance(state, probability, settings), memory=memory)
        judged += WINDOW
    return replace(state, rest=samples[judged:])


def _advance(state: TurnState, probability: float, settings: TurnTaking) -> TurnState:
    """Count one more window as speech or silence."""
    window_s = WINDOW / SAMPLE_RATE
    speaking = state.speech_s > 0 and state.silence_s == 0
    threshold = settings.end_probability if speaking else settings.start_probability
    if probability >= threshold:
        speech_s = state.speech_s + window_s
        begun = state.begun or speech_s >= settings.min_speech_s
        return replace(state, speech_s=speech_s, silence_s=0.0, begun=begun)
    silence_s = state.silence_s + window_s
    if not state.begun:
        return replace(state, speech_s=0.0, silence_s=silence_s)
    return replace(state, silence_s=silence_s, ended=silence_s >= settings.end_silence_s)


def _model_file() -> Path:
    # Found rather than imported: importing silero_vad would import torch.
    spec = find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPartError(
            "The end of a turn cannot be told without the package silero-vad. "
            "Install it with: pip install -r requirements.txt"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "silero_vad_op18_ifless.onnx"
