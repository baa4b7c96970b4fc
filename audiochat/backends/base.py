"""The port of the backends: what answers a conversation, and the events of its answer.

Knows conversations and sampling; knows no model, no voice and no page.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from audiochat.audio import Waveform
from audiochat.conversation import Conversation, Message, TimedWord
from audiochat.model.embedding_alignment import EmbeddingAlignment
from audiochat.sampling import Sampling

FinishReason = Literal["stop", "length"]

Progress = Callable[[str, float | None], None]
"""Called while a backend loads, with a sentence and the fraction done (None: unknown)."""


@dataclass(frozen=True)
class Heard:
    """What the backend understood of one audio part: before the first `TextPiece`, or, where the
    reply does not wait for the words, after the last."""

    text: str
    confidence: float | None
    """0 to 1; None where the backend has no measure of it."""
    message_index: int
    part_index: int
    words: tuple[TimedWord, ...] = ()
    """The words of `text` with their times; empty where the backend has none."""


@dataclass(frozen=True)
class TextPiece:
    """The next characters of the reply."""

    text: str


@dataclass(frozen=True)
class Notice:
    """A sentence for the person beside the reply: old turns fell out, the voice failed."""

    text: str
    kind: str = "info"


@dataclass(frozen=True)
class Working:
    """What a long recording is being put through, for a line of state; it may come repeatedly."""

    doing: str
    """One word or two: "Listening"."""
    part: int
    """From 1 on."""
    n_parts: int

    @property
    def sentence(self) -> str:
        """As a person reads it."""
        return f"{self.doing}: part {self.part} of {self.n_parts}"

    @property
    def fraction(self) -> float:
        """The share of the parts that have been begun."""
        return self.part / self.n_parts


@dataclass(frozen=True)
class Usage:
    """Token counts of one answer, and why it ended; comes when the reply is whole."""

    prompt_tokens: int
    reused_tokens: int
    """Prompt tokens whose keys and values were kept from an earlier turn."""
    reply_tokens: int
    finish_reason: FinishReason


BackendEvent = Heard | TextPiece | Notice | Working | Usage


class Backend(Protocol):
    """What answers a conversation."""

    @property
    def name(self) -> str:
        """The name it is chosen by."""

    @property
    def label(self) -> str:
        """The name a person reads."""

    def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        """Answer the last message, which is the user's, piece by piece.

        Written as a generator: closing it stops the work at once.

        Raises:
            AudioChatError: the conversation cannot be answered; the sentence is for the person.
        """

    def close(self) -> None:
        """Free what the backend holds; it answers no more."""


@runtime_checkable
class HearsAhead(Protocol):
    """A backend that can hear a recording before it is asked about it."""

    def hear_ahead(self, waveform: Waveform, before: Sequence[Message] = ()) -> None:
        """Hear it and keep what was heard, so that a reply to it need not.

        `before`: the messages before the one that it is of, where they are known.
        """


@runtime_checkable
class Aligning(Protocol):
    """A backend that can show how what it made of a recording lies beside the words."""

    def align(self, waveform: Waveform, transcript: str | None = None) -> EmbeddingAlignment:
        """Lay the recording's audio embeddings beside the words; those heard when None.

        Raises:
            AudioChatError: there is nothing to lay side by side; the sentence is for the person.
        """
