"""Writes down what is said in a terminal session, however it ends, for `chat --record`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol

from audiochat.backends.base import Backend, Heard, TextPiece
from audiochat.conversation import Conversation, Message
from audiochat.errors import MissingPartError
from audiochat.evaluation.provenance import stamp
from audiochat.recording import Recording, Reply
from audiochat.recording.folder import make_folder, write
from audiochat.recording.video import VIDEO_NAME, write_video
from audiochat.sampling import Sampling
from audiochat.turn import Done, Event, Speech, Timings, answer
from audiochat.voices.base import Voice


class Answer(Protocol):
    """Answers a turn as `turn.answer` does."""

    def __call__(
        self,
        conversation: Conversation,
        backend: Backend,
        voice: Voice | None = None,
        *,
        sampling: Sampling | None = None,
    ) -> Generator[Event, None, None]:
        """The turn's events."""
        ...


@contextmanager
def recorded(folder: Path | None) -> Iterator[Answer]:
    """Give the function to answer turns with; what passes through it is written to `folder`.

    It is written when the block ends, also by an error, by Ctrl-C, or because the terminal was
    closed. Without a folder nothing is.

    Raises:
        DataError: the folder is not new or empty, or the video could not be made.
    """
    if folder is None:
        yield answer
        return
    make_folder(folder)
    stenographer = Stenographer()
    with _signals(_leave, signal.SIGTERM, signal.SIGHUP):
        try:
            yield stenographer.answer
        finally:
            if stenographer.turns:
                save(stenographer.recording(), folder, video=True)
    if not stenographer.turns:
        print("Nothing was said, so nothing was recorded.", file=sys.stderr)


def save(recording: Recording, folder: Path, *, video: bool) -> None:
    """Write a recording, the video last, and tell on standard error where it is."""
    with _signals(signal.SIG_IGN, signal.SIGINT):
        write(recording, folder)
    print(f"Recorded in {folder}: open {folder / 'index.html'} to replay it.", file=sys.stderr)
    if video:
        try:
            write_video(recording, folder / VIDEO_NAME)
        except MissingPartError as error:
            print(error, file=sys.stderr)


@dataclass
class _Turn:
    """One turn as it goes on."""

    question: Message
    written: str = ""
    speech: list[Speech] = field(default_factory=list)
    reply: Message | None = None
    timings: Timings | None = None


class Stenographer:
    """Answers turns and keeps what was said in them, also where the answer failed or was stopped.

    The session may take a failed turn back; here it stays, with what was written of its reply.
    """

    def __init__(self) -> None:
        self.turns: list[_Turn] = []
        self._label = ""
        self._system_prompt = ""

    def answer(
        self,
        conversation: Conversation,
        backend: Backend,
        voice: Voice | None = None,
        *,
        sampling: Sampling | None = None,
    ) -> Generator[Event, None, None]:
        """Answer the last message as `turn.answer` does."""
        turn = _Turn(conversation.messages[-1])
        self.turns.append(turn)
        self._label = backend.label
        self._system_prompt = conversation.system_prompt
        with closing(answer(conversation, backend, voice, sampling=sampling)) as events:
            for event in events:
                _note(turn, event, len(conversation.messages) - 1)
                yield event

    def recording(self) -> Recording:
        """All that was said until now; there must be something."""
        messages: list[Message] = []
        replies: list[Reply] = []
        for turn in self.turns:
            messages.append(turn.question)
            reply = turn.reply or Message.assistant(turn.written.strip(), stopped=True)
            if turn is self.turns[-1] and not turn.reply and not turn.written.strip():
                break  # the question that nobody answered ends the conversation
            messages.append(reply)
            replies.append(Reply(tuple(turn.speech), turn.timings))
        conversation = Conversation(tuple(messages), self._system_prompt)
        return Recording(conversation, tuple(replies), self._label, provenance=stamp())


def _note(turn: _Turn, event: Event, index: int) -> None:
    """Keep what an event tells of the turn whose question is the message at `index`."""
    if isinstance(event, Heard) and event.message_index == index:
        # As the conversation itself notes it, by a conversation of this one message.
        alone = Conversation((turn.question,)).with_heard(
            0, event.part_index, event.text, event.confidence, words=event.words
        )
        turn.question = alone.messages[0]
    elif isinstance(event, TextPiece):
        turn.written += event.text
    elif isinstance(event, Speech):
        turn.speech.append(event)
    elif isinstance(event, Done):
        turn.question, turn.reply = event.conversation.messages[-2:]
        turn.timings = event.timings


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


@contextmanager
def _signals(handler: Callable[..., Any] | signal.Handlers, *numbers: int) -> Iterator[None]:
    """Let `handler` take these signals; only a program's main thread can choose."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
