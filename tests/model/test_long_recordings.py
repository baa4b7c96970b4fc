"""Recordings longer than a prompt: how they are grouped, and answered by the real model."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from audiochat import prompts
from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.backends.audiochat_llama import AudioChatLlamaBackend
from audiochat.backends.base import BackendEvent, Heard, TextPiece, Usage, Working
from audiochat.conversation import Conversation, Message
from audiochat.model import long_recordings
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.model.long_recordings import LongRecording, grouped
from audiochat.sampling import Sampling
from tests.fakes import tone
from tests.model.test_audio_chat_llama import spoken

SHORT = Sampling(max_new_tokens=12)
LINES = (
    "The library opens at nine on weekdays. On Saturday it closes at noon.",
    "Work on the new bridge begins in March and should take a year.",
    "The train to Boston leaves from platform four because of the snow.",
)


@pytest.mark.parametrize(
    ("sizes", "room", "expected"),
    [
        ([10], 100, [0, 1]),
        ([10, 10, 10, 10], 25, [0, 2, 4]),
        ([10, 10, 10, 10, 10], 40, [0, 3, 5]),  # 3 and 2, not 4 and 1
        ([50, 10, 10], 20, [0, 1, 3]),
        ([0, 0, 5], 5, [0, 3]),
    ],
)
def test_windows_are_grouped_evenly(sizes: list[int], room: int, expected: list[int]) -> None:
    assert grouped(sizes, room) == expected


def test_groups_keep_to_the_room() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        sizes = random.integers(1, 60, 40).tolist()
        groups = grouped(sizes, 200)
        assert all(sum(sizes[first:last]) <= 200 for first, last in pairwise(groups))
        assert (groups[0], groups[-1]) == (0, 40)


def test_parts_are_asked_the_task_and_the_answer_is_over_them() -> None:
    history = Conversation().add(Message.user("Hello.")).add(Message.assistant("Hi."))
    asked = history.add(Message.user("Who is late?", tone(3)))
    recording = LongRecording(asked, 1, (tone(1), tone(2)))
    question = recording.question(2)
    assert [part.waveform for part in question.messages[-1].audio_parts] == [tone(2)]
    assert question.messages[0].text == "Who is late?"
    over = recording.over(["Nobody.", "Anna is."])
    assert over.messages[:2] == history.messages
    assert "1. Nobody.\n2. Anna is." in over.messages[-1].text
    assert over.messages[-1].text.endswith("Who is late?")


def test_only_writing_down_and_translating_are_joined() -> None:
    assert prompts.joins(prompts.TRANSCRIBE)
    assert prompts.joins(prompts.translate("German"))
    assert not prompts.joins(prompts.SUMMARISE)
    assert not prompts.joins("What is it about?")


@pytest.fixture(scope="module")
def two_minutes() -> Waveform:
    clips = [spoken(line).samples for line in LINES]
    round_ = np.concatenate(clips)
    return Waveform(np.tile(round_, 1 + 120 * SAMPLE_RATE // len(round_)))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_recordings, "PART_POSITIONS", 150)


def asked(
    bot: AudioChatLlama, *parts: Waveform | str, sampling: Sampling = SHORT
) -> Iterator[BackendEvent]:
    conversation = Conversation().add(Message.user(*parts))
    return AudioChatLlamaBackend("embedded", bot).reply(conversation, sampling)


@pytest.mark.usefixtures("small_parts")
def test_two_minutes_are_heard_and_answered_part_by_part(
    bot: AudioChatLlama, two_minutes: Waveform
) -> None:
    events = list(asked(bot, prompts.SUMMARISE, two_minutes))
    work = [event for event in events if isinstance(event, Working)]
    heard = [event for event in events if isinstance(event, Heard)]
    listening = [event.part for event in work if event.doing == "Listening"]
    reading = [event for event in work if event.doing == "Reading"]
    assert listening == list(range(1, len(listening) + 1))
    assert len(listening) >= 8
    assert {event.part for event in reading} == set(range(1, reading[0].n_parts + 1))
    assert reading[0].n_parts > 1
    assert len(heard) == 1
    assert events.index(heard[0]) < events.index(reading[0])
    assert "".join(event.text for event in events if isinstance(event, TextPiece)).strip()
    assert isinstance(events[-1], Usage)


@pytest.mark.usefixtures("small_parts")
def test_writing_down_follows_the_parts(bot: AudioChatLlama, two_minutes: Waveform) -> None:
    sampling = Sampling(max_new_tokens=40)
    some = Waveform(two_minutes.samples[: 40 * SAMPLE_RATE])
    events = asked(bot, prompts.TRANSCRIBE, some, sampling=sampling)
    text = "".join(event.text for event in events if isinstance(event, TextPiece))
    assert text.count("\n\n") >= 1


@pytest.mark.usefixtures("small_parts")
def test_the_work_stops_where_it_is_closed(bot: AudioChatLlama, two_minutes: Waveform) -> None:
    events = asked(bot, prompts.SUMMARISE, two_minutes)
    for event in events:
        if isinstance(event, Working) and event.doing == "Reading":
            break
    events.close()  # type: ignore[attr-defined]
    assert list(events) == []


def test_what_fits_is_answered_as_ever(bot: AudioChatLlama) -> None:
    events = list(asked(bot, spoken(LINES[0])))
    assert not [event for event in events if isinstance(event, Working)]
