"""The session as a value: each button, and that what is kept and what is shown agree."""

import pytest

from audiochat.backends.base import Heard
from audiochat.conversation import Message
from audiochat.errors import ConversationError
from audiochat.turn import Speech, Timings
from audiochat.ui.session import STOPPED_EARLY, Session
from tests.fakes import tone


def answered(session: Session, question: Message | str, reply: str) -> Session:
    message = question if isinstance(question, Message) else Message.user(question)
    session = session.ask(message).written(reply).voiced(Speech(tone(0.2), reply, 0))
    return session.answered(session.question.add(Message.assistant(reply)), Timings(total_ms=1.0))


def texts(session: Session) -> list[str]:
    return [message.text for message in session.shown]


@pytest.fixture
def two_turns() -> Session:
    session = answered(Session(), "one", "first reply")
    spoken = session.ask(Message.user(tone(1.0))).heard(Heard("two", 0.5, 2, 0))
    spoken = spoken.written("second reply")
    return spoken.answered(spoken.question.add(Message.assistant("second reply")), Timings())


def test_a_turn_is_shown_while_it_is_answered() -> None:
    session = Session().ask(Message.user("hello"))
    assert session.waiting
    assert texts(session) == ["hello"]
    assert texts(session.written("Good").written(" day")) == ["hello", "Good day"]
    assert session.conversation.messages == ()


def test_an_answered_turn_waits_for_nothing(two_turns: Session) -> None:
    assert not two_turns.waiting
    assert texts(two_turns) == ["one", "first reply", "two", "second reply"]
    assert [note.speech is None for note in two_turns.notes] == [False, True]


def test_stop_keeps_what_is_written_and_marks_it() -> None:
    session = Session().ask(Message.user("hello")).written("Half a ").settled()
    assert session.conversation.messages[-1] == Message.assistant("Half a", stopped=True)
    assert not session.waiting
    assert session.settled() is session


def test_a_recording_holds_every_reply_as_it_sounded(two_turns: Session) -> None:
    recording = two_turns.recording("Echo")
    assert recording.conversation == two_turns.conversation
    assert recording.model == "Echo"
    spoken, silent = recording.replies
    assert [(piece.text, piece.waveform) for piece in spoken.pieces] == [("first reply", tone(0.2))]
    assert silent.speech is None


def test_a_recording_keeps_a_turn_that_broke_off(two_turns: Session) -> None:
    broken = two_turns.ask(Message.user("three")).written("Half a ")
    broken = broken.voiced(Speech(tone(0.2), "Half a", 0))
    assert broken.recording("").conversation.messages[-1] == Message.assistant(
        "Half a", stopped=True
    )
    assert broken.recording("").replies[-1].speech == tone(0.2)
    unanswered = two_turns.ask(Message.user("three")).failed("It broke.")
    assert unanswered.recording("").conversation.messages[-1] == Message.user("three")
    with pytest.raises(ConversationError, match="Nothing was said"):
        Session().recording("")


def test_an_interrupted_reply_keeps_what_was_said_of_it() -> None:
    reply = "# Tones\n\n* A tone is a sound.\n* It has a pitch."
    session = Session().ask(Message.user("what is a tone")).written(reply)
    for number, text in enumerate(("Tones", "A tone is a sound.", "It has a pitch.")):
        session = session.voiced(Speech(tone(0.2), text, number))
    whole = session.answered(session.question.add(Message.assistant(reply)), None)
    cut = whole.interrupted(2)
    assert cut.conversation.messages[-1].text == "# Tones\n\n* A tone is a sound."
    assert cut.conversation.messages[-1].stopped
    assert len(cut.notes[-1].pieces) == 2
    for n_pieces in (0, 3, 99):
        assert whole.interrupted(n_pieces) == whole
    # Stopped while it was written, with more written than voiced.
    broken = session.written(" It has a colour too").settled()
    assert broken.interrupted(3).conversation.messages[-1].text == reply
    assert broken.interrupted(0) == broken
    assert Session().interrupted(1) == Session()


def test_stop_before_an_answer_leaves_the_question_to_be_retried() -> None:
    session = Session().ask(Message.user("hello")).settled()
    assert session.trouble == STOPPED_EARLY
    assert session.conversation.messages == ()
    assert session.retry().waiting
    assert texts(session.retry()) == ["hello"]


def test_a_failure_leaves_the_conversation_as_it_was(two_turns: Session) -> None:
    failed = two_turns.ask(Message.user("three")).written("Hal").failed("It broke.")
    assert failed.conversation == two_turns.conversation
    assert texts(failed)[-2:] == ["three", "Hal"]
    assert not failed.waiting
    following = failed.ask(Message.user("four"))
    assert texts(following)[4:] == ["four"]
    assert following.trouble == ""


def test_retry_asks_the_last_turn_again(two_turns: Session) -> None:
    again = two_turns.retry()
    assert again.waiting
    assert texts(again) == ["one", "first reply", "two"]
    assert len(again.notes) == 1
    assert again.anew
    assert not again.ask(Message.user("three")).anew
    assert again.failed("no").retry().anew  # the reply that was not wanted is not given now
    assert not two_turns.ask(Message.user("three")).failed("no").retry().anew


def test_undo_takes_back_one_turn_or_the_unanswered_one(two_turns: Session) -> None:
    assert texts(two_turns.undo()) == ["one", "first reply"]
    assert texts(two_turns.undo().undo()) == []
    assert texts(two_turns.ask(Message.user("three")).failed("no").undo()) == texts(two_turns)
    with pytest.raises(ConversationError):
        Session().undo()


def test_edit_replaces_a_message_and_drops_what_follows(two_turns: Session) -> None:
    edited = two_turns.edit(0, "uno")
    assert texts(edited) == ["uno"]
    assert edited.waiting
    assert edited.notes == ()
    unanswered = two_turns.ask(Message.user("three")).failed("no").edit(4, "drei")
    assert texts(unanswered)[4:] == ["drei"]


def test_correct_keeps_the_sound_and_asks_with_the_right_words(two_turns: Session) -> None:
    assert two_turns.last_spoken == 2
    assert two_turns.last_words == "two"
    corrected = two_turns.correct("too")
    assert corrected.waiting
    part = corrected.asked.audio_parts[0]
    assert (part.heard, part.corrected) == ("two", "too")
    assert texts(corrected) == ["one", "first reply", "too"]


def test_correct_works_on_a_turn_that_has_no_answer(two_turns: Session) -> None:
    failed = two_turns.ask(Message.user(tone(0.5))).heard(Heard("tree", 0.2, 4, 0)).failed("no")
    assert texts(failed.correct("three"))[4:] == ["three"]


def test_correct_refuses_what_is_no_recording() -> None:
    typed = answered(Session(), "one", "reply")
    assert typed.last_spoken is None
    with pytest.raises(ConversationError, match="no recording"):
        typed.correct("uno")


def test_clear_forgets_everything_but_the_system_prompt(two_turns: Session) -> None:
    assert two_turns.cleared() == Session()


def test_every_button_settles_a_running_turn_first(two_turns: Session) -> None:
    running = two_turns.ask(Message.user("three")).written("Some")
    assert texts(running.undo()) == texts(two_turns)
    assert texts(running.ask(Message.user("four")))[4:] == ["three", "Some", "four"]
    assert texts(running.retry())[4:] == ["three"]
