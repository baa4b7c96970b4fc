"""The port of the reply's voices, and what every engine does to text before and sound after.

It knows no engine: `audiochat.voices` has the table of them.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

import numpy as np

from audiochat.audio import Waveform
from audiochat.errors import VoiceError

MAX_TEXT_CHARS = 5_000
"""A piece of a reply is a sentence; this is some five minutes of speech."""

FACTOR_RANGE = (0.5, 2.0)
"""Speed and pitch outside it are not understood any more."""

_SILENT_PEAK = 10 ** (-80 / 20)
_LEAD_S = 0.01
"""Kept before the first sound: consonants begin softly."""
_INAUDIBLE = 10 ** (-40 / 20)  # under the peak: the end of a word is above it
_PAUSE_S = 0.1
_SENTENCE_PAUSE_S = 0.25  # the next piece is played right behind this one
_NOTHING_S = 0.05

_SPOKEN_SYMBOLS = "°©®™"  # category So, like the emoji
_DROPPED_CATEGORIES = frozenset({"Cf", "Cs", "Co", "Cn", "So", "Sk", "Me"})
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f]")


@dataclass(frozen=True)
class VoiceStyle:
    """How a reply is spoken. An engine that cannot change one of them leaves it as it is."""

    voice: str = ""
    """One of the engine's `voices()`; empty for the one it was loaded with."""

    speed: float = 1.0
    """Times the engine's own speed, within FACTOR_RANGE."""

    pitch: float = 1.0
    """Times the voice's own pitch, within FACTOR_RANGE."""

    def __post_init__(self) -> None:
        """Check the factors.

        Raises:
            VoiceError: speed or pitch is out of range, or not a number.
        """
        low, high = FACTOR_RANGE
        for name, value in (("speed", self.speed), ("pitch", self.pitch)):
            if not low <= value <= high:
                raise VoiceError(f"The voice's {name} is {value}: give one from {low} to {high}.")


DEFAULT_STYLE = VoiceStyle()
"""An engine's own voice, at its own speed and pitch."""


class Voice(Protocol):
    """A speech synthesiser. Several threads may call `speak`; it takes one after the other."""

    name: str

    def voices(self) -> list[str]:
        """The names that `VoiceStyle.voice` takes, the recommended ones first."""
        ...

    def speak(self, text: str, style: VoiceStyle = DEFAULT_STYLE) -> Waveform:
        """Say the text, at the engine's own sample rate.

        A text with nothing to say in it (empty, punctuation, emoji) gives a moment of silence.

        Raises:
            VoiceError: the text is too long, the voice is unknown, or the engine failed.
        """
        ...

    def close(self) -> None:
        """Give the engine's memory back; it does not speak any more."""
        ...


def pronounceable(text: str) -> str:
    """The text as a synthesiser can take it: one line, without control characters or emoji.

    Markdown is the business of `audiochat.sentences`.

    Returns:
        The text, or "" where it has no letter or digit.

    Raises:
        VoiceError: the text is longer than MAX_TEXT_CHARS.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise VoiceError(
            f"The text has {len(text)} characters, and a voice takes {MAX_TEXT_CHARS} at a time: "
            "give it in pieces."
        )
    kept = "".join(
        " " if unicodedata.category(char) == "Cc" else char
        for char in _VARIATION_SELECTORS.sub("", text)
        if char in _SPOKEN_SYMBOLS or unicodedata.category(char) not in _DROPPED_CATEGORIES
    )
    return " ".join(kept.split()) if any(char.isalnum() for char in kept) else ""


def spoken(samples: np.ndarray, sample_rate: int, text: str) -> Waveform:
    """Make a Waveform of what an engine gave: (N,) floats, clipped, with a fitting pause behind.

    The silence at the end is cut and replaced by a short one, longer behind a whole sentence; that
    at the beginning is cut, as the person waits for it.

    Raises:
        VoiceError: the engine gave nothing audible, or values that are no sound.
    """
    if not np.isfinite(samples).all():
        raise VoiceError("The voice made no sound of this text: its model gave invalid values.")
    level = np.abs(samples)
    peak = level.max(initial=0.0)
    if peak < _SILENT_PEAK:
        raise VoiceError(f"The voice stayed silent on {text[:40]!r}: try another voice.")
    sentence = text.rstrip("\"')]”’").endswith((".", "!", "?", "…"))
    pause_s = _SENTENCE_PAUSE_S if sentence else _PAUSE_S
    pause = np.zeros(round(pause_s * sample_rate), np.float32)
    audible = np.flatnonzero(level > _INAUDIBLE * peak)
    begin, end = max(0, audible[0] - round(_LEAD_S * sample_rate)), audible[-1] + 1
    voiced = np.clip(samples[begin:end], -1.0, 1.0)
    return Waveform(np.concatenate([voiced, pause], dtype=np.float32), sample_rate)


def nothing_spoken(sample_rate: int) -> Waveform:
    """A moment of silence: what a text with nothing to say in it sounds like."""
    return Waveform(np.zeros(round(_NOTHING_S * sample_rate), np.float32), sample_rate)


def near_names(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: " Did you mean ...?", or ""."""
    by_lower = {known.lower(): known for known in names}
    near = [by_lower[key] for key in get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)]
    return f" Did you mean {' or '.join(near)}?" if near else ""
