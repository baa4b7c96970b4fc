"""Captions as files: times, speakers, and words that no player takes for tags."""

import re

import pytest

from audiochat.recording.captions import clock, srt, transcript, vtt
from audiochat.recording.timeline import lay_out
from tests.recording.samples import sample, typed

TIMES = re.compile(r"(\d\d):(\d\d):(\d\d)[.,](\d{3}) --> (\d\d):(\d\d):(\d\d)[.,](\d{3})")


def test_vtt_names_the_speaker_of_each_caption() -> None:
    text = vtt(lay_out(typed("Is a < b && b > c?", "Yes.")))
    head, *blocks = text.rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    assert blocks[0] == ("00:00:00.400 --> 00:00:01.600\n<v You>Is a &lt; b &amp;&amp; b &gt; c?")
    assert blocks[1].endswith("\n<v Assistant>Yes.")


def test_srt_counts_its_captions() -> None:
    blocks = srt(lay_out(typed("One <i>two</i> {\\an8}", "Yes."))).rstrip("\n").split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == ["1", "2"]
    assert blocks[0].split("\n")[1] == "00:00:00,400 --> 00:00:01,800"
    # The tags are still to be read, but none of them is one.
    assert not re.search(r"<\w|</|{\\", blocks[0])
    assert blocks[0].replace("\u200b", "").endswith("You: One <i>two</i> {\\an8}")


@pytest.mark.parametrize("form", [vtt, srt])
def test_no_words_can_end_a_caption_or_begin_one(form) -> None:
    said = "One\n\n99\n00:00:00.000 --> 00:01:00.000\nTwo"
    timeline = lay_out(typed(said, "Yes."))
    assert len(TIMES.findall(form(timeline))) <= len(timeline.cues) + 1
    assert form(timeline).count("\n\n") == len(timeline.cues) - (form is srt)


def test_the_transcript_is_the_conversation_to_read() -> None:
    recording = sample()
    lines = transcript(recording, lay_out(recording)).splitlines()
    assert lines[:3] == ["A conversation with Echo <b>", "2026-11-23 07:30 UTC", ""]
    assert lines[3] == "[0:00] You: What is it?"
    assert lines[4] == "[0:02] Assistant: A **test**. Of all kinds."
    assert "You: Listen: See the moon. (no words were heard)" in lines[7]
    assert lines[8].endswith("Assistant: It was going to be a long (stopped)")
    assert len(lines) == 3 + len(recording.conversation.messages)


def test_long_times() -> None:
    assert [clock(0), clock(59.99), clock(3_725)] == ["0:00", "0:59", "62:05"]
