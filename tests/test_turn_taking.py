"""Turn taking on the real detector, with speech made by the default voice."""

import math
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from audiochat.audio import SAMPLE_RATE, resample
from audiochat.errors import AudioError
from audiochat.turn_taking import SpeechDetector, TurnState, TurnTaking, listen
from audiochat.voices import load_voice

SILENCE_1S = np.zeros(SAMPLE_RATE, np.float32)


@cache
def speech() -> np.ndarray:
    voice = load_voice("espeak")
    assert voice is not None
    spoken = voice.speak("The quick brown fox jumps over the lazy dog.")
    return resample(spoken.samples, spoken.sample_rate, SAMPLE_RATE)


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector()


def noise(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.003 * rng.standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)


def test_a_turn_begins_with_speech_and_ends_with_silence(detector: SpeechDetector) -> None:
    state = listen(detector, TurnState(), SILENCE_1S)
    assert not state.begun
    state = listen(detector, state, speech())
    assert state.begun
    assert not state.ended
    assert state.speech_s > 1.0
    assert listen(detector, state, SILENCE_1S).ended


def test_noise_never_begins_a_turn(detector: SpeechDetector) -> None:
    state = listen(detector, TurnState(), noise(3.0))
    assert not state.begun
    assert not state.ended


def test_a_short_pause_does_not_end_a_turn(detector: SpeechDetector) -> None:
    pause = noise(0.4)
    state = listen(detector, TurnState(), np.concatenate([speech(), pause, speech()]))
    assert state.begun
    assert not state.ended


@pytest.mark.parametrize("chunk", [100, 512, 1_300, 16_000])
def test_any_cut_gives_the_same_state(detector: SpeechDetector, chunk: int) -> None:
    sound = np.concatenate([noise(0.5), speech(), SILENCE_1S])
    whole = listen(detector, TurnState(), sound)
    state = TurnState()
    for start in range(0, len(sound), chunk):
        state = listen(detector, state, sound[start : start + chunk])
    assert state.ended
    assert state.speech_s == pytest.approx(whole.speech_s)
    assert state.silence_s == pytest.approx(whole.silence_s)


def test_two_people_are_followed_with_one_detector(detector: SpeechDetector) -> None:
    silent, talking = TurnState(), TurnState()
    for start in range(0, len(speech()), 4_000):
        talking = listen(detector, talking, speech()[start : start + 4_000])
        silent = listen(detector, silent, SILENCE_1S[:4_000])
    assert talking.begun
    assert not silent.begun


def test_patience_is_a_setting(detector: SpeechDetector) -> None:
    sound = np.concatenate([speech(), SILENCE_1S])
    assert not listen(detector, TurnState(), sound, TurnTaking(end_silence_s=1.5)).ended


@pytest.mark.parametrize(
    ("setting", "flag", "good", "bad"),
    [
        ("end_silence_s", "--end-silence", [0.2, 10.0], [0.1, -1.0, 11.0, math.nan]),
        ("min_speech_s", "--min-speech", [0.05, 2.0], [0.0, 3.0, math.nan]),
    ],
)
def test_times_out_of_range_are_named_by_their_flag(
    setting: str, flag: str, good: list[float], bad: list[float]
) -> None:
    for value in good:
        assert getattr(TurnTaking(**{setting: value}), setting) == value
    for value in bad:
        with pytest.raises(AudioError, match=f"{flag} must be from"):
            TurnTaking(**{setting: value})


def test_it_needs_no_torch() -> None:
    code = (
        "import sys, audiochat.turn_taking as t; t.SpeechDetector(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
