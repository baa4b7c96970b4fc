"""Exercises for the connectors: conversations of recordings and text, planned from packed clips.

An exercise has a written form, with each recording's transcript in its place, and a spoken one.
The LLM's reply to the first is what the second must draw too. Knows no model.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, TypeAlias

import numpy as np

from audiochat import prompts
from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import DataError
from audiochat.speech_data.held_out_voices import refuse_held_out
from audiochat.speech_data.packed import FULL_SCALE, PackedSpeech

Task: TypeAlias = Literal["answer", "transcribe", "translate", "summarise"]
Folders: TypeAlias = Mapping[str, PackedSpeech]

LANGUAGES = ("French", "Spanish", "German")
"""What recordings are translated into."""
GAP_S = 0.3
"""Between clips that make up one recording."""
_SILENCE = Waveform(np.zeros(1, np.float32))


@dataclass(frozen=True)
class Spoken:
    """One recording: clips of one kind, said one after the other."""

    clips: tuple[tuple[str, int], ...]
    """Each one's packed folder, by name, and its place in it."""
    text: str
    """The transcript."""

    def waveform(self, folders: Folders) -> Waveform:
        """The sound."""
        gap = np.zeros(int(GAP_S * SAMPLE_RATE), np.int16)
        pieces: list[np.ndarray] = []
        for folder, index in self.clips:
            pieces += [folders[folder].samples(index), gap]
        return Waveform(np.concatenate(pieces[:-1]).astype(np.float32) / FULL_SCALE)

    def check(self, folders: Folders) -> None:
        """See to it that the clips are there and say what is written.

        Raises:
            DataError: they are other clips than the responses were made for.
        """
        missing = {name for name, at in self.clips if not 0 <= at < len(folders.get(name, ()))}
        if missing:
            raise DataError(
                f"The responses speak of clips in {' and '.join(sorted(missing))} that --speech "
                "does not have: give the packed folders that `train responses` had."
            )
        said = " ".join(folders[name][at].text for name, at in self.clips)
        if said != self.text:
            raise DataError(
                f"The responses answer {self.text!r}, and the clip in {self.clips[0][0]} says "
                f"{said!r}: it was packed anew. Make the responses again with `train responses`."
            )


Part: TypeAlias = str | Spoken


@dataclass(frozen=True)
class Exercise:
    """What is said to the model, turn by turn; its own replies stand between the turns."""

    task: Task
    turns: tuple[tuple[Part, ...], ...]
    """The person's."""
    system_prompt: str = prompts.DEFAULT_SYSTEM_PROMPT

    @property
    def recordings(self) -> tuple[Spoken, ...]:
        """All of them, in order."""
        return tuple(part for turn in self.turns for part in turn if isinstance(part, Spoken))

    def written(self, replies: Sequence[str] = ()) -> Conversation:
        """The conversation in writing, up to the turn after the last of `replies`.

        Its recordings are silent ones whose words are put right: the prompt around them is the
        same as in speech.
        """
        return self._said(replies, lambda spoken: AudioPart(_SILENCE, corrected=spoken.text))

    def spoken(self, replies: Sequence[str], folders: Folders) -> Conversation:
        """The same with its recordings."""
        return self._said(replies, lambda spoken: AudioPart(spoken.waveform(folders)))

    def _said(
        self, replies: Sequence[str], recorded: Callable[[Spoken], AudioPart]
    ) -> Conversation:
        said = [
            Message.user(*(recorded(part) if isinstance(part, Spoken) else part for part in turn))
            for turn in self.turns[: len(replies) + 1]
        ]
        answered = [Message.assistant(reply) for reply in replies]
        messages = [m for pair in zip_longest(said, answered) for m in pair if m]
        return Conversation(tuple(messages), self.system_prompt)


def by_name(speech: Sequence[PackedSpeech]) -> Folders:
    """The packed folders by their names.

    Raises:
        DataError: two have the same.
    """
    folders = {source.folder.name: source for source in speech}
    if len(folders) < len(speech):
        raise DataError("Two folders of --speech have one name: responses know them by it.")
    return folders


@dataclass(frozen=True)
class Mix:
    """How often each kind of exercise comes; the rest are plain spoken turns."""

    history: float = 0.15
    """Follow an earlier turn, spoken or typed."""
    instructed: float = 0.1
    """Come with a typed request to answer."""
    transcribe: float = 0.08
    translate: float = 0.12
    summarise: float = 0.1
    """Of several clips."""
    other_system_prompt: float = 0.25
    """Of all kinds, stand under another system prompt than the default, or none."""


class Planner:
    """Draws exercises from packed speech; the same seed draws the same."""

    def __init__(
        self, folders: Folders, *, human_share: float, seed: int, mix: Mix | None = None
    ) -> None:
        """Choose the clips that can be used: of 1 to 10 s and at least three words.

        Raises:
            DataError: there is none, or one is of a voice kept for tests.
        """
        refuse_held_out(folders.values())
        self._draw = random.Random(seed)
        self._mix = mix or Mix()
        self._human_share = human_share
        self._left: dict[bool, list[tuple[str, int]]] = {True: [], False: []}
        self._folders = folders
        for name in sorted(folders):
            for index, clip in enumerate(folders[name]):
                if 1 <= clip.duration_s <= 10 and len(clip.text.split()) >= 3:
                    self._left[clip.human].append((name, index))
        for clips in self._left.values():
            self._draw.shuffle(clips)
        if not any(self._left.values()):
            raise DataError("No clip of --speech has 1 to 10 s and three words or more.")

    def plan(self, count: int) -> list[Exercise]:
        """At most `count` exercises: fewer when the clips run out, none of which is used twice."""
        exercises: list[Exercise] = []
        while len(exercises) < count and any(self._left.values()):
            exercises.append(self._exercise())
        return exercises

    def _exercise(self) -> Exercise:
        mix, draw = self._mix, self._draw
        system = prompts.DEFAULT_SYSTEM_PROMPT
        if draw.random() < mix.other_system_prompt:
            system = draw.choice(prompts.SYSTEM_PROMPTS)
        kind = draw.random()
        for share, make in (
            (mix.history, self._with_history),
            (mix.instructed, self._instructed),
            (mix.transcribe, self._transcribed),
            (mix.translate, self._translated),
            (mix.summarise, self._summarised),
        ):
            kind -= share
            if kind < 0:
                task, turns = make()
                return Exercise(task, turns, system)
        return Exercise("answer", ((self._recording(),),), system)

    def _recording(self, n_clips: int = 1) -> Spoken:
        """The next clips of one kind, one recording."""
        human = self._draw.random() < self._human_share
        left = self._left[human] or self._left[not human]
        clips = tuple(left.pop() for _ in range(min(n_clips, len(left))))
        return Spoken(clips, " ".join(self._folders[name][at].text for name, at in clips))

    def _either_side(self, instruction: str, recording: Spoken) -> tuple[Part, ...]:
        parts: list[Part] = [recording, instruction]
        return tuple(parts if self._draw.random() < 0.5 else parts[::-1])

    def _with_history(self) -> tuple[Task, tuple[tuple[Part, ...], ...]]:
        if sum(map(len, self._left.values())) < 2:
            return "answer", ((self._recording(),),)  # a plain turn: no second clip is left
        first, last = self._recording(), self._recording()
        turns: list[tuple[Part, ...]] = [(first,), (last,)]
        typed = self._draw.random()
        if typed < 0.4:
            turns[0] = (first.text,)
        elif typed < 0.6:
            turns[1] = (last.text,)
        return "answer", tuple(turns)

    def _instructed(self) -> tuple[Task, tuple[tuple[Part, ...], ...]]:
        return "answer", (self._either_side(prompts.ANSWER, self._recording()),)

    def _transcribed(self) -> tuple[Task, tuple[tuple[Part, ...], ...]]:
        return "transcribe", (self._either_side(prompts.TRANSCRIBE, self._recording()),)

    def _translated(self) -> tuple[Task, tuple[tuple[Part, ...], ...]]:
        instruction = prompts.translate(self._draw.choice(LANGUAGES))
        return "translate", (self._either_side(instruction, self._recording()),)

    def _summarised(self) -> tuple[Task, tuple[tuple[Part, ...], ...]]:
        recording = self._recording(self._draw.choice((2, 3)))
        return "summarise", (self._either_side(prompts.SUMMARISE, recording),)
