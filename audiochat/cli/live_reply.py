"""A reply in live talk: as far as it has come, and made beside an open microphone.

Knows no devices and shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event as Flag
from typing import Self

from audiochat.audio import Waveform
from audiochat.backends.base import Backend, Heard, HearsAhead, TextPiece
from audiochat.cli.live_recording import Answer
from audiochat.conversation import Conversation, Message
from audiochat.sampling import Sampling
from audiochat.sentences import beginning
from audiochat.turn import Done, Event, Speech, answer
from audiochat.voices.base import Voice


@dataclass(frozen=True)
class Partner:
    """Who is talked with."""

    backend: Backend
    voice: Voice | None
    sampling: Sampling
    ask: Answer = answer
    """Answers a turn; one that also writes down what is said takes its place."""

    def hear_ahead(self, recording: Waveform, before: Sequence[Message]) -> None:
        """Hear what may be the whole turn after those messages, so that its answer need not."""
        if isinstance(self.backend, HearsAhead):
            self.backend.hear_ahead(recording, before)

    def answer(self, conversation: Conversation) -> Generator[Event, None, None]:
        """The events of the reply to the last message."""
        return self.ask(conversation, self.backend, self.voice, sampling=self.sampling)


@dataclass(frozen=True)
class ReplySoFar:
    """What has come of a reply."""

    conversation: Conversation
    """With the question at its end; once the reply is whole, with that."""

    written: str = ""

    spoken: tuple[str, ...] = ()
    """The pieces that were voiced."""

    def after(self, event: Event) -> ReplySoFar:
        """With one more event."""
        if isinstance(event, Heard):
            known = self.conversation.with_heard(
                event.message_index,
                event.part_index,
                event.text,
                event.confidence,
                words=event.words,
            )
            return replace(self, conversation=known)
        if isinstance(event, TextPiece):
            return replace(self, written=self.written + event.text)
        if isinstance(event, Speech):
            return replace(self, spoken=(*self.spoken, event.text))
        if isinstance(event, Done):
            return replace(self, conversation=event.conversation)
        return self

    def is_of_question(self, event: Heard) -> bool:
        """Whether it is the question that was heard, not an earlier recording once more."""
        return event.message_index == len(self.conversation.messages) - 1

    def stopped(self, n_sounded: int = 0) -> Conversation:
        """The conversation if the person stops the reply here: what was said so far stays.

        `n_sounded`: pieces that have begun to sound; where none has, what was written was read.
        """
        whole = self.conversation.messages[-1].role == "assistant"
        text = self.written.strip()
        if n_sounded and not (whole and n_sounded >= len(self.spoken)):
            text = beginning(text, self.spoken[:n_sounded])
        return self.conversation.retry().add(Message.assistant(text, stopped=True))


class RunningReply:
    """One reply that the worker makes, or is going to."""

    def __init__(self) -> None:
        self._stopped = Flag()

    def stop(self) -> None:
        """Make no more of it, from its next event on; returns at once."""
        self._stopped.set()

    def run(self, events: Generator[Event, None, None], take: Callable[[Event], None]) -> None:
        """Make it: to be called in the worker's thread."""
        with closing(events):
            while not self._stopped.is_set():
                try:
                    event = next(events)
                except StopIteration:
                    return
                take(event)


@dataclass(frozen=True)
class ReplyEvent:
    """A running reply has come further."""

    reply: RunningReply
    event: Event


@dataclass(frozen=True)
class ReplyEnded:
    """A running reply is whole, was stopped, or failed: `outcome.result()` raises why."""

    reply: RunningReply
    outcome: Future[None]


class ReplyWorker:
    """Makes replies, one after the other, while its owner listens.

    One thread of its own runs `answer`: between two of its events the model may compute for a
    second, and meanwhile the microphone, the keyboard and the screen must go on. The events come
    back through `deliver`, a queue's `put`; the owner's thread alone knows conversation and
    devices. A generator can be closed only by the thread that runs it, so stopping is a flag which
    that thread reads at the next event, and a reply asked for meanwhile waits until it has done so.
    """

    def __init__(
        self, partner: Partner, deliver: Callable[[ReplyEvent | ReplyEnded], None]
    ) -> None:
        self._partner = partner
        self._deliver = deliver
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reply")
        self._newest: RunningReply | None = None

    def begin(self, conversation: Conversation) -> RunningReply:
        """Start on the reply to the last message, as soon as an earlier one is out of the way."""
        reply = self._newest = RunningReply()
        events = self._partner.answer(conversation)
        made = self._pool.submit(reply.run, events, lambda e: self._deliver(ReplyEvent(reply, e)))
        made.add_done_callback(lambda outcome: self._deliver(ReplyEnded(reply, outcome)))
        return reply

    def hear_ahead(self, recording: Waveform, before: Sequence[Message]) -> None:
        """Hear what may be the turn after those messages, once no reply is being made."""
        self._pool.submit(self._partner.hear_ahead, recording, before)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._newest is not None:
            self._newest.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
