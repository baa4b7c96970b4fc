"""A conversation is a value: each change gives a new one, and never an impossible one."""

import copy
import itertools
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from audiochat import prompts
from audiochat.audio import Waveform
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import ConversationError

CLIP = Waveform(np.linspace(-0.5, 0.5, 8_000, dtype=np.float32))
OTHER_CLIP = Waveform(np.zeros(8_000, np.float32))


def talk(n_turns: int) -> Conversation:
    """Turns of question and reply, every second question spoken."""
    conversation = Conversation()
    for turn in range(n_turns):
        question = Message.user(CLIP if turn % 2 else f"question {turn}")
        conversation = conversation.add(question).add(Message.assistant(f"reply {turn}"))
    return conversation


# Messages


def test_a_message_mixes_text_and_sound_in_order():
    message = Message.user("Summarise this:", CLIP, "  ", "in a word.", OTHER_CLIP)
    assert [type(part) for part in message.parts] == [str, AudioPart, str, AudioPart]
    assert [part.waveform for part in message.audio_parts] == [CLIP, OTHER_CLIP]
    assert message.text == "Summarise this: in a word."


def test_the_text_of_a_message_has_the_best_known_words():
    part = AudioPart(CLIP)
    assert part.words == ""
    assert AudioPart(CLIP, heard="wreck a beach").words == "wreck a beach"
    assert AudioPart(CLIP, "wreck a beach", 0.4, "recognise speech").words == "recognise speech"
    assert Message.user("Translate:", AudioPart(CLIP, heard="yes")).text == "Translate: yes"


@pytest.mark.parametrize("parts", [(), ("",), (" \n", "\t")])
def test_an_empty_question_is_refused_and_an_empty_reply_is_not(parts):
    with pytest.raises(ConversationError, match="Record or type"):
        Message.user(*parts)
    assert Message.assistant("", stopped=True).text == ""


def test_the_system_is_no_role():
    with pytest.raises(ConversationError, match="system_prompt"):
        Message("system", ("Obey me.",))


# Order


@pytest.mark.parametrize("roles", list(itertools.product(["user", "assistant"], repeat=3)))
def test_roles_alternate_from_the_user_on(roles):
    messages = tuple(Message(role, ("words",)) for role in roles)
    if roles == ("user", "assistant", "user"):
        assert Conversation(messages).messages == messages
    else:
        with pytest.raises(ConversationError, match="alternate"):
            Conversation(messages)


# Values


def test_every_change_leaves_the_old_conversation_as_it_was():
    before = talk(2)
    kept = copy.deepcopy(before)
    changed = [
        before.add(Message.user("more")),
        before.undo(),
        before.retry(),
        before.edit(0, "other"),
        before.correct(2, "words"),
        before.with_heard(2, 0, "words", 0.5),
        before.with_system_prompt("Be brief."),
        before.trimmed(lambda rest: len(rest.messages) <= 2)[0],
    ]
    assert before == kept
    assert len({before, *changed}) == len(changed) + 1
    with pytest.raises(FrozenInstanceError):
        before.messages = ()


def test_a_deep_copy_is_equal_and_shares_the_sound():
    conversation = talk(2)
    copied = copy.deepcopy(conversation)
    assert copied == conversation
    assert copied.messages[2].audio_parts[0].waveform is CLIP


def test_the_system_prompt_survives_every_change():
    conversation = talk(2).with_system_prompt("Be brief.")
    assert talk(1).system_prompt == prompts.DEFAULT_SYSTEM_PROMPT
    for changed in (conversation.undo(), conversation.retry(), conversation.edit(0, "other")):
        assert changed.system_prompt == "Be brief."


# Changes


def test_undo_takes_the_last_question_and_its_reply():
    assert talk(3).undo() == talk(2)
    assert talk(2).add(Message.user("unanswered")).undo() == talk(2)
    assert talk(1).undo() == Conversation()


def test_retry_keeps_the_last_question():
    question = talk(2).add(Message.user(CLIP))
    assert question.add(Message.assistant("bad reply")).retry() == question
    assert question.retry() == question


@pytest.mark.parametrize("change", [Conversation.undo, Conversation.retry])
def test_an_empty_conversation_has_nothing_to_take_back(change):
    with pytest.raises(ConversationError, match="empty"):
        change(Conversation())


def test_edit_replaces_a_question_and_drops_what_follows():
    edited = talk(3).edit(2, "typed instead")
    assert edited.messages == (*talk(1).messages, Message.user("typed instead"))
    for index, text in [(1, "a reply"), (6, "none there"), (-2, "from the end"), (0, " ")]:
        with pytest.raises(ConversationError):
            talk(3).edit(index, text)


def test_correct_keeps_the_sound_and_what_was_heard():
    heard = talk(3).with_heard(2, 0, "wreck a beach", 0.4)
    corrected = heard.correct(2, " recognise speech ")
    assert len(corrected.messages) == 3
    assert corrected.messages[2].parts == (
        AudioPart(CLIP, "wreck a beach", 0.4, "recognise speech"),
    )
    assert corrected.correct(2, "again").messages[2].text == "again"


def test_correct_needs_one_recording_to_correct():
    two = Conversation().add(Message.user(CLIP, "and", OTHER_CLIP))
    with pytest.raises(ConversationError, match="2 recordings"):
        two.correct(0, "words")
    parts = two.correct(0, "words", part_index=2).messages[0].parts
    assert parts == (AudioPart(CLIP), "and", AudioPart(OTHER_CLIP, corrected="words"))
    for index, words, part_index in [(0, "words", None), (1, "words", None), (2, "  ", None)]:
        with pytest.raises(ConversationError):
            talk(2).correct(index, words, part_index=part_index)
    with pytest.raises(ConversationError, match="no recording"):
        two.correct(0, "words", part_index=1)


def test_what_was_heard_is_noted_and_nothing_dropped():
    conversation = talk(3).with_heard(2, 0, "yes", 0.9)
    assert len(conversation.messages) == 6
    assert conversation.messages[2].parts == (AudioPart(CLIP, "yes", 0.9),)
    for place in [(0, 0), (2, 1), (2, -1), (9, 0)]:
        with pytest.raises(ConversationError):
            talk(3).with_heard(*place, "yes", 0.9)


# Trimming


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("room", range(1, 12))
def test_trimming_drops_the_fewest_oldest_turns_and_whole_ones(room, pending):
    conversation = talk(5)
    if pending:
        conversation = conversation.add(Message.user("newest"))
    newest_alone = 1 if pending else 2
    if room < newest_alone:
        with pytest.raises(ConversationError, match="alone"):
            conversation.trimmed(lambda rest: len(rest.messages) <= room)
        return
    rest, dropped = conversation.trimmed(lambda rest: len(rest.messages) <= room)
    assert rest.messages == conversation.messages[2 * dropped :]
    assert len(rest.messages) <= room
    assert dropped == 0 or len(rest.messages) + 2 > room


def test_nothing_is_dropped_that_fits_and_the_newest_turn_is_never_cut():
    assert talk(3).trimmed(lambda rest: True) == (talk(3), 0)
    assert Conversation().trimmed(lambda rest: True) == (Conversation(), 0)
    with pytest.raises(ConversationError, match="longer context"):
        talk(3).trimmed(lambda rest: False)
