"""Written text to words said."""

import pytest

from audiochat.speech_data.spoken_form import spoken_form, tidy


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It's 9:30, Mr. Fox.", "It's nine thirty, Mister Fox."),
        ("I owe $6.50.", "I owe six dollars and fifty cents."),
        ("That is $1 or £2.", "That is one dollar or two pounds."),
        ("On the 21st, 50% came.", "On the twenty-first, fifty percent came."),
        ("Who won in 2018?", "Who won in twenty eighteen?"),
        ("Call 5551234.", "Call five five five one two three four."),
        ("about 1,200 lbs", "about one thousand two hundred pounds"),
        ("Pi is 3.14.", "Pi is three point one four."),
        ("at 6pm today", "at six p m today"),
        ("I am here", "I am here"),
        ("He said, \u2018No\u2019; then left…", "He said, No, then left."),
        ("salt & pepper", "salt and pepper"),
        ("see you at 8:00", "see you at eight o'clock"),
        ("8:05 sharp", "eight oh five sharp"),
        ("", ""),
        ("***", ""),
    ],
)
def test_said_as_a_reader_would(written: str, said: str) -> None:
    assert spoken_form(written) == said


def test_nothing_unspeakable_is_left() -> None:
    said = spoken_form("Ünïcode 日本 ~ [x] <y> {z} #1 @home 3/4 $5 2nd ¿qué?")
    assert all(c.isascii() and (c.isalpha() or c in " ',.?!-") for c in said)


@pytest.mark.parametrize(
    ("rough", "neat"),
    [
        ("what time is it", "What time is it?"),
        ("turn the lights off", "Turn the lights off."),
        ("i'm sure i can", "I'm sure I can."),
        ("Already done!", "Already done!"),
        ("  spaced   out ", "Spaced out."),
        ("", ""),
    ],
)
def test_tidy(rough: str, neat: str) -> None:
    assert tidy(rough) == neat
