"""A recording of every kind of turn, small enough to be made in each test."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from audiochat.audio import FULL_SCALE_INT16, Waveform, to_int16
from audiochat.conversation import AudioPart, Conversation, Message, TimedWord
from audiochat.recording import Recording, Reply
from audiochat.turn import Speech, Timings
from tests.fakes import tone

HOSTILE = '</script><img src=x onerror="alert(1)"> & {{script}} --> {\\an8}'


def exact(waveform: Waveform) -> Waveform:
    """The sound as 16 bits hold it, so that it can be read back as the same."""
    return Waveform(to_int16(waveform).astype(np.float32) / FULL_SCALE_INT16, waveform.sample_rate)


def spoken(*pieces: tuple[str, float], rate: int = 22_050) -> tuple[Speech, ...]:
    """Pieces of a reply, each as its text and its length in seconds."""
    return tuple(
        Speech(exact(tone(seconds, 330.0, rate)), text, index)
        for index, (text, seconds) in enumerate(pieces)
    )


def sample() -> Recording:
    """Spoken, typed, mixed, corrected, unheard; voiced, silent, stopped; markup in the words."""
    words = tuple(
        TimedWord(text, start, start + 0.2, confidence)
        for text, start, confidence in (("What", 0.1, 0.9), ("is", 0.4, None), ("it?", 0.9, 0.25))
    )
    question = AudioPart(exact(tone(1.5)), "What is it?", 0.875, None, words)
    corrected = AudioPart(exact(tone(1.0, 200.0)), "sea moon", 0.5, "See the moon.", words[:1])
    conversation = Conversation(
        (
            Message.user(question),
            Message.assistant("A **test**. Of all kinds."),
            Message.user(f"Typed: {HOSTILE}"),
            Message.assistant(f"Text alone, with {HOSTILE}\nand a second line — ünïcödé 你好."),
            Message.user("Listen:", corrected, AudioPart(exact(tone(0.5)))),
            Message.assistant("It was going to be a long", stopped=True),
            Message.user("Still there?"),
        ),
        "Be short.",
    )
    replies = (
        Reply(spoken(("A test.", 0.6), ("Of all kinds.", 0.9)), Timings(1.5, 2.0, 3.0, 40.0)),
        Reply(timings=Timings(total_ms=8.0, tokens_per_s=88.5, reply_tokens=12)),
        Reply(spoken(("It was going", 0.7), rate=24_000)),
    )
    return Recording(
        conversation,
        replies,
        "Echo <b>",
        datetime(2026, 11, 23, 7, 30, tzinfo=UTC),
        {"commit": "abc", "command": "python -m audiochat chat", "machine": {"cores": 2}},
    )


def typed(*texts: str) -> Recording:
    """A typed conversation without sound, the last message stopped if it is a reply."""
    conversation = Conversation()
    for index, text in enumerate(texts):
        conversation = conversation.add(
            Message.assistant(text) if index % 2 else Message.user(text)
        )
    return replace(sample(), conversation=conversation, replies=())
