"""Examples for the connectors: exercises as the LLM reads them, heard once by the ear."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from audiochat.audio import Waveform
from audiochat.conversation import AudioPart, Conversation
from audiochat.model.audio_embeds import UNHEARD
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.ear import Hearing, Read, as_batch
from audiochat.model.hearings import in_words
from audiochat.model.language_model import LanguageModel
from audiochat.model.prompt import AudioSegment, assemble, prompt_ids
from audiochat.model.windows import hear_whole
from audiochat.speech_data.augmentation import Augmentation
from audiochat.training.exercises import Folders, Spoken
from audiochat.training.responses import Response


@dataclass(frozen=True)
class Recording:
    """One recording of an example."""

    waveform: Waveform
    hearing: Hearing
    """Of the ear as it was at the start, its words by the search that is used."""
    targets: tuple[int, ...]
    """Its words as CTC units."""


@dataclass(frozen=True)
class Example:
    """One exercise and the response that its spoken form must draw."""

    group: str
    """The system prompt: examples of one group begin alike."""
    spoken: tuple[tuple[int, ...] | int, ...]
    """Runs of tokens, and between them the places of `recordings`."""
    written: tuple[int, ...]
    """The prompt with the transcripts."""
    cascade: tuple[int, ...]
    """The prompt with the words heard."""
    recordings: tuple[Recording, ...]
    response: tuple[int, ...]

    @property
    def length(self) -> int:
        """About how many positions it has."""
        return len(self.written) + len(self.response)


def hear_examples(
    responses: Sequence[Response],
    folders: Folders,
    parts: TrainedParts,
    lm: LanguageModel,
    *,
    read: Read | None,
    max_response_tokens: int,
    augmentation: Augmentation | None = None,
) -> Iterator[Example]:
    """Hear every exercise that has a recording; the words by `read`, greedily when None.

    With `augmentation` every other exercise is changed by it: the ear mishears its own training
    clips too seldom to learn from.

    Raises:
        DataError: the responses are not to the clips of `folders`.
    """
    for response in responses:
        for spoken in response.exercise.recordings:
            spoken.check(folders)
    for number, response in enumerate(responses):
        exercise = response.exercise
        if not exercise.recordings:
            continue
        conversation = exercise.spoken(response.replies, folders)
        if augmentation and number % 2:
            conversation = _changed(conversation, augmentation, number)
        said = [
            _hear(part, spoken, parts, folders, read)
            for part, spoken in zip(_audio_parts(conversation), exercise.recordings, strict=True)
        ]
        heard = [one.hearing.text or UNHEARD for one in said]
        yield Example(
            group=exercise.system_prompt,
            spoken=tuple(_segments(conversation, lm)),
            written=tuple(prompt_ids(lm, exercise.written(response.replies))),
            cascade=tuple(prompt_ids(lm, in_words(conversation, heard))),
            recordings=tuple(said),
            response=response.ids[:max_response_tokens],
        )


def _hear(
    part: AudioPart, spoken: Spoken, parts: TrainedParts, folders: Folders, read: Read | None
) -> Recording:
    hearing = hear_whole(parts.ear, parts.units, part.waveform, read)
    words = " ".join(folders[folder][index].spoken for folder, index in spoken.clips)
    return Recording(part.waveform, hearing, tuple(parts.units.encode(words)))


def _audio_parts(conversation: Conversation) -> list[AudioPart]:
    return [part for message in conversation.messages for part in message.audio_parts]


def _segments(conversation: Conversation, lm: LanguageModel) -> Iterator[tuple[int, ...] | int]:
    """Runs of tokens, and the number of each recording."""
    number = 0
    for segment in assemble(conversation, lm):
        if isinstance(segment, AudioSegment):
            yield number
            number += 1
        else:
            yield segment.ids


def _changed(conversation: Conversation, augmentation: Augmentation, number: int) -> Conversation:
    """Every recording as the augmentation's draw of that number makes it."""
    augmentation.begin(number)
    messages = []
    for message in conversation.messages:
        for at, part in enumerate(message.parts):
            if isinstance(part, AudioPart):
                samples, counts = augmentation.samples(*as_batch([part.waveform]))
                changed = Waveform(samples[0, : int(counts[0])].numpy())
                message = message.with_part(at, replace(part, waveform=changed))
        messages.append(message)
    return replace(conversation, messages=tuple(messages))
