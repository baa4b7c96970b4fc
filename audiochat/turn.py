"""One turn: a conversation goes in, events come out. The same for page, terminal and server."""

import logging
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from audiochat.audio import Waveform
from audiochat.backends.base import (
    Backend,
    BackendEvent,
    FinishReason,
    Heard,
    Notice,
    TextPiece,
    Usage,
    Working,
)
from audiochat.conversation import Conversation, Message
from audiochat.errors import AudioChatError
from audiochat.sampling import Sampling
from audiochat.sentences import SentenceSplitter
from audiochat.voices.base import Voice, VoiceStyle

VOICE_FAILED = "The voice failed on this reply, so the rest is text alone."

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Speech:
    """One spoken piece of the reply; `index` counts from 0."""

    waveform: Waveform
    text: str
    index: int


@dataclass(frozen=True)
class Timings:
    """Milliseconds since the turn was asked for; None where the thing did not happen."""

    heard_ms: float | None = None
    first_text_ms: float | None = None
    first_speech_ms: float | None = None
    total_ms: float | None = None
    tokens_per_s: float | None = None
    prompt_tokens: int | None = None
    reused_tokens: int | None = None
    reply_tokens: int | None = None


@dataclass(frozen=True)
class Done:
    """The end of a turn: the conversation with the reply in it."""

    conversation: Conversation
    timings: Timings
    finish_reason: FinishReason


Event = Heard | TextPiece | Speech | Notice | Working | Done
_Marked = Heard | TextPiece | Speech | Notice | Working
_Events = Generator[BackendEvent, None, None]


def answer(
    conversation: Conversation,
    backend: Backend,
    voice: Voice | None = None,
    *,
    sampling: Sampling | None = None,
    style: VoiceStyle | None = None,
) -> Generator[Event, None, None]:
    """Answer the last message: what was heard, the text, its speech, and `Done` at the end.

    Text is not held back for the voice. Closing the iterator stops the work.

    Raises:
        AudioChatError: the backend failed. A voice that fails becomes a `Notice` instead.
    """
    stopwatch = _Stopwatch()
    speaker = _Speaker(voice, style or VoiceStyle())
    reply, usage = "", None
    events = cast(_Events, backend.reply(conversation, sampling or Sampling()))
    with closing(speaker), closing(events):
        for event in events:
            if isinstance(event, Usage):
                usage = event
                speaker.finish()  # what may still come is not for the voice
                continue
            if isinstance(event, Heard):
                conversation = conversation.with_heard(
                    event.message_index,
                    event.part_index,
                    event.text,
                    event.confidence,
                    words=event.words,
                )
            elif isinstance(event, TextPiece):
                reply += event.text
                speaker.push(event.text)
            yield stopwatch.mark(event)
            yield from map(stopwatch.mark, speaker.spoken())
        speaker.finish()
        yield from map(stopwatch.mark, speaker.spoken(wait=True))
    yield Done(
        conversation.add(Message.assistant(reply.strip())),
        stopwatch.timings(usage),
        usage.finish_reason if usage else "stop",
    )


class _Speaker:
    """Voices the pieces of a reply in order, in one worker thread."""

    def __init__(self, voice: Voice | None, style: VoiceStyle) -> None:
        self._voice = voice
        self._style = style
        self._splitter = SentenceSplitter()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice")
        self._pending: deque[tuple[str, Future[Waveform]]] = deque()
        self._count = 0

    def push(self, text: str) -> None:
        """Take more text of the reply and start voicing the pieces that are whole."""
        if self._voice is not None:
            self._say(self._splitter.push(text))

    def finish(self) -> None:
        """Voice what is left of the reply."""
        if self._voice is not None:
            self._say(self._splitter.flush())

    def spoken(self, *, wait: bool = False) -> Iterator[Speech | Notice]:
        """Give the pieces that are voiced by now; with `wait`, all of them."""
        while self._pending and (wait or self._pending[0][1].done()):
            text, future = self._pending.popleft()
            # Whatever it is that an engine raises, the text of the reply is worth more.
            if (error := future.exception()) is not None:
                self._give_up()
                yield _notice_of(error)
                return
            yield Speech(future.result(), text, self._count)
            self._count += 1

    def close(self) -> None:
        """Drop what is not voiced yet.

        The piece being voiced is not waited for: a page closes a stopped turn on the thread that
        serves everybody, and a neural voice may be at it for seconds.
        """
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _say(self, pieces: list[str]) -> None:
        voice = self._voice
        assert voice is not None
        for piece in pieces:
            if piece.strip():
                self._pending.append((piece, self._pool.submit(voice.speak, piece, self._style)))

    def _give_up(self) -> None:
        self._voice = None
        for _, future in self._pending:
            future.cancel()
        self._pending.clear()


def _notice_of(error: BaseException) -> Notice:
    """What the person reads when the voice has failed; the log has all of it."""
    expected = isinstance(error, AudioChatError)
    _log.log(logging.INFO if expected else logging.ERROR, "The voice failed.", exc_info=error)
    return Notice(str(error) if expected else VOICE_FAILED, kind="voice")


class _Stopwatch:
    """Notes when events passed, in milliseconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._first: dict[type, float] = {}
        self._last: dict[type, float] = {}

    def mark(self, event: _Marked) -> _Marked:
        """Give the event back, its time noted."""
        now = self._elapsed_ms()
        self._first.setdefault(type(event), now)
        self._last[type(event)] = now
        return event

    def timings(self, usage: Usage | None) -> Timings:
        """Return all that was noted, with the token counts."""
        rate = None
        writing_ms = self._last.get(TextPiece, 0.0) - self._first.get(TextPiece, 0.0)
        if usage is not None and writing_ms > 0:
            # The time from the first piece to the last is that of the tokens behind the first; the
            # token that ends a turn is counted in the reply, but comes after its last piece.
            n_tokens = usage.reply_tokens - 1 - (usage.finish_reason == "stop")
            rate = n_tokens / (writing_ms / 1000)
        return Timings(
            heard_ms=self._first.get(Heard),
            first_text_ms=self._first.get(TextPiece),
            first_speech_ms=self._first.get(Speech),
            total_ms=self._elapsed_ms(),
            tokens_per_s=rate,
            prompt_tokens=usage.prompt_tokens if usage else None,
            reused_tokens=usage.reused_tokens if usage else None,
            reply_tokens=usage.reply_tokens if usage else None,
        )

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._start) * 1000
