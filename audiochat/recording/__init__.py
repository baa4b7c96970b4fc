"""A conversation written down: files to keep, to share and to read back.

The value is here; its files are made by `folder` and read, as hostile input, by `reading`. Knows
neither page nor terminal: both make a `Recording` and hand it over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from audiochat.audio import Waveform, concatenate
from audiochat.conversation import Conversation
from audiochat.errors import ConversationError
from audiochat.turn import Speech, Timings


@dataclass(frozen=True)
class Reply:
    """What is kept beside the text of a reply: how it sounded, how long it took, whose it is."""

    pieces: tuple[Speech, ...] = ()
    """The spoken pieces, in order; none where it was text alone."""

    timings: Timings | None = None

    by: str = ""
    """Who answered, as a person would name it; empty where the recording's `model` says it."""

    @cached_property
    def speech(self) -> Waveform | None:
        """The pieces as one sound, at the rate of the first; None where there is none."""
        joined = concatenate([piece.waveform for piece in self.pieces])
        return joined if len(joined.samples) else None


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Recording:
    """A conversation with its replies as they sounded.

    Raises:
        ConversationError: nothing was said yet, or there are more replies than messages for them.
    """

    conversation: Conversation

    replies: tuple[Reply, ...] = ()
    """One for each message of the assistant, in order; missing ones are filled in as text alone."""

    model: str = ""
    """Who answered, as a person would name it."""

    created: datetime = field(default_factory=_now)
    """With its time zone."""

    provenance: Mapping[str, Any] = field(default_factory=dict)
    """The commit, the command and the machine it comes from, where known: JSON values."""

    def __post_init__(self) -> None:
        """Check that there is something, and give every reply its place."""
        assert self.created.tzinfo is not None, "a date needs its time zone"
        if not self.conversation.messages:
            raise ConversationError("Nothing was said yet, so there is nothing to record.")
        n_replies = len(self.conversation.messages) // 2
        if len(self.replies) > n_replies:
            raise ConversationError(
                f"There are {len(self.replies)} spoken replies to {n_replies} written ones."
            )
        missing = n_replies - len(self.replies)
        object.__setattr__(self, "replies", (*self.replies, *[Reply()] * missing))

    def reply(self, index: int) -> Reply:
        """What is kept beside the message at `index`; nothing where it is the user's."""
        return self.replies[index // 2] if index % 2 else Reply()
