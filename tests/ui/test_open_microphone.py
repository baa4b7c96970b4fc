"""What the open microphone's sound becomes on the server: turns, refusals, hearing ahead."""

from base64 import b64encode
from functools import cache

import numpy as np
import pytest

from audiochat.audio import SAMPLE_RATE, Waveform, resample, to_int16
from audiochat.errors import AudioError
from audiochat.hands_free import BEFORE_S
from audiochat.ui.open_microphone import MAX_PIECE_S, MAX_VISITORS, OpenMicrophones
from audiochat.voices import load_voice


@cache
def question(rate: int = SAMPLE_RATE) -> np.ndarray:
    """Half a second of quiet, a question, and a second and a half of quiet."""
    voice = load_voice("espeak")
    assert voice is not None
    spoken = voice.speak("Where is the river?")
    samples = resample(spoken.samples, spoken.sample_rate, rate)
    quiet = np.zeros(rate // 2, np.float32)
    return np.concatenate([quiet, samples, quiet, quiet, quiet])


def sent(sound: np.ndarray, rate: object = SAMPLE_RATE, **changes: object) -> dict[str, object]:
    encoded = b64encode(to_int16(Waveform(sound)).tobytes()).decode()
    piece = {"visitor": "a", "tab": "t", "first": 0, "samples": encoded, "rate": rate}
    return {**piece, "replying": False, "bargeIn": False, "endSilence": 0.8, **changes}


def talk(microphones: OpenMicrophones, rate: int = SAMPLE_RATE, **changes: object) -> list[dict]:
    """Send the question in tenths of a second; give all answers."""
    sound, piece = question(rate), rate // 10
    return [
        microphones.listen(sent(sound[at : at + piece], rate, first=at, **changes))
        for at in range(0, len(sound), piece)
    ]


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_a_question_becomes_a_turn_at_any_rate(rate: int) -> None:
    told: list[tuple[str, Waveform]] = []
    microphones = OpenMicrophones(lambda *whose: told.append(whose))
    answers = talk(microphones, rate)
    assert [answer["turn"] for answer in answers if "turn" in answer] == [1]
    assert sum(answer["began"] for answer in answers) == 1
    turn = microphones.take("a", "1")
    assert turn.sample_rate == SAMPLE_RATE
    # It was heard ahead to the sample, so that the answer need not hear it again.
    tab, ahead = told[-1]
    assert (tab, ahead.digest) == ("t", turn.digest)
    # Resampled in pieces it is what it is in one: no seams.
    whole = resample(question(rate), rate, SAMPLE_RATE)
    places = np.correlate(whole, turn.samples, "valid")
    start = int(np.argmax(places))
    assert start / SAMPLE_RATE < 0.5 + BEFORE_S
    cut = whole[start : start + len(turn.samples)]
    assert np.abs(cut - turn.samples).max() < 0.02


def test_a_turn_is_given_once() -> None:
    microphones = OpenMicrophones(lambda *_: None)
    talk(microphones)
    microphones.take("a", "1")
    with pytest.raises(AudioError, match="say it again"):
        microphones.take("a", "1")
    with pytest.raises(AudioError, match="say it again"):
        microphones.take("nobody", "1")
    with pytest.raises(AudioError, match="say it again"):
        microphones.take("a", "9" * 5_000)


def test_sound_whose_answer_was_lost_is_followed_once_and_answered_again() -> None:
    microphones = OpenMicrophones(lambda *_: None)
    sound, answers = question(), []
    for at in range(0, len(sound), 2400):
        microphones.listen(sent(sound[at : at + 1600], first=at))  # its answer is lost
        answers.append(microphones.listen(sent(sound[at : at + 2400], first=at)))
    assert [answer["turn"] for answer in answers if "turn" in answer] == [1]
    assert any(answer["began"] for answer in answers)
    turn = microphones.take("a", "1")
    start = int(np.argmax(np.correlate(sound, turn.samples, "valid")))
    assert np.abs(sound[start : start + len(turn.samples)] - turn.samples).max() < 1e-3


def test_turns_are_taken_by_their_names() -> None:
    microphones = OpenMicrophones(lambda *_: None)
    sound = question()
    for at in range(0, 2 * len(sound), 1600):
        microphones.listen(sent(np.concatenate([sound, sound])[at : at + 1600], first=at))
    second, first = microphones.take("a", "2"), microphones.take("a", "1")
    assert first.duration_s == pytest.approx(second.duration_s, abs=0.3)
    assert first.digest != second.digest


def test_visitors_are_apart_and_bounded() -> None:
    microphones = OpenMicrophones(lambda *_: None)
    talk(microphones, visitor="one")
    for number in range(MAX_VISITORS - 1):
        microphones.listen(sent(np.zeros(1600, np.float32), visitor=f"v{number}"))
    assert microphones.take("one", "1").duration_s > 0.5
    microphones.listen(sent(np.zeros(1600, np.float32), visitor="last"))
    with pytest.raises(AudioError):
        microphones.take("one", "1")


QUIET = np.zeros(1600, np.float32)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        "text",
        sent(QUIET, samples="not base64!"),
        sent(QUIET, samples=b64encode(b"odd").decode()),
        sent(QUIET, samples=7),
        sent(QUIET, rate=0),
        sent(QUIET, rate=-16_000),
        sent(QUIET, rate="fast"),
        sent(QUIET, rate=10**12),
        sent(QUIET, rate=float("inf")),
        sent(QUIET, endSilence=float("nan")),
        sent(QUIET, endSilence="long"),
        sent(QUIET, visitor=""),
        sent(QUIET, visitor="v" * 100),
        sent(np.zeros(round((MAX_PIECE_S + 1) * SAMPLE_RATE), np.float32)),
    ],
)
def test_what_the_page_would_not_send_is_refused_in_words(bad: object) -> None:
    microphones = OpenMicrophones(lambda *_: None)
    assert microphones.listen(bad)["trouble"].endswith((".", "used."))
    assert talk(microphones)[-1] == {"state": "listening", "began": False}
