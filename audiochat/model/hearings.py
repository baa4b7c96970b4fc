"""What was heard of the latest recordings, kept so that a history is not heard again.

A recording of any length: the long ones are heard window by window, and can be followed doing so.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial
from threading import Lock

from audiochat.audio import Waveform
from audiochat.conversation import AudioPart, Conversation
from audiochat.model.alignment import Reading
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.ear import Hearing, Read
from audiochat.model.streaming import StreamedHearing
from audiochat.model.windows import hear_in_windows, hear_whole, window_cuts

MAX_HEARINGS = 1_024
"""Recordings whose hearing is kept: a conversation's are all needed again at its next turn."""
MAX_FRAMES = 45_000
"""Frames of all of them: an hour of speech, about 160 MB."""
MAX_UNREAD = 16
"""Recordings whose words are still to be chosen."""
MAX_WINDOWS = 40
"""Windows of long recordings that are kept apart: those of ten minutes, about 25 MB."""


class _Newest(dict[str, Hearing]):
    """The hearings put in last; several threads may hear at a time."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most, self._lock = most, Lock()

    def __setitem__(self, name: str, hearing: Hearing) -> None:
        with self._lock:
            self.pop(name, None)
            super().__setitem__(name, hearing)
            if len(self) > self._most:
                del self[next(iter(self))]


def to_be_heard(conversation: Conversation) -> Iterator[tuple[int, int, Waveform]]:
    """Message, part and sound of every recording that has no words from the person."""
    for message_index, message in enumerate(conversation.messages):
        for part_index, part in enumerate(message.parts):
            if isinstance(part, AudioPart) and not part.corrected:
                yield message_index, part_index, part.waveform


def in_writing(conversation: Conversation) -> Iterator[str]:
    """Every text of it that is known for sure: typed, replied, or put right by the person."""
    for message in conversation.messages:
        for part in message.parts:
            yield part if isinstance(part, str) else part.corrected or ""


def in_words(conversation: Conversation, words: Iterable[str]) -> Conversation:
    """The same with every such recording as words, given in order."""
    messages = list(conversation.messages)
    for (message_index, part_index, _), said in zip(to_be_heard(conversation), words, strict=True):
        message = messages[message_index]
        part = message.parts[part_index]
        assert isinstance(part, AudioPart)
        messages[message_index] = message.with_part(part_index, replace(part, corrected=said))
    return replace(conversation, messages=tuple(messages))


class Hearings:
    """The newest hearings by their recording, bounded in number and length."""

    def __init__(self, parts: TrainedParts) -> None:
        """`parts`: what listens."""
        self._parts = parts
        self._kept: dict[str, Hearing] = {}
        self._expected: dict[str, frozenset[str]] = {}
        self._windows = _Newest(MAX_WINDOWS)
        self._unread = _Newest(MAX_UNREAD)
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def of(
        self,
        waveform: Waveform,
        read: Read | None,
        streamed: StreamedHearing | None = None,
        *,
        expected: frozenset[str] = frozenset(),
    ) -> Hearing:
        """What the ear makes of a recording; words by `read`, greedily when None.

        Args:
            waveform: the recording.
            read: how words are chosen.
            streamed: has heard the beginning of it, so that only the rest is left to encode.
            expected: words likelier here than elsewhere. What was read without them is read once
                more, if it is short.
        """
        with self._lock:
            hearing = self._kept.get(waveform.digest)
            if hearing is None and streamed is not None:
                hearing = streamed.completed(waveform)
                if read:
                    hearing = replace(hearing, reading=read(hearing))
            elif hearing is None:
                hearing = self._heard(waveform, read, expected)
            elif self._is_news(waveform, expected) and read:
                hearing = replace(hearing, reading=read(hearing, expected))
            if expected:
                self._expected[waveform.digest] = expected
            self._put(waveform, hearing)
        return hearing

    def _is_news(self, waveform: Waveform, expected: frozenset[str]) -> bool:
        known = self._expected.get(waveform.digest, frozenset())
        return not expected <= known and self._in_one_window(waveform)

    def unread(self, waveform: Waveform, read: Read | None) -> Hearing:
        """The same, but that the words may still be the greedy ones: the sound is there sooner.

        Windows of a long recording are read as they are heard.
        """
        with self._lock:
            known = self._kept.get(waveform.digest) or self._unread.get(waveform.digest)
        if known is not None or not self._in_one_window(waveform):
            return known or self.of(waveform, read)
        hearing = hear_whole(self._parts.ear, self._parts.units, waveform)
        self._unread[waveform.digest] = hearing
        return hearing

    def _heard(self, waveform: Waveform, read: Read | None, expected: frozenset[str]) -> Hearing:
        """Hear it, or read what was heard of it before."""
        unread = self._unread.pop(waveform.digest, None)
        if read and expected:
            read = partial(_read_expecting, read, expected)
        if unread is not None:
            return replace(unread, reading=read(unread)) if read else unread
        return hear_whole(self._parts.ear, self._parts.units, waveform, read, known=self._windows)

    def _in_one_window(self, waveform: Waveform) -> bool:
        return len(window_cuts(waveform, self._parts.ear)) == 2

    def follow(self, waveform: Waveform, read: Read | None) -> Iterator[tuple[int, int]]:
        """Hear a recording of more than one window, if it is not heard yet.

        Yields:
            Before each window, its number from 1 on and how many there are; closing the iterator
            there stops the work, and of it the windows that were heard are kept.
        """
        if self._in_one_window(waveform) or waveform.digest in self._kept:
            return
        hearing = yield from hear_in_windows(
            self._parts.ear, self._parts.units, waveform, read, known=self._windows
        )
        self.keep(waveform, hearing)

    def keep(self, waveform: Waveform, hearing: Hearing) -> None:
        """Take a hearing that was made elsewhere."""
        with self._lock:
            self._put(waveform, hearing)

    def clear(self) -> None:
        """Forget them all."""
        self._kept.clear()
        self._expected.clear()
        self._windows.clear()
        self._unread.clear()

    def _put(self, waveform: Waveform, hearing: Hearing) -> None:
        """Keep it as the newest, and let the oldest go."""
        self._kept.pop(waveform.digest, None)
        self._kept[waveform.digest] = hearing
        while len(self._kept) > 1 and self._too_many():
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._expected.pop(oldest, None)

    def _too_many(self) -> bool:
        n_frames = sum(len(hearing.frames) for hearing in self._kept.values())
        return len(self._kept) > MAX_HEARINGS or n_frames > MAX_FRAMES


def _read_expecting(
    read: Read, words: frozenset[str], hearing: Hearing, _: Collection[str] = ()
) -> Reading:
    return read(hearing, words)
