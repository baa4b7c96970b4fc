"""How a session is drawn: heard-lines, figures, sounds as files, one message for one message."""

from pathlib import Path

import pytest

from audiochat.audio import decode
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.recording import Reply
from audiochat.turn import Speech, Timings
from audiochat.ui import render
from audiochat.ui.session import Session
from tests.fakes import tone


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (AudioPart(tone(0.1)), ""),
        (AudioPart(tone(0.1), "hi", 0.9), "I heard: “hi”"),
        (AudioPart(tone(0.1), "hi", None), "I heard: “hi”"),
        (AudioPart(tone(0.1), "hi", 0.3), "I heard “hi”, is that right?"),
        (AudioPart(tone(0.1), "hi", 0.3, "high"), "You said: “high”"),
        (AudioPart(tone(0.1), "<b>", 0.9), "I heard: “&lt;b&gt;”"),
    ],
)
def test_heard_line(part: AudioPart, line: str) -> None:
    assert render.heard_line(part) == line


def test_nothing_heard_is_said_with_a_remedy() -> None:
    assert "no words" in render.heard_line(AudioPart(tone(0.1), "", 0.0))


def test_the_view_has_one_message_for_each_and_sound_beside_its_words(tmp_path: Path) -> None:
    question = Message.user("Listen:", AudioPart(tone(1.0), "hello", 0.9))
    conversation = Conversation((question, Message.assistant("Good *day*.")))
    reply = Reply((Speech(tone(0.5, sample_rate=22_050), "Good day.", 0),), Timings())
    session = Session(conversation, (reply,))
    asked, reply = render.messages(session, tmp_path)
    text, sound, heard = asked["content"]
    assert (text, heard) == ("Listen:", "I heard: “hello”")
    assert sound["alt_text"] == "Your recording: hello"
    assert decode(sound["path"]).duration_s == pytest.approx(1.0)
    assert reply["content"][0] == "Good *day*."
    assert reply["content"][1]["alt_text"] == "Spoken reply: Good *day*."


def test_a_sound_is_written_once_and_again_when_it_was_deleted(tmp_path: Path) -> None:
    path = Path(render.sound_file(tone(0.2), tmp_path, "reply"))
    written = path.stat().st_mtime_ns
    assert render.sound_file(tone(0.2), tmp_path, "reply") == str(path)
    assert path.stat().st_mtime_ns == written
    path.unlink()
    render.sound_file(tone(0.2), tmp_path, "reply")
    assert path.exists()


def test_trouble_and_stop_are_said(tmp_path: Path) -> None:
    failed = Session().ask(Message.user("hi")).failed("The model broke.")
    assert render.messages(failed, tmp_path)[-1]["content"] == ["⚠️ The model broke."]
    stopped = Session().ask(Message.user("hi")).written("Half").settled()
    assert "stopped" in render.messages(stopped, tmp_path)[-1]["content"][-1]


def test_what_a_person_types_is_shown_as_typed(tmp_path: Path) -> None:
    session = Session().ask(Message.user("<img src=x onerror=alert(1)>"))
    assert render.messages(session, tmp_path)[0]["content"] == [
        "&lt;img src=x onerror=alert(1)&gt;"
    ]


def test_timing_line_tells_what_happened_and_nothing_else() -> None:
    timings = Timings(None, 412.0, 900.0, 2100.0, 84.6, 120, 80, 30)
    assert render.timing_line(timings) == ("first words after 0.41 s · first sound after 0.90 s")
    assert render.timing_line(timings, whole=True) == (
        "first words after 0.41 s · first sound after 0.90 s · all after 2.10 s · 85 tokens/s · "
        "120 tokens read, 80 of them remembered"
    )
    assert render.timing_line(Timings()) == ""
