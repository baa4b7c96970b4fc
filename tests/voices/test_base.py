"""What every engine does to text before, and to sound after."""

import numpy as np
import pytest

from audiochat.errors import VoiceError
from audiochat.voices.base import (
    MAX_TEXT_CHARS,
    VoiceStyle,
    near_names,
    nothing_spoken,
    pronounceable,
    spoken,
)

RATE = 22_050


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Plain text, as it is.", "Plain text, as it is."),
        ("5 * 3 is 15, C# is snake_case", "5 * 3 is 15, C# is snake_case"),
        ("A party 🎉👩‍👩‍👧👍🏽 now", "A party now"),
        ("20 °C, Coqui™", "20 °C, Coqui™"),
        ("a\x00b\nc\u200bd\ud800e", "a b cde"),
        ("Привет, 你好", "Привет, 你好"),
        ("1️⃣ first", "1 first"),
    ],
)
def test_emoji_and_control_characters_are_not_spoken(text: str, said: str) -> None:
    assert pronounceable(text) == said


@pytest.mark.parametrize("text", ["", " \n", "...", "—", "🎉", "?!", "\x00", "***"])
def test_a_text_without_letters_or_digits_is_nothing_to_say(text: str) -> None:
    assert pronounceable(text) == ""


def test_a_text_beyond_the_limit_is_refused_with_the_limit() -> None:
    assert pronounceable("a" * MAX_TEXT_CHARS)
    with pytest.raises(VoiceError, match=f"{MAX_TEXT_CHARS} at a time"):
        pronounceable("a" * (MAX_TEXT_CHARS + 1))


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.49, 2.01, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["speed", "pitch"])
def test_a_factor_out_of_range_is_named(name: str, factor: float) -> None:
    with pytest.raises(VoiceError, match=name):
        VoiceStyle(**{name: factor})


def tone(seconds: float, level: float = 0.5) -> np.ndarray:
    """A sine of 440 Hz."""
    return level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize("level", [0.5, 0.005])
@pytest.mark.parametrize(("text", "pause_s"), [("One,", 0.1), ("One.", 0.25), ("“One!”", 0.25)])
def test_the_silence_behind_is_the_pause_of_the_text(
    text: str, pause_s: float, level: float
) -> None:
    samples = np.concatenate([tone(1.0, level), np.zeros(RATE)])
    waveform = spoken(samples, RATE, text)
    assert waveform.duration_s == pytest.approx(1.0 + pause_s, abs=0.01)
    assert waveform.sample_rate == RATE
    assert waveform.samples.dtype == np.float32


def test_too_loud_is_clipped_and_what_is_no_sound_is_refused() -> None:
    assert np.abs(spoken(tone(0.1, 3.0), RATE, "a").samples).max() == 1.0
    for broken in (np.zeros(RATE), np.zeros(0), np.full(RATE, np.nan), np.full(RATE, np.inf)):
        with pytest.raises(VoiceError):
            spoken(broken, RATE, "a")


def test_nothing_spoken_is_a_moment_of_silence() -> None:
    waveform = nothing_spoken(RATE)
    assert 0 < waveform.duration_s < 0.1
    assert not waveform.samples.any()


def test_near_names_are_offered_whatever_their_case() -> None:
    assert near_names("annie", ["Annie", "f1"]) == " Did you mean Annie?"
    assert near_names("zzz", ["Annie", "f1"]) == ""
