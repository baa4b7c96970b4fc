"""What one visitor's page shows, as a value: the conversation, and the turn being answered.

Knows nothing of Gradio. Every button of the page is one method here, so that what the page keeps
and what it shows cannot drift apart: the view is drawn from this value alone.
"""

from dataclasses import dataclass, field, replace
from typing import Self

from audiochat.backends.base import Heard
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import ConversationError
from audiochat.recording import Recording, Reply
from audiochat.sentences import beginning
from audiochat.turn import Speech, Timings

STOPPED_EARLY = "Stopped before an answer came."


@dataclass(frozen=True)
class Session:
    """The conversation, and beside it the turn that has no whole answer yet."""

    conversation: Conversation = field(default_factory=Conversation)

    notes: tuple[Reply, ...] = ()
    """One for each reply of the conversation, in order."""

    asked: Message | None = None
    """The user's turn being answered, or left unanswered by a stop or a failure."""

    partial: str = ""
    """The reply to `asked` as far as it is written."""

    by: str = ""
    """The model that answers `asked`, as a person reads its name."""

    spoken: tuple[Speech, ...] = ()
    """The pieces of that reply voiced so far."""

    trouble: str = ""
    """Why `asked` has no answer, for the person; empty while it may still come."""

    anew: bool = False
    """Whether `asked` had a reply already, and another one is wanted."""

    rival: Self | None = None
    """The same turn as another model answers it, to be compared; its history is this one's."""

    @property
    def waiting(self) -> bool:
        """Whether a turn is still to be answered."""
        return self.asked is not None and not self.trouble

    @property
    def working(self) -> bool:
        """Whether a model is still to answer, this one or the other."""
        return self.waiting or (self.rival is not None and self.rival.waiting)

    @property
    def n_bytes(self) -> int:
        """Memory that its sounds take, those of both models."""
        heard = [part.waveform for message in self.shown for part in message.audio_parts]
        said = [note.speech for note in self.notes if note.speech is not None]
        said += [piece.waveform for piece in self.spoken]
        rival = self.rival.n_bytes if self.rival is not None else 0
        return rival + sum(waveform.samples.nbytes for waveform in (*heard, *said))

    @property
    def question(self) -> Conversation:
        """The conversation to answer: the history and the turn asked."""
        if self.asked is None:
            raise ConversationError("There is nothing to answer yet: record, upload or type.")
        return self.conversation.add(self.asked)

    @property
    def shown(self) -> tuple[Message, ...]:
        """Every message of the view, in order."""
        messages = self.conversation.messages
        if self.asked is not None:
            messages += (self.asked,)
            if self.partial:
                messages += (Message("assistant", (self.partial,)),)
        return messages

    # The buttons.

    def ask(self, message: Message) -> Self:
        """Put a new turn; one that was left unanswered gives way to it."""
        now = self.settled()
        return replace(now._idle(now.conversation), asked=message)

    def retry(self) -> Self:
        """Ask the last turn again: the unanswered one, or the last that has a reply."""
        now = self.settled()
        if now.asked is not None:
            return replace(now.ask(now.asked), anew=now.anew)
        return replace(now._reopened(now.conversation.retry()), anew=True)

    def undo(self) -> Self:
        """Take back the last turn, answered or not."""
        now = self.settled()
        if now.asked is not None:
            return now._idle(now.conversation)
        return now._idle(now.conversation.undo())

    def edit(self, index: int, text: str) -> Self:
        """Replace the user's message at `index` of the view by text and ask that."""
        now = self.settled()
        if now.asked is not None and index == len(now.conversation.messages):
            return now.ask(Message.user(text))
        return now._reopened(now.conversation.edit(index, text))

    def correct(self, words: str, index: int | None = None) -> Self:
        """Say what the spoken turn at `index` (the newest) really said, and ask again."""
        now = self.settled()
        if index is None:
            index = now.last_spoken
        if index is None:
            raise ConversationError("There is no recording to correct: the last turn was typed.")
        if now.asked is not None and index == len(now.conversation.messages):
            now = replace(now, conversation=now.question)
        return now._reopened(now.conversation.correct(index, words))

    def cleared(self) -> Self:
        """Forget everything but the system prompt."""
        return type(self)(Conversation(system_prompt=self.conversation.system_prompt))

    def swapped(self) -> Self:
        """Go on with the other model's reply; this one's can be swapped back.

        Raises:
            ConversationError: there is no other reply.
        """
        other = self.settled().rival
        if other is None or other.trouble or other.waiting:
            raise ConversationError("The other model has not answered this turn.")
        return replace(other, rival=replace(self, rival=None))

    def settled(self) -> Self:
        """End a turn that is still being answered: what is written stays, marked as stopped."""
        if self.rival is not None and self.rival.waiting:
            return replace(self, rival=self.rival.settled())
        if not self.waiting or self.asked is None:
            return self
        if not self.partial.strip():
            return self.failed(STOPPED_EARLY)
        reply = Message("assistant", (self.partial.strip(),), stopped=True)
        return self.answered(self.question.add(reply), None)

    def interrupted(self, n_pieces: int) -> Self:
        """Keep of the last reply what was said of it: as many spoken pieces, and their words."""
        messages = self.conversation.messages
        pieces = self.notes[-1].pieces if self.notes else ()
        if self.asked is not None or not messages or not pieces or n_pieces <= 0:
            return self
        # Of one that was stopped while it was written, more may be there than was ever voiced.
        if n_pieces >= len(pieces) and not messages[-1].stopped:
            return self
        said = pieces[:n_pieces]
        text = beginning(messages[-1].text, (piece.text for piece in said))
        reply = Message.assistant(text, stopped=True)
        conversation = replace(self.conversation, messages=(*messages[:-1], reply))
        note = replace(self.notes[-1], pieces=said)
        return replace(self, conversation=conversation, notes=(*self.notes[:-1], note))

    # What happens to a turn while it is answered.

    def heard(self, event: Heard) -> Self:
        """Note what was understood of the turn asked."""
        conversation = self.question.with_heard(
            event.message_index,
            event.part_index,
            event.text,
            event.confidence,
            words=event.words,
        )
        return replace(
            self,
            conversation=replace(conversation, messages=conversation.messages[:-1]),
            asked=conversation.messages[-1],
        )

    def written(self, text: str) -> Self:
        """Add the next piece of the reply."""
        return replace(self, partial=self.partial + text)

    def voiced(self, speech: Speech) -> Self:
        """Keep the next spoken piece of the reply."""
        return replace(self, spoken=(*self.spoken, speech))

    def answered(self, conversation: Conversation, timings: Timings | None) -> Self:
        """Close the turn with the conversation that holds its reply."""
        note = Reply(self.spoken, timings, self.by)
        return replace(self, notes=(*self.notes, note))._idle(conversation)

    def failed(self, sentence: str) -> Self:
        """Leave the turn unanswered, with the reason; the conversation stays as it was.

        What was already written stays in view until the turn is asked again.
        """
        return replace(self, spoken=(), trouble=sentence)

    # What the page asks of it.

    def recording(self, model: str) -> Recording:
        """The conversation to be written down, with what is written of a reply that broke off.

        Raises:
            ConversationError: nothing was said yet.
        """
        conversation, notes = self.conversation, self.notes
        if self.asked is not None:
            conversation = conversation.add(self.asked)
            if self.partial.strip():
                broken = Message.assistant(self.partial.strip(), stopped=True)
                conversation, notes = conversation.add(broken), (*notes, Reply(self.spoken))
        return Recording(conversation, notes, model)

    @property
    def last_spoken(self) -> int | None:
        """Index in the view of the newest turn, if it holds a recording."""
        asked = [index for index, message in enumerate(self.shown) if message.role == "user"]
        return asked[-1] if asked and self.shown[asked[-1]].audio_parts else None

    @property
    def last_words(self) -> str:
        """What was heard of that recording, to be corrected."""
        if self.last_spoken is None:
            return ""
        parts = self.shown[self.last_spoken].parts
        return " ".join(part.words for part in parts if isinstance(part, AudioPart)).strip()

    def _reopened(self, conversation: Conversation) -> Self:
        """Put the last message, which is the user's, as the turn asked."""
        *history, asked = conversation.messages
        now = self._idle(replace(conversation, messages=tuple(history)))
        return replace(now, asked=asked)

    def _idle(self, conversation: Conversation) -> Self:
        """Stand at the end of that conversation, its notes kept."""
        replies = sum(message.role == "assistant" for message in conversation.messages)
        return type(self)(conversation, self.notes[:replies])
