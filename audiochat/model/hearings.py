"""What was heard of the latest recordings, kept so that a history is not heard again.

A recording of any length: the long ones are heard window by window, and can be followed doing so.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from threading import Lock, RLock
from typing import Literal

from audiochat.audio import Waveform
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.ear import Hearing, Read
from audiochat.model.streaming import StreamedHearing
from audiochat.model.windows import hear_in_windows, hear_whole, in_one_window

MAX_HEARINGS = 1_024
"""Hearings that are kept: a conversation's are all needed again at its next turn."""
MAX_FRAMES = 45_000
"""Frames of all of them: an hour of speech, about 160 MB."""
MAX_WINDOWS = 40
"""Windows of long recordings that are kept apart: those of ten minutes, about 25 MB."""

_Way = frozenset[str] | Literal["unread", "given"]
"""How a recording was heard: with which words expected, by sound alone, or elsewhere."""


class _Windows(dict[str, Hearing]):
    """The windows heard last; several threads may hear at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def __setitem__(self, name: str, hearing: Hearing) -> None:
        with self._lock:
            self.pop(name, None)
            super().__setitem__(name, hearing)
            if len(self) > MAX_WINDOWS:
                del self[next(iter(self))]


def to_be_heard(conversation: Conversation) -> Iterator[tuple[int, int, Waveform]]:
    """Message, part and sound of every recording that has no words from the person."""
    for message_index, message in enumerate(conversation.messages):
        for part_index, part in enumerate(message.parts):
            if isinstance(part, AudioPart) and not part.corrected:
                yield message_index, part_index, part.waveform


def in_writing(message: Message) -> Iterator[str]:
    """Every text of it that is known for sure: typed, replied, or put right by the person."""
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
        self._kept: dict[tuple[str, _Way], Hearing] = {}
        self._windows = _Windows()
        self._lock = RLock()

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
            expected: words likelier here than elsewhere; not in a recording of several windows.
        """
        short = in_one_window(waveform, self._parts.ear)
        way = expected if short else frozenset[str]()
        with self._lock:
            hearing = self._known(waveform, "given") or self._known(waveform, way)
            if hearing is not None:
                return hearing
            if streamed is not None:
                hearing = streamed.completed(waveform)
            elif short:
                hearing = self.unread(waveform)
            if hearing is None:
                hearing = hear_whole(
                    self._parts.ear, self._parts.units, waveform, read, known=self._windows
                )
            elif read:
                hearing = replace(hearing, reading=read(hearing, way) if way else read(hearing))
            self._put(waveform, way, hearing)
        return hearing

    def unread(self, waveform: Waveform) -> Hearing:
        """The sound of a recording of one window, its words read greedily: it is there sooner."""
        with self._lock:
            hearing = self._known(waveform, "given") or self._known(waveform, "unread")
            if hearing is None:
                hearing = hear_whole(self._parts.ear, self._parts.units, waveform)
                self._put(waveform, "unread", hearing)
        return hearing

    def told(self, waveform: Waveform, text: str) -> Hearing | None:
        """The newest hearing of a recording that has just these words, if it is still kept."""
        with self._lock:
            kept = [one for (name, _), one in self._kept.items() if name == waveform.digest]
        return next((one for one in reversed(kept) if one.text == text), None)

    def follow(self, waveform: Waveform, read: Read | None) -> Iterator[tuple[int, int]]:
        """Hear a recording of more than one window, if it is not heard yet.

        Yields:
            Before each window, its number from 1 on and how many there are; closing the iterator
            there stops the work, and of it the windows that were heard are kept.
        """
        if in_one_window(waveform, self._parts.ear):
            return
        with self._lock:
            if self._known(waveform, "given") or self._known(waveform, frozenset()):
                return
        hearing = yield from hear_in_windows(
            self._parts.ear, self._parts.units, waveform, read, known=self._windows
        )
        with self._lock:
            self._put(waveform, frozenset(), hearing)

    def keep(self, waveform: Waveform, hearing: Hearing) -> None:
        """Take a hearing that was made elsewhere, whatever is expected."""
        with self._lock:
            self._put(waveform, "given", hearing)

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._kept.clear()
            self._windows.clear()

    def _known(self, waveform: Waveform, way: _Way) -> Hearing | None:
        """One that is kept, which is then the newest."""
        hearing = self._kept.get((waveform.digest, way))
        if hearing is not None:
            self._put(waveform, way, hearing)
        return hearing

    def _put(self, waveform: Waveform, way: _Way, hearing: Hearing) -> None:
        """Keep it as the newest, and let the oldest go."""
        self._kept.pop((waveform.digest, way), None)
        self._kept[waveform.digest, way] = hearing
        while len(self._kept) > 1 and self._too_many():
            del self._kept[next(iter(self._kept))]

    def _too_many(self) -> bool:
        # Readings of one recording share its frames.
        lengths = {id(one.frames): len(one.frames) for one in self._kept.values()}
        return len(self._kept) > MAX_HEARINGS or sum(lengths.values()) > MAX_FRAMES
