"""Hands-free talk on the real detector: speech in pieces, as a microphone gives it."""

from functools import cache

import numpy as np
import pytest

from audiochat.audio import SAMPLE_RATE, TURN_LIMITS, resample
from audiochat.hands_free import (
    AFTER_S,
    BEFORE_S,
    HandsFree,
    OpenMicrophone,
    Paused,
    SpeechBegan,
    TurnEnded,
)
from audiochat.turn_taking import SpeechDetector, TurnTaking
from audiochat.voices import load_voice

PIECE = SAMPLE_RATE // 10


@cache
def speech(text: str = "What is the capital of France?") -> np.ndarray:
    voice = load_voice("espeak")
    assert voice is not None
    spoken = voice.speak(text)
    return resample(spoken.samples, spoken.sample_rate, SAMPLE_RATE)


def quiet(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.002 * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector()


def run(detector, *sounds, settings=None, replying=False, piece=PIECE):
    """All events, each with the time in seconds at which it came."""
    microphone, heard = OpenMicrophone(), np.concatenate(sounds)
    events = []
    for start in range(0, len(heard), piece):
        microphone, new = microphone.follow(
            detector, heard[start : start + piece], settings or HandsFree(), replying=replying
        )
        events += [((start + piece) / SAMPLE_RATE, event) for event in new]
    return microphone, events


def kinds(events) -> list[type]:
    return [type(event) for _, event in events]


def test_one_question_is_one_turn(detector) -> None:
    before, after = quiet(1.0), quiet(1.5)
    microphone, events = run(detector, before, speech(), after)
    kept = [event for _, event in events if isinstance(event, TurnEnded)]
    assert kinds(events)[0] is SpeechBegan
    assert len(kept) == 1
    assert not microphone.hearing
    # All of the speech is in the recording, with a little before and behind it.
    longest = BEFORE_S + len(speech()) / SAMPLE_RATE + AFTER_S
    assert kept[0].recording.duration_s == pytest.approx(longest, abs=0.45)
    loud = np.square(kept[0].recording.samples).sum() / np.square(speech()).sum()
    assert loud > 0.98


def test_the_turn_ends_after_the_silence_asked_for(detector) -> None:
    spoken_s = 0.5 + len(speech()) / SAMPLE_RATE
    for patience_s in (0.5, 1.2):
        settings = HandsFree(TurnTaking(end_silence_s=patience_s))
        _, events = run(detector, quiet(0.5), speech(), quiet(2.0), settings=settings)
        (ended_s,) = [at for at, event in events if isinstance(event, TurnEnded)]
        # The voice itself ends with some silence, which counts.
        assert spoken_s - 0.4 < ended_s - patience_s < spoken_s + 0.3


def test_what_was_told_of_at_the_pause_is_the_turn_itself(detector) -> None:
    for piece in (PIECE, 700, 4096):
        _, events = run(detector, quiet(0.5), speech(), quiet(1.5), piece=piece)
        paused = [event.recording for _, event in events if isinstance(event, Paused)]
        (ended,) = [event.recording for _, event in events if isinstance(event, TurnEnded)]
        assert paused[-1].digest == ended.digest


def test_a_pause_for_thought_does_not_end_the_turn(detector) -> None:
    settings = HandsFree(TurnTaking(end_silence_s=1.0))
    _, events = run(
        detector, quiet(0.5), speech(), quiet(0.5), speech(), quiet(1.5), settings=settings
    )
    assert kinds(events).count(TurnEnded) == 1
    assert kinds(events).count(SpeechBegan) == 1
    assert kinds(events).count(Paused) == 2
    (ended,) = [event.recording for _, event in events if isinstance(event, TurnEnded)]
    assert ended.duration_s > 2 * len(speech()) / SAMPLE_RATE


def test_two_questions_are_two_turns(detector) -> None:
    _, events = run(detector, quiet(0.5), speech(), quiet(1.5), speech(), quiet(1.5))
    assert kinds(events).count(TurnEnded) == 2


def test_noise_and_clicks_open_no_turn(detector) -> None:
    rng = np.random.default_rng(1)
    loud = (0.05 * rng.standard_normal(4 * SAMPLE_RATE)).astype(np.float32)
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[8000:8400] = 0.8
    microphone, events = run(detector, loud, click, quiet(1.0), click)
    assert events == []
    assert len(microphone.samples) <= (BEFORE_S + 0.3) * SAMPLE_RATE  # nothing piles up


def test_while_a_reply_sounds_nothing_is_heard_unless_asked_for(detector) -> None:
    microphone, events = run(detector, quiet(0.5), speech(), quiet(1.5), replying=True)
    assert events == []
    assert not len(microphone.samples)


def test_speaking_up_stops_a_reply_after_a_quarter_of_a_second(detector) -> None:
    settings = HandsFree(barge_in=True)
    _, events = run(detector, quiet(1.0), speech(), quiet(1.5), settings=settings, replying=True)
    at, first = events[0]
    assert isinstance(first, SpeechBegan)
    assert 1.25 <= at < 1.25 + 0.35
    assert kinds(events)[-1] is TurnEnded


def test_a_short_sound_stops_no_reply(detector) -> None:
    settings = HandsFree(barge_in=True)
    blip = speech()[2000 : 2000 + round(0.15 * SAMPLE_RATE)]
    _, events = run(detector, quiet(0.5), blip, quiet(1.0), settings=settings, replying=True)
    assert events == []


def test_a_turn_without_end_is_cut_at_the_limit(detector) -> None:
    talk = speech("One two three four five six seven eight nine ten eleven twelve.")
    repeats = round(TURN_LIMITS.max_s * SAMPLE_RATE / len(talk)) + 2
    settings = HandsFree(TurnTaking(end_silence_s=3.0))
    _, events = run(detector, *[talk] * repeats, settings=settings, piece=SAMPLE_RATE)
    ended = [event.recording for _, event in events if isinstance(event, TurnEnded)]
    assert ended[0].duration_s == TURN_LIMITS.max_s
