"""What a manifest asks of the model: a recording with its task, instruction and history.

One conversation serves every arm: the arm that reads gets each recording's words in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audiochat import prompts
from audiochat.audio import RECORDING_LIMITS, Waveform, decode
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import AudioError, DataError
from audiochat.evaluation.clips import Clip, Noises, lay_noise, read_clips
from audiochat.speech_data.manifest import Manifest

ANSWER, TRANSCRIBE, TRANSLATE, SUMMARISE = "answer", "transcribe", "translate", "summarise"
TASKS = (ANSWER, TRANSCRIBE, TRANSLATE, SUMMARISE)

DEFAULT_LANGUAGE = "French"
"""What is translated into where the manifest names no language."""


@dataclass(frozen=True)
class Case:
    """One clip and all that is said and typed with it."""

    clip: Clip
    task: str
    messages: tuple[Message, ...]
    """The history and the newest message; every recording has its transcript as `corrected`."""
    answers: tuple[str, ...] = ()
    """The right answers, or the reference texts of a translation or summary."""
    forbidden: tuple[str, ...] = ()
    """Words that show that an order inside the recording was obeyed."""

    def conversation(self, system_prompt: str, *, written: bool) -> Conversation:
        """The conversation to answer: in writing, or with its recordings to hear."""
        if written:
            return Conversation(self.messages, system_prompt)
        heard = tuple(_with_recordings(m, _unwritten) for m in self.messages)
        return Conversation(heard, system_prompt)

    @property
    def has_history(self) -> bool:
        """Whether something was said before."""
        return len(self.messages) > 1

    def without_history(self) -> Case:
        """The newest message alone."""
        return replace(self, messages=self.messages[-1:])


@dataclass(frozen=True)
class CaseSet:
    """The cases that can be asked, and a sentence for each line that cannot."""

    cases: tuple[Case, ...]
    problems: tuple[str, ...]


def read_cases(manifest: Path, audio_root: Path, limit: int | None = None) -> CaseSet:
    """Read a manifest and everything its lines name; `limit` keeps the first lines alone.

    Raises:
        DataError: More than 1 % of the lines are bad, or none is left.
    """
    read = read_clips(manifest, audio_root, limit)
    cases: list[Case] = []
    problems: list[str] = []
    for clip in read.clips:
        try:
            cases.append(case_of(clip, audio_root))
        except (AudioError, DataError) as error:
            problems.append(f"{manifest}:{clip.line.number}: {error}")
    good = Manifest(tuple(case.clip.line for case in cases), read.problems)
    return CaseSet(tuple(cases), good.with_problems(problems, str(manifest)).problems)


def case_of(clip: Clip, audio_root: Path) -> Case:
    """Build the case of one clip from the optional fields of its line.

    Raises:
        DataError: A field is not what it should be.
        AudioError: A recording of the history cannot be used.
    """
    fields = clip.line.extra
    task = fields.get("task") or ANSWER
    if task not in TASKS:
        raise DataError(f"`task` must be one of {', '.join(TASKS)}, not {task!r}.")
    recording = AudioPart(clip.waveform, corrected=clip.line.text)
    instruction = _instruction(task, fields)
    first = fields.get("instruction_first") or False
    if not isinstance(first, bool):
        raise DataError(f"`instruction_first` must be true or false, not {first!r}.")
    parts = (instruction, recording) if first else (recording, instruction)
    return Case(
        clip=clip,
        task=task,
        messages=(*_history(fields.get("history"), audio_root), Message.user(*parts)),
        answers=_texts("answer", fields.get("answer")),
        forbidden=_texts("forbidden", fields.get("forbidden")),
    )


def with_noise(cases: Sequence[Case], noises: Noises, snr_db: float) -> Iterator[Case]:
    """Lay noise over every recording, one case at a time.

    The newest recordings get the same noise as the clips of `evaluate asr`.
    """
    newest = lay_noise((case.clip.waveform for case in cases), noises, snr_db)
    before = (part for c in cases for m in c.messages[:-1] for part in m.audio_parts)
    earlier = lay_noise((part.waveform for part in before), noises, snr_db)
    for case, waveform in zip(cases, newest, strict=True):
        history = [_sounding(message, earlier) for message in case.messages[:-1]]
        last = _sounding(case.messages[-1], iter([waveform]))
        clip = replace(case.clip, waveform=waveform)
        yield replace(case, clip=clip, messages=(*history, last))


def _instruction(task: str, fields: Mapping[str, Any]) -> str:
    """What is typed beside the recording; "" is nothing."""
    given = _text("instruction", fields.get("instruction") or "")
    language = _text("language", fields.get("language") or DEFAULT_LANGUAGE)
    usual = {
        ANSWER: "",
        TRANSCRIBE: prompts.TRANSCRIBE,
        TRANSLATE: prompts.translate(language),
        SUMMARISE: prompts.SUMMARISE,
    }
    return given or usual[task]


def _history(entries: object, audio_root: Path) -> tuple[Message, ...]:
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise DataError("`history` must be a list of messages.")
    messages = tuple(_message(entry, audio_root) for entry in entries)
    roles = [message.role for message in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise DataError(
            "`history` must alternate between user and assistant, from a user's message to a reply."
        )
    return messages


def _message(entry: object, audio_root: Path) -> Message:
    if not isinstance(entry, dict) or entry.get("role") not in {"user", "assistant"}:
        raise DataError('each message of `history` needs a `role`, "user" or "assistant".')
    words = _text("text", entry.get("text"))
    if entry["role"] == "assistant":
        return Message.assistant(words)
    if not words.strip():
        raise DataError("a user's message of `history` has no `text`.")
    if entry.get("audio") is None:
        return Message.user(words)
    name = Path(_text("audio", entry["audio"]))
    if name.is_absolute() or ".." in name.parts or not (audio_root / name).is_file():
        raise DataError(f"`history` names {name}, which is no sound file under the audio root.")
    return Message.user(AudioPart(decode(audio_root / name, RECORDING_LIMITS), corrected=words))


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"`{field}` must be a text, not {value!r}.")
    return value


def _texts(field: str, value: object) -> tuple[str, ...]:
    """A text or number, or a list of them, as texts; none where there is nothing."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    for one in values:
        if not isinstance(one, str | int | float) or isinstance(one, bool):
            raise DataError(f"`{field}` must be a text or a list of texts, not {value!r}.")
    return tuple(str(one) for one in values if str(one).strip())


def _with_recordings(message: Message, change: Callable[[AudioPart], AudioPart]) -> Message:
    parts = (change(part) if isinstance(part, AudioPart) else part for part in message.parts)
    return replace(message, parts=tuple(parts))


def _sounding(message: Message, waveforms: Iterator[Waveform]) -> Message:
    """The message with its recordings replaced by the next ones."""
    return _with_recordings(message, lambda part: replace(part, waveform=next(waveforms)))


def _unwritten(part: AudioPart) -> AudioPart:
    return replace(part, corrected=None)
