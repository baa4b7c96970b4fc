"""AudioChatLlama on the real embedded LLM: speech anywhere in a history, reuse, trimming, arms."""

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import torch

from audiochat import prompts
from audiochat.audio import SAMPLE_RATE, Waveform, resample
from audiochat.backends.audiochat_llama import AudioChatLlamaBackend
from audiochat.backends.base import Heard
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import AudioError, ConversationError, ModelError
from audiochat.model.alignment import Reading, read_greedily
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.model.beam_search import BeamSearch, Found
from audiochat.model.ear import Hearing
from audiochat.model.hearings import Hearings
from audiochat.model.loading import load
from audiochat.model.reader import Reader
from audiochat.prompts import DEFAULT_SYSTEM_PROMPT
from audiochat.sampling import Sampling
from audiochat.voices.espeak import EspeakVoice

SHORT = Sampling(max_new_tokens=12)


def spoken(text: str) -> Waveform:
    said = EspeakVoice().speak(text)
    return Waveform(resample(said.samples, said.sample_rate, SAMPLE_RATE))


@pytest.fixture(scope="module")
def question() -> Waveform:
    return spoken("What is the capital of France?")


def answer(bot: AudioChatLlama, conversation: Conversation, sampling: Sampling = SHORT) -> str:
    prompt = bot.prepare(conversation, sampling)
    return "".join(token.piece for token in bot.stream(prompt, sampling))


def test_a_typed_question_is_answered(bot: AudioChatLlama) -> None:
    conversation = Conversation().add(Message.user("What is the capital of France?"))
    assert "Paris" in answer(bot, conversation)


def test_a_warm_model_has_read_the_system_prompt(bot: AudioChatLlama) -> None:
    bot.close()
    bot.warm_up()
    prompt = bot.prepare(Conversation().add(Message.user("What is two plus two?")), SHORT)
    cache = bot._store.longest(prompt.keys)
    assert cache is not None
    assert cache.length > 15


def test_three_lines_of_python(bot: AudioChatLlama, question: Waveform) -> None:
    pieces = list(bot.reply(question, sampling=SHORT))
    assert len(pieces) > 1
    assert "".join(pieces).strip()


def test_speech_words_and_text_mix_anywhere(bot: AudioChatLlama, question: Waveform) -> None:
    conversation = Conversation().add(Message.user("Answer in one word.", question))
    conversation = conversation.add(Message.assistant("Paris."))
    conversation = conversation.add(Message.user(question, "Say it again."))
    prompt = bot.prepare(conversation, SHORT)
    assert [(m, p) for m, p, _ in prompt.hearings] == [(0, 1), (2, 0)]
    recorded = [key for key in prompt.keys if isinstance(key, tuple)]
    assert len(recorded) == 2 * len(set(recorded)) > 0
    assert prompt.embeds.shape == (len(prompt.keys), bot.lm.hidden_dim)


def test_shuffled_sound_changes_what_the_llm_reads(bot: AudioChatLlama, question: Waveform) -> None:
    backwards = Waveform(question.samples[::-1].copy())
    one, two = (
        bot.prepare(Conversation().add(Message.user(some)), SHORT).embeds
        for some in (question, backwards)
    )
    assert one.shape != two.shape or not np.allclose(one, two)


def test_the_history_is_read_once(bot: AudioChatLlama, question: Waveform) -> None:
    bot.close()
    conversation = Conversation().add(Message.user(question))
    reply = answer(bot, conversation)
    conversation = conversation.add(Message.assistant(reply)).add(Message.user("Thank you."))
    prompt = bot.prepare(conversation, SHORT)
    stream = bot.stream(prompt, SHORT)
    pieces, reused = [], 0
    while True:
        try:
            pieces.append(next(stream).piece)
        except StopIteration as end:
            reused = end.value
            break
    assert len(prompt.keys) - reused < 30
    bot.close()
    # Positions read one by one round otherwise than together, so far on a tie may fall otherwise.
    assert answer(bot, conversation)[:8] == "".join(pieces)[:8]


def test_a_stopped_reply_leaves_the_next_turn_whole(bot: AudioChatLlama) -> None:
    # Its first words are far from all others: what was read in other pieces may differ in the
    # last digit, and where two words are near a tie, that changes the reply.
    conversation = Conversation().add(Message.user("What is the capital of France?"))
    long = Sampling(max_new_tokens=60)
    whole = answer(bot, conversation, long)
    bot.close()
    stream = bot.stream(bot.prepare(conversation, long), long)
    first = [next(stream).piece for _ in range(5)]
    stream.close()
    assert whole.startswith("".join(first))
    assert answer(bot, conversation, long)[:30] == whole[:30]


def test_a_reply_is_not_given_again_whatever_is_asked(bot: AudioChatLlama) -> None:
    """Three answers of one form, and a question of another: small models stay with the form."""
    conversation = Conversation(system_prompt=DEFAULT_SYSTEM_PROMPT)
    for place, capital in (("Japan", "Tokyo"), ("France", "Paris"), ("Spain", "Madrid")):
        conversation = conversation.add(Message.user(f"What is the capital of {place}?"))
        conversation = conversation.add(
            Message("assistant", (f"The capital of {place} is {capital}.",))
        )
    asked = conversation.add(Message.user("Name three colours."))
    prompt = bot.prepare(asked, Sampling())
    reply = "".join(token.piece for token in bot.stream(prompt, Sampling(max_new_tokens=24)))
    assert "Madrid" not in reply
    assert any(colour in reply.lower() for colour in ("red", "blue", "green", "yellow"))


def test_the_cascade_reads_the_words_heard(bot: AudioChatLlama, question: Waveform) -> None:
    heard = bot.hear(question).text
    spoken_turn = Conversation().add(Message.user(question))
    typed_turn = Conversation().add(Message.user(heard))
    by_sound = bot.prepare(spoken_turn, SHORT, arm="cascade")
    by_words = bot.prepare(typed_turn, SHORT)
    assert by_sound.keys == by_words.keys
    np.testing.assert_array_equal(by_sound.embeds, by_words.embeds)


def test_corrected_words_take_the_place_of_the_sound(
    bot: AudioChatLlama, question: Waveform
) -> None:
    part = AudioPart(question, heard="x", corrected="What is the capital of France?")
    prompt = bot.prepare(Conversation().add(Message.user(part)), SHORT)
    typed = bot.prepare(Conversation().add(Message.user(part.words)), SHORT)
    assert prompt.keys == typed.keys
    assert prompt.hearings == ()


def test_old_turns_fall_out_and_the_newest_stays(bot: AudioChatLlama) -> None:
    filler = "word " * 900
    conversation = Conversation()
    for number in range(5):
        conversation = conversation.add(Message.user(f"Turn {number}. {filler}"))
        conversation = conversation.add(Message.assistant("Yes."))
    conversation = conversation.add(Message.user("Are you there?"))
    prompt = bot.prepare(conversation, SHORT)
    assert prompt.n_dropped >= 1
    assert len(prompt.keys) <= 4096 - SHORT.max_new_tokens
    assert prompt.conversation.messages[-1].text == "Are you there?"
    with pytest.raises(ConversationError):
        bot.prepare(Conversation().add(Message.user("word " * 9000)), SHORT)


def hum() -> Waveform:
    at = np.arange(2 * SAMPLE_RATE) * 2 * np.pi * 100 / SAMPLE_RATE
    return Waveform(np.sin(at).astype(np.float32) * 0.1)


def hiss(seed: int) -> Waveform:
    noise = np.random.default_rng(seed).standard_normal(3 * SAMPLE_RATE)
    return Waveform((np.convolve(noise, np.ones(1 + 4 * seed), "same") * 0.02).astype(np.float32))


@pytest.mark.parametrize(
    "noise", [hum(), *map(hiss, range(4))], ids=["hum", "white", "1", "2", "3"]
)
def test_noise_is_not_taken_for_words(bot: AudioChatLlama, noise: Waveform) -> None:
    assert bot.hear(noise).text == ""
    with pytest.raises(AudioError, match="No words were heard"):
        bot.prepare(Conversation().add(Message.user(noise)), SHORT)


def test_hearing_is_kept_and_bounded(
    bot: AudioChatLlama, question: Waveform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiochat.model.hearings.MAX_HEARINGS", 64)
    assert bot.hear(question) is bot.hear(Waveform(question.samples.copy()))
    for seed in range(70):
        noise = np.random.default_rng(seed).standard_normal(3200).astype(np.float32) * 0.05
        bot.hear(Waveform(noise))
    assert len(bot._hearings) == 64


def test_another_system_prompt_is_another_reading(bot: AudioChatLlama) -> None:
    conversation = Conversation().add(Message.user("Hello."))
    other = replace(conversation, system_prompt="You are a pirate.")
    assert conversation.system_prompt == prompts.DEFAULT_SYSTEM_PROMPT
    assert bot.prepare(conversation, SHORT).keys != bot.prepare(other, SHORT).keys


def test_an_unknown_name_or_missing_connector_is_said() -> None:
    with pytest.raises(ModelError, match="no weights folder"):
        load("no-such-folder")


def test_end_to_end_the_reply_does_not_wait_for_the_words(
    bot: AudioChatLlama, question: Waveform, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = bot.read
    assert read is not None
    asked: list[str] = []

    def noted(hearing: Hearing) -> Reading:
        asked.append("read")
        return read(hearing)

    monkeypatch.setattr(bot, "read", noted)
    bot.close()
    conversation = Conversation().add(Message.user(question))
    events = []
    for event in AudioChatLlamaBackend("end-to-end", bot, "end_to_end").reply(conversation, SHORT):
        asked.append(type(event).__name__)
        events.append(event)
    first, at = asked.index("TextPiece"), asked.index("read")
    assert first < at == asked.index("Heard") - 1
    assert asked.count("read") == 1
    (heard,) = (event for event in events if isinstance(event, Heard))
    assert heard.text == bot.hear(question).text == read(bot.hear(question)).text
    # What it replied to is the same sound, read or not.
    embeds = bot.prepare(conversation, SHORT, arm="end_to_end").embeds
    bot.close()
    np.testing.assert_array_equal(embeds, bot.prepare(conversation, SHORT, arm="end_to_end").embeds)


def test_what_is_unread_is_bounded_and_read_when_asked_for(
    bot: AudioChatLlama, question: Waveform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiochat.model.hearings.MAX_HEARINGS", 2)
    hearings = Hearings(bot.parts)
    for seed in range(4):
        noise = np.random.default_rng(seed).standard_normal(3200).astype(np.float32) * 0.05
        hearings.unread(Waveform(noise))
    assert len(hearings) == 2
    unread = hearings.unread(question)
    assert unread.reading == read_greedily(unread.log_probs, bot.parts.units)
    whole = hearings.of(question, bot.read)
    assert whole.frames is unread.frames
    assert whole.reading == bot.hear(question).reading
    assert hearings.unread(question) is unread


def talk_of(name: str) -> Conversation:
    talk = Conversation().add(Message.user(f"Let us talk about {name}."))
    return talk.add(Message.assistant("OK"))


def test_a_rare_word_of_the_history_is_expected(bot: AudioChatLlama) -> None:
    asked = spoken("Where is Zanzibar?")

    def heard(conversation: Conversation) -> str:
        prompt = bot.prepare(conversation.add(Message.user(asked)), SHORT)
        return prompt.hearings[-1][2].text.lower()

    bot.close()
    alone = heard(Conversation())
    talk = talk_of("Zanzibar")
    assert "zanzibar" not in alone
    assert "zanzibar" in heard(talk)  # though it was heard before, without the history
    assert heard(Conversation()) == alone  # nor does one conversation change another's words
    assert heard(talk_of("Kilimanjaro")) == alone


def test_what_was_expected_is_read_once(
    bot: AudioChatLlama, question: Waveform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(bot.read, Reader)
    found = bot.read._search.found
    asked: list[int] = []

    def counted(self: BeamSearch, log_probs: torch.Tensor) -> list[Found]:
        asked.append(len(log_probs))
        return found.__func__(self, log_probs)  # type: ignore[attr-defined]

    monkeypatch.setattr(BeamSearch, "found", counted)
    hearings, words = Hearings(bot.parts), frozenset({"zanzibar"})
    first = hearings.of(question, bot.read)
    second = hearings.of(question, bot.read, expected=words)
    assert len(asked) == 2
    assert second.frames is first.frames
    assert hearings.of(question, bot.read, expected=words) is second
    assert hearings.of(question, bot.read) is first
    assert len(asked) == 2
    hearings.clear()
    hearings.of(question, bot.read, expected=words)
    assert len(asked) == 3


def test_hearing_ahead_leaves_nothing_to_read(
    bot: AudioChatLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = (
        Conversation().add(Message.user("Let us talk about Zanzibar.")).add(Message.assistant("OK"))
    )
    asked = spoken("Where is Zanzibar?")
    question = talk.add(Message.user(asked))
    bot.close()
    AudioChatLlamaBackend("end-to-end", bot, "end_to_end").hear_ahead(asked, talk.messages)
    assert [way for _, way in bot._hearings._kept] == ["unread"]  # that reply waits for no words
    AudioChatLlamaBackend("embedded", bot).hear_ahead(asked, talk.messages)
    monkeypatch.setattr(BeamSearch, "found", None)
    heard = bot.prepare(question, SHORT).hearings[-1][2]
    assert "zanzibar" in heard.text.lower()


def test_other_words_for_one_sound_are_read_anew_by_the_llm(bot: AudioChatLlama) -> None:
    asked = spoken("Where is Zanzibar?")
    alone = Conversation().add(Message.user(asked))
    twice = alone.add(Message.assistant("Zanzibar lies off Tanzania.")).add(Message.user(asked))
    bot.close()
    first = bot.prepare(alone, SHORT)
    deque(bot.stream(first, SHORT), maxlen=0)
    second = bot.prepare(twice, SHORT)
    before, after = (hearing.text.lower() for _, _, hearing in second.hearings)
    assert "zanzibar" not in before  # as it was when it was answered
    assert "zanzibar" in after
    recorded = {key[:3] for key in second.keys if isinstance(key, tuple)}
    assert {words.lower() for _, _, words in recorded} == {before, after}
    fresh = bot.lm.extend(second.embeds)[0]
    cache = bot._store.longest(second.keys)
    assert cache is not None
    reused = bot.lm.extend(second.embeds[cache.length :], cache)[0]
    np.testing.assert_allclose(reused, fresh, atol=0.5)
    assert int(reused.argmax()) == int(fresh.argmax())


def test_words_that_were_trimmed_away_were_still_said(
    bot: AudioChatLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spoken("Where is Zanzibar?")
    talk = talk_of("Zanzibar").add(Message.user(asked))
    whole = bot.prepare(talk, SHORT)
    monkeypatch.setattr("audiochat.model.audio_chat_llama.MAX_CONTEXT", len(whole.keys) + 11)
    cut = bot.prepare(talk, SHORT)
    assert cut.n_dropped == 1
    assert "zanzibar" in cut.hearings[-1][2].text.lower()
    recorded = {key[2].lower() for key in cut.keys if isinstance(key, tuple)}
    assert recorded == {cut.hearings[-1][2].text.lower()}
