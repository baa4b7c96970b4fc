"""A recording too long for one prompt: its parts are answered, then the parts' answers.

Plain turns of conversations; what each costs is asked of the model, what is written is its own.
"""

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from audiochat import prompts
from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.model.audio_chat_llama import Arm, AudioChatLlama, Prompt
from audiochat.model.generate import Token
from audiochat.model.streaming import frame_samples
from audiochat.model.windows import WINDOW_S, part_of, window_cuts
from audiochat.sampling import Sampling

PART_POSITIONS = 1024
"""Most positions of a part, about five minutes of speech: reading them takes seconds, and between
two parts the work can be stopped."""
NOTE_TOKENS = 96
"""Longest answer to one part of those that are only read on."""
ROOM_SHARE = 0.6
"""Of the room for a reply, what a part may take whose reply is as long as itself."""


@dataclass(frozen=True)
class LongRecording:
    """The newest recording of a conversation, and the parts that it is answered in."""

    conversation: Conversation
    part_index: int
    """Of the newest message."""
    parts: tuple[Waveform, ...]

    @property
    def task(self) -> str:
        """What is to be done with it, as it was typed; empty where the recording says it."""
        return " ".join(part for part in self._message.parts if isinstance(part, str)).strip()

    @property
    def joins(self) -> bool:
        """Whether the answers to the parts, one after the other, are the answer."""
        return prompts.joins(self.task)

    def question(self, number: int) -> Conversation:
        """What is asked of a part, from 1 on."""
        audio = AudioPart(self.parts[number - 1])
        message = self._message.with_part(self.part_index, audio)
        if not self.task:
            message = Message.user(prompts.SUMMARISE, *message.parts)
        return replace(self.conversation, messages=(message,))

    @property
    def around(self) -> Conversation:
        """What is asked of a part, without its sound."""
        question = self.question(1)
        kept = tuple(part for part in question.messages[0].parts if isinstance(part, str))
        return replace(question, messages=(Message.user(*kept),))

    def over(self, notes: Sequence[str]) -> Conversation:
        """The conversation with the recording replaced by what was answered to its parts."""
        words = prompts.notes(notes)
        message = Message.user(words, self.task or prompts.ANSWER)
        return replace(self.conversation, messages=(*self.conversation.messages[:-1], message))

    @property
    def _message(self) -> Message:
        return self.conversation.messages[-1]


@dataclass(frozen=True)
class PartAnswer:
    """What was answered to one part, and what it took."""

    text: str
    prompt_tokens: int
    reused_tokens: int
    reply_tokens: int
    cut_off: bool
    """Whether it ended for want of room, not by itself."""


def find(
    model: AudioChatLlama, conversation: Conversation, sampling: Sampling, arm: Arm
) -> LongRecording | None:
    """The newest message's longest recording, if it is too long for one prompt and its reply."""
    message = conversation.messages[-1]
    places = [
        (len(part.waveform.samples), index)
        for index, part in enumerate(message.parts)
        if isinstance(part, AudioPart) and not part.corrected
    ]
    # What is heard at once fits, and need not be counted.
    if not places or max(places)[0] <= WINDOW_S * SAMPLE_RATE:
        return None
    index = max(places)[1]
    part = message.parts[index]
    assert isinstance(part, AudioPart)
    whole = LongRecording(conversation, index, (part.waveform,))
    n_all = model.count(whole.question(1), arm)
    n_around = model.count(whole.around, arm)
    room = min(PART_POSITIONS, model.room(sampling) - n_around)
    if whole.joins:
        room = min(room, int(ROOM_SHARE * sampling.max_new_tokens))
    if n_all - n_around <= max(room, 1):
        return None
    parts = _parts(model, part.waveform, n_all - n_around, max(room, 1))
    return replace(whole, parts=parts)


def _parts(
    model: AudioChatLlama, waveform: Waveform, n_positions: int, room: int
) -> tuple[Waveform, ...]:
    """A recording that takes so many positions cut into parts that keep to the room, all heard."""
    ear, units, hearing = model.parts.ear, model.parts.units, model.hear(waveform)
    cuts = window_cuts(waveform, ear)
    # Positions go with the words: what a window takes is told by its share of all units.
    at = np.searchsorted(hearing.reading.frames, cuts)
    share = n_positions / max(1, len(hearing.reading.frames))
    sizes = [math.ceil(share * (last - first)) for first, last in pairwise(at.tolist())]
    frame = frame_samples(ear.encoder.config)
    parts = []
    for first, last in pairwise(cuts[start] for start in grouped(sizes, room)):
        part = Waveform(waveform.samples[first * frame : last * frame])
        heard = part_of(hearing, first, last, units)
        if heard.text:  # a part of silence says nothing
            model.keep(part, heard)
            parts.append(part)
    return tuple(parts)


def grouped(sizes: Sequence[int], room: int) -> list[int]:
    """Neighbours put together into the fewest groups that keep to the room, of about one size.

    Returns:
        Where each group starts, and the end; a window larger than the room stands alone.
    """
    fewest = len(_filled(sizes, room))
    return next(
        groups for limit in range(1, room + 1) if len(groups := _filled(sizes, limit)) <= fewest
    )


def _filled(sizes: Sequence[int], limit: int) -> list[int]:
    """As `grouped`, each group as full as the limit allows."""
    starts, filled = [0], 0
    for index, size in enumerate(sizes):
        if filled and filled + size > limit:
            starts.append(index)
            filled = 0
        filled += size
    return [*starts, len(sizes)]


def answered(
    model: AudioChatLlama, recording: LongRecording, sampling: Sampling, arm: Arm
) -> Generator[tuple[int, Token], None, list[PartAnswer]]:
    """Answer every part, greedily where the answers are only read on.

    Yields:
        The number of the part and the next token, so that closing it stops the work at once. Where
        the answers join, a later part's first piece begins with the blank line before it.

    Returns:
        The answers.
    """
    if not recording.joins:
        longest = min(NOTE_TOKENS, sampling.max_new_tokens)
        sampling = replace(sampling, temperature=0.0, max_new_tokens=longest)
    answers = []
    for number in range(1, len(recording.parts) + 1):
        prompt = model.prepare(recording.question(number), sampling, arm=arm)
        answers.append((yield from _part_answered(model, prompt, sampling, number, recording)))
    return answers


def _part_answered(
    model: AudioChatLlama, prompt: Prompt, sampling: Sampling, number: int, recording: LongRecording
) -> Generator[tuple[int, Token], None, PartAnswer]:
    """Answer one part, as in `answered`."""
    text, count, cut_off = "", 0, False
    with closing(model.stream(prompt, sampling)) as tokens:
        while True:
            try:
                token = next(tokens)
            except StopIteration as end:
                reused: int = end.value
                break
            opens = recording.joins and number > 1 and token.piece and not text
            text += token.piece
            count += 1
            cut_off = token.finish_reason == "length"
            yield number, replace(token, piece="\n\n" + token.piece) if opens else token
    return PartAnswer(text.strip(), len(prompt.keys), reused, count, cut_off)
