"""A conversation as a value: text and audio turns mixed; every change gives a new conversation.

Knows nothing of tokens or models: what fits into a model's context is asked of the caller.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from audiochat import prompts
from audiochat.audio import Waveform
from audiochat.errors import ConversationError

Role = Literal["user", "assistant"]
_ROLES: tuple[Role, Role] = ("user", "assistant")


@dataclass(frozen=True)
class TimedWord:
    """One word of a recording, where it was heard, and how surely."""

    text: str
    start_s: float
    end_s: float
    """Seconds from the recording's start."""
    confidence: float | None = None
    """0 to 1; None where there is no measure of it."""


@dataclass(frozen=True)
class AudioPart:
    """One recording in a message, with what is known of its words."""

    waveform: Waveform

    heard: str | None = None
    """What the model understood; None before it listened."""

    confidence: float | None = None
    """How sure the model was of that, 0 to 1; None where it cannot tell."""

    corrected: str | None = None
    """The words as the person put them right; the model is then given these, not the sound."""

    timed_words: tuple[TimedWord, ...] = ()
    """The words of `heard` one by one; empty where the model gives no times."""

    @property
    def words(self) -> str:
        """The best known words, "" if there are none yet."""
        return self.corrected or self.heard or ""


Part = str | AudioPart


@dataclass(frozen=True)
class Message:
    """What one side said, as text and recordings in order.

    Raises:
        ConversationError: the role is unknown, or a user's message holds nothing.
    """

    role: Role
    parts: tuple[Part, ...]

    stopped: bool = False
    """The person stopped this reply before its end."""

    def __post_init__(self) -> None:
        """Check role and content; an empty reply is a reply, an empty question is not."""
        if self.role not in _ROLES:
            raise ConversationError(
                f"A message is from the user or the assistant, not from {self.role!r}. "
                "Give a system prompt as the conversation's system_prompt."
            )
        if self.role == "user" and not any(
            isinstance(part, AudioPart) or part.strip() for part in self.parts
        ):
            raise ConversationError("The message is empty. Record or type something first.")

    @classmethod
    def user(cls, *parts: str | Waveform | AudioPart) -> "Message":
        """A message of the person; blank texts among the parts are left out."""
        kept = [AudioPart(part) if isinstance(part, Waveform) else part for part in parts]
        return cls("user", tuple(p for p in kept if isinstance(p, AudioPart) or p.strip()))

    @classmethod
    def assistant(cls, text: str, *, stopped: bool = False) -> "Message":
        """A reply of the model."""
        return cls("assistant", (text,), stopped)

    @property
    def text(self) -> str:
        """The words of all parts, joined by a space."""
        words = (part.words if isinstance(part, AudioPart) else part for part in self.parts)
        return " ".join(piece for piece in words if piece)

    @property
    def audio_parts(self) -> tuple[AudioPart, ...]:
        """The recordings, in order."""
        return tuple(part for part in self.parts if isinstance(part, AudioPart))

    def with_part(self, index: int, part: Part) -> "Message":
        """This message with one part replaced."""
        return replace(self, parts=(*self.parts[:index], part, *self.parts[index + 1 :]))


@dataclass(frozen=True)
class Conversation:
    """Messages that alternate between user and assistant, from the user on, and a system prompt.

    Raises:
        ConversationError: the roles do not alternate, or do not start with the user.
    """

    messages: tuple[Message, ...] = ()
    system_prompt: str = prompts.DEFAULT_SYSTEM_PROMPT

    def __post_init__(self) -> None:
        """Check the order of the roles."""
        for index, message in enumerate(self.messages):
            if message.role != _ROLES[index % 2]:
                raise ConversationError(
                    f"Message {index + 1} is from the {message.role}, but it is the "
                    f"{_ROLES[index % 2]}'s turn. User and assistant alternate, the user first."
                )

    def add(self, message: Message) -> "Conversation":
        """With a message at the end."""
        return replace(self, messages=(*self.messages, message))

    def with_system_prompt(self, system_prompt: str) -> "Conversation":
        """With another system prompt; "" is none."""
        return replace(self, system_prompt=system_prompt)

    def with_heard(
        self,
        message_index: int,
        part_index: int,
        text: str,
        confidence: float | None,
        *,
        words: tuple[TimedWord, ...] = (),
    ) -> "Conversation":
        """With what the model understood of one recording; nothing is dropped."""
        message = self._message(message_index)
        part = message.parts[part_index] if 0 <= part_index < len(message.parts) else None
        if not isinstance(part, AudioPart):
            raise ConversationError(
                f"Part {part_index} of message {message_index} is not a recording."
            )
        known = replace(part, heard=text, confidence=confidence, timed_words=words)
        heard = message.with_part(part_index, known)
        messages = (*self.messages[:message_index], heard, *self.messages[message_index + 1 :])
        return replace(self, messages=messages)

    def undo(self) -> "Conversation":
        """Without the last user message and what follows it."""
        return self._up_to(self._newest_user_index())

    def retry(self) -> "Conversation":
        """Without what follows the last user message, so that it can be answered anew."""
        return self._up_to(self._newest_user_index() + 1)

    def edit(self, index: int, text: str) -> "Conversation":
        """With a user message replaced by text; what follows is dropped."""
        self._user_message(index)
        return self._up_to(index).add(Message.user(text))

    def correct(self, index: int, words: str, *, part_index: int | None = None) -> "Conversation":
        """With the words of a recording put right; the sound is kept, what follows is dropped.

        Args:
            index: which message.
            words: what was really said.
            part_index: which of its parts; may be left out where it holds one recording.

        Raises:
            ConversationError: no such recording, more than one to choose from, or no words.
        """
        message = self._user_message(index)
        if not words.strip():
            raise ConversationError("The correction is empty. Type what you said.")
        places = [i for i, part in enumerate(message.parts) if isinstance(part, AudioPart)]
        if part_index is not None:
            places = [i for i in places if i == part_index]
        if len(places) != 1:
            count = "no recording" if not places else f"{len(places)} recordings"
            raise ConversationError(
                f"Message {index} has {count} to correct there. Name one recording of it, "
                "or edit the message as text."
            )
        part = message.parts[places[0]]
        assert isinstance(part, AudioPart)
        corrected = replace(part, corrected=words.strip())
        return self._up_to(index).add(message.with_part(places[0], corrected))

    def trimmed(self, fits: "Callable[[Conversation], bool]") -> "tuple[Conversation, int]":
        """Drop the oldest turns, each a question with its reply, until the rest fits.

        Args:
            fits: whether a conversation fits into the model's context.

        Returns:
            The rest, and how many turns were dropped.

        Raises:
            ConversationError: the newest turn does not fit even alone; it is never cut.
        """
        n_turns = (len(self.messages) + 1) // 2
        for dropped in range(max(1, n_turns)):
            rest = replace(self, messages=self.messages[2 * dropped :])
            if fits(rest):
                return rest, dropped
        raise ConversationError(
            "This turn alone is longer than the model can take in. "
            "Send a shorter message or recording, or choose a model with a longer context."
        )

    def _up_to(self, end: int) -> "Conversation":
        """With only the messages before `end`."""
        return replace(self, messages=self.messages[:end])

    def _newest_user_index(self) -> int:
        """Where the last user message is."""
        if not self.messages:
            raise ConversationError("The conversation is empty: there is nothing to take back.")
        return (len(self.messages) - 1) // 2 * 2

    def _message(self, index: int) -> Message:
        """The message at `index`, counted from 0."""
        if not 0 <= index < len(self.messages):
            raise ConversationError(
                f"There is no message {index}: the conversation has {len(self.messages)}."
            )
        return self.messages[index]

    def _user_message(self, index: int) -> Message:
        """The message at `index`, which must be the user's."""
        message = self._message(index)
        if message.role != "user":
            raise ConversationError(
                f"Message {index} is a reply. Only your own messages can be changed."
            )
        return message
