"""The layout in time: captions in order, at words, with their sound; what is shown for whom."""

import random
from itertools import pairwise

import numpy as np
import pytest

from audiochat.conversation import AudioPart, Conversation, Message, TimedWord
from audiochat.recording import Recording, Reply
from audiochat.recording.sound_track import encoded, mixed
from audiochat.recording.timeline import (
    GAP_S,
    MAX_CUE_CHARS,
    MIN_CUE_S,
    NO_WORDS_HEARD,
    STOPPED,
    Timeline,
    caption_lines,
    lay_out,
)
from tests.fakes import tone
from tests.recording.samples import sample, spoken, typed


def recording_of(question: Message, answer: Message | None = None, *replies: Reply) -> Recording:
    return Recording(Conversation((question, *([answer] if answer else []))), replies)


def check(timeline: Timeline) -> None:
    """What holds for every timeline."""
    for cue in timeline.cues:
        assert 0 < len(cue.text) <= MAX_CUE_CHARS
        assert cue.end_s - cue.start_s >= MIN_CUE_S - 0.0011
        assert "\n" not in cue.text
    for one, following in pairwise(timeline.cues):
        assert one.end_s <= following.start_s
    for one, following in pairwise(timeline.spans):
        assert one.end_s + GAP_S == pytest.approx(following.start_s, abs=0.001)
    for span in timeline.spans:
        for sound in span.sounds:
            assert span.start_s <= sound.start_s
            assert sound.start_s + sound.waveform.duration_s <= span.end_s + 1e-9
    assert timeline.duration_s >= timeline.spans[-1].end_s


def test_every_message_has_its_time() -> None:
    timeline = lay_out(sample())
    check(timeline)
    assert [span.role for span in timeline.spans] == ["user", "assistant"] * 3 + ["user"]
    assert all(span.cues for span in timeline.spans)


def test_captions_of_a_question_follow_its_words() -> None:
    words = (("one", 0.2), ("two", 0.5), ("x" * 70, 2.0), ("y" * 40, 4.0))
    timed = tuple(TimedWord(text, start, start + 0.3) for text, start in words)
    part = AudioPart(tone(5.0), " ".join(text for text, _ in words), 0.9, None, timed)
    cues = lay_out(recording_of(Message.user(part))).cues
    told = [(round(cue.start_s - GAP_S, 3), cue.text) for cue in cues]
    assert told == [(0.2, "one two " + "x" * 70), (4.0, "y" * 40)]
    assert cues[0].end_s == pytest.approx(GAP_S + 2.9)


@pytest.mark.parametrize(
    "times",
    [[(3.0, 3.1), (1.0, 1.1)], [(0.5, 0.5), (0.5, 0.5)], [(90.0, 99.0), (99.0, 99.5)]],
    ids=["backwards", "no time", "behind the sound"],
)
def test_word_times_that_make_no_sense_are_not_used(times: list[tuple[float, float]]) -> None:
    texts = ("a" * 60, "b" * 60)
    timed = tuple(TimedWord(text, *time) for text, time in zip(texts, times, strict=True))
    part = AudioPart(tone(4.0), " ".join(texts), 0.9, None, timed)
    timeline = lay_out(recording_of(Message.user(part)))
    check(timeline)
    assert [cue.end_s for cue in timeline.cues] == pytest.approx([GAP_S + 2, GAP_S + 4], abs=0.01)


def test_captions_of_a_reply_follow_its_pieces() -> None:
    pieces = spoken(("The first piece.", 1.0), ("The second one.", 2.0))
    reply = Message.assistant("The first piece. The second one.")
    span = lay_out(recording_of(Message.user("?"), reply, Reply(pieces))).spans[1]
    starts = [round(cue.start_s - span.start_s, 3) for cue in span.cues]
    assert starts == [0.0, 1.0]
    assert [sound.start_s - span.start_s for sound in span.sounds] == pytest.approx([0.0, 1.0])
    assert span.end_s - span.start_s == pytest.approx(3.0, abs=0.001)


def texts_of(reply: Message, *pieces: tuple[str, float]) -> list[str]:
    recording = recording_of(Message.user("?"), reply, Reply(spoken(*pieces)))
    return [cue.text for cue in lay_out(recording).spans[1].cues]


def test_what_the_voice_did_not_say_is_shown_after_it() -> None:
    reply = Message.assistant("It is *Paris*. “More” of it, in text.")
    assert texts_of(reply, ("It is Paris.", 1.0)) == ["It is Paris.", "More” of it, in text."]
    assert texts_of(reply) == ["It is *Paris*. “More” of it, in text."]


def test_a_reply_voiced_whole_is_shown_once() -> None:
    reply = Message.assistant("See [the page](http://x.y). `Done`")
    assert texts_of(reply, ("See the page. Done", 1.0)) == ["See the page. Done"]
    # A sound without its text takes that of the reply.
    assert texts_of(Message.assistant("All of it."), ("", 1.0)) == ["All of it."]


def test_a_stopped_reply_says_so() -> None:
    reply = Message.assistant("It goes on and on", stopped=True)
    assert texts_of(reply, ("It goes", 0.5)) == [f"It goes {STOPPED}"]
    assert texts_of(Message.assistant("", stopped=True)) == [STOPPED]


def test_corrected_words_are_shown_and_missing_ones_named() -> None:
    sound = tone(1.0)
    corrected = AudioPart(sound, "sea", 0.9, "see", (TimedWord("sea", 0.0, 0.5),))
    span = lay_out(recording_of(Message.user(corrected, AudioPart(sound)))).spans[0]
    assert [cue.text for cue in span.cues] == ["see", NO_WORDS_HEARD]


def test_typed_words_stay_to_be_read() -> None:
    short, long = lay_out(typed("Hi.", "x" * 60)).spans
    assert short.end_s - short.start_s == pytest.approx(1.2)
    assert long.end_s - long.start_s == pytest.approx(4.0)


def test_captions_are_cut_at_words_and_even() -> None:
    text = "word " * 17 + "end."
    lines = caption_lines(text)
    assert " ".join(lines) == text
    assert [len(line) for line in lines] == [44, 44]
    assert caption_lines("a" * 200) == ["a" * 67, "a" * 67, "a" * 66]
    assert caption_lines("a\x1b[31m b\ud800c") == ["a [31m b c"]
    assert caption_lines(" \n ") == []


@pytest.mark.parametrize("seed", range(20))
def test_any_conversation_has_its_captions_in_order(seed: int) -> None:
    draw = random.Random(seed)

    def text() -> str:
        lengths = [draw.choice([1, 3, 8, 90]) for _ in range(draw.randint(1, 60))]
        return " ".join("x" * length for length in lengths)

    def words() -> tuple[TimedWord, ...]:
        times = [draw.uniform(-0.5, 3.0) for _ in range(draw.randint(0, 40))]
        times = sorted(times) if draw.random() < 0.7 else times
        return tuple(TimedWord("y" * draw.randint(1, 12), t, t + 0.1) for t in times)

    messages: list[Message] = []
    replies = []
    for _ in range(draw.randint(1, 4)):
        sound = tone(draw.uniform(0.0, 2.0))
        part = AudioPart(sound, text(), 0.9, draw.choice([None, text()]), words())
        messages.append(Message.user(text(), part))
        messages.append(Message("assistant", (text(),), stopped=draw.random() < 0.3))
        pieces = [(text(), draw.choice([0.0, 0.01, 1.0])) for _ in range(draw.randint(0, 3))]
        replies.append(Reply(spoken(*pieces)))
    check(lay_out(Recording(Conversation(tuple(messages)), tuple(replies))))


def test_the_track_holds_each_voice_at_its_time() -> None:
    recording = sample()
    timeline = lay_out(recording)
    track, rate = mixed(timeline)
    assert rate == 24_000
    assert len(track) == round(timeline.duration_s * rate)
    for span in timeline.spans:
        part = track[round(span.start_s * rate) : round(span.end_s * rate)]
        own, other = part.T if span.role == "user" else part.T[::-1]
        assert bool(np.abs(own).max() > 5_000) is bool(span.sounds)
        assert np.abs(other).max() == 0
    assert encoded(timeline)[:4] == b"fLaC"


def test_a_typed_conversation_has_a_silent_track() -> None:
    track, rate = mixed(lay_out(typed("Hi.", "Hello.")))
    assert (np.abs(track).max(), rate) == (0, 16_000)
