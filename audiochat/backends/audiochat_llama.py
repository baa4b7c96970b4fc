"""AudioChatLlama as a backend: by its connectors, or as the cascade of its own ear and LLM."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from threading import Lock
from weakref import WeakValueDictionary

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.backends.base import BackendEvent, Heard, Notice, Progress, TextPiece, Usage, Working
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import ModelError
from audiochat.model import long_recordings
from audiochat.model.alignment import timed_words
from audiochat.model.audio_chat_llama import Arm, AudioChatLlama
from audiochat.model.audio_embeds import embedding_alignment
from audiochat.model.ear import Hearing
from audiochat.model.embedding_alignment import EmbeddingAlignment
from audiochat.model.generate import Token
from audiochat.model.loading import load as load_model
from audiochat.model.long_recordings import LongRecording, PartAnswer
from audiochat.model.streaming import frame_samples
from audiochat.sampling import Sampling

_LABELS = {
    "hybrid": "AudioChatLlama (hybrid connector)",
    "end_to_end": "AudioChatLlama (end to end)",
    "cascade": "Cascade: the same ear, then the same LLM",
}


class AudioChatLlamaBackend:
    """Answers through one way of hearing."""

    def __init__(self, name: str, model: AudioChatLlama, arm: Arm | None = None) -> None:
        """`name`: what it was chosen by; `arm`: the model's best when None."""
        self.name, self.model = name, model
        self.arm: Arm = arm or model.arm
        self.label = _LABELS[self.arm]

    def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        """Say what was heard where the conversation does not say it yet, then answer.

        Where the LLM hears the sound itself, what was heard is said once the reply is written; of
        a reply that is stopped before, with the next one.
        """
        for number, n_windows in self.model.hear_long(conversation):
            yield Working("Listening", number, n_windows)
        self.model.heard(conversation, self.arm)
        if self.arm != "end_to_end":
            yield from self._heard(conversation)
        recording = long_recordings.find(self.model, conversation, sampling, self.arm)
        if recording is None:
            yield from self._answer(conversation, sampling)
        else:
            yield from self._answer_in_parts(recording, sampling)
        if self.arm == "end_to_end":
            yield from self._heard(conversation)

    def _heard(self, conversation: Conversation) -> Iterator[BackendEvent]:
        newest = len(conversation.messages) - 1
        for message_index, part_index, hearing in self.model.hear_all(conversation):
            part = conversation.messages[message_index].parts[part_index]
            assert isinstance(part, AudioPart)
            if not hearing.text:  # the words that were replied to, if not those of the search
                hearing = self.model.hear_for(self.arm, part.waveform)
            if message_index == newest or part.heard is None:
                yield self._told(hearing, part.waveform, message_index, part_index)

    def _answer(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        prompt = self.model.prepare(conversation, sampling, arm=self.arm)
        if prompt.n_dropped:
            turns = "turn was" if prompt.n_dropped == 1 else "turns were"
            yield Notice(
                f"The oldest {prompt.n_dropped} {turns} left out: the conversation has grown past "
                "what the model can hold.",
                kind="trimmed",
            )
        stream = self.model.stream(prompt, sampling)
        token: Token | None = None
        count = reused = 0
        try:
            while True:
                try:
                    token = next(stream)
                except StopIteration as end:
                    reused = end.value
                    break
                count += 1
                if token.piece:
                    yield TextPiece(token.piece)
        finally:
            stream.close()
        reason = (token.finish_reason if token else None) or "length"
        yield Usage(len(prompt.keys), reused, count, reason)

    def _answer_in_parts(
        self, recording: LongRecording, sampling: Sampling
    ) -> Iterator[BackendEvent]:
        """Answer part by part; what only leads to the answer is shown as work being done."""
        n_parts = len(recording.parts)
        yield Working("Reading", 1, n_parts)
        with closing(long_recordings.answered(self.model, recording, sampling, self.arm)) as parts:
            while True:
                try:
                    number, token = next(parts)
                except StopIteration as end:
                    answers: list[PartAnswer] = end.value
                    break
                if not recording.joins:
                    yield Working("Reading", number, n_parts)
                elif token.piece:
                    yield TextPiece(token.piece)
        if recording.joins:
            yield _usage_of(answers)
        else:
            notes = [answer.text for answer in answers]
            yield from self._answer(recording.over(notes), sampling)

    def hear_ahead(self, waveform: Waveform, before: Sequence[Message] = ()) -> None:
        """Hear a recording while its last silence is waited for, as far as the reply waits for it.

        Of one that has grown since it was heard last, only the newest windows are left to hear.
        """
        self.model.hear_for(self.arm, waveform, self.model.expected(before))

    def align(self, waveform: Waveform, transcript: str | None = None) -> EmbeddingAlignment:
        """Lay the recording's audio embeddings beside the words; those heard when None.

        Raises:
            ModelError: this arm gives the LLM words alone, or there are none.
        """
        hearing = self.model.hear_told(waveform, transcript or "")
        return embedding_alignment(
            self.arm, self.model.parts, self.model.lm, hearing, transcript=transcript
        )

    def _told(
        self, hearing: Hearing, waveform: Waveform, message_index: int, part_index: int
    ) -> Heard:
        frame_s = frame_samples(self.model.parts.config.encoder) / SAMPLE_RATE
        words = timed_words(hearing.reading, frame_s, waveform)
        return Heard(hearing.text, hearing.confidence, message_index, part_index, words)

    def close(self) -> None:
        """Free what was kept of earlier turns."""
        self.model.close()


def _usage_of(answers: Sequence[PartAnswer]) -> Usage:
    """What a reply joined of the answers to the parts took, all together."""
    return Usage(
        sum(answer.prompt_tokens for answer in answers),
        sum(answer.reused_tokens for answer in answers),
        sum(answer.reply_tokens for answer in answers),
        "length" if any(answer.cut_off for answer in answers) else "stop",
    )


def load(
    name: str, *, weights: str = "embedded", progress: Progress | None = None
) -> AudioChatLlamaBackend:
    """The embedded model, or that of the folder `weights`, by its best connector."""
    return AudioChatLlamaBackend(name, _shared(weights, progress))


def load_cascade(
    name: str, *, weights: str = "embedded", progress: Progress | None = None
) -> AudioChatLlamaBackend:
    """The ear and the LLM of that model, joined by the words alone."""
    return AudioChatLlamaBackend(name, _shared(weights, progress), "cascade")


def load_end_to_end(
    name: str, *, weights: str = "embedded", progress: Progress | None = None
) -> AudioChatLlamaBackend:
    """That model by connector A.

    Raises:
        ModelError: the weights have no such connector.
    """
    model = _shared(weights, progress)
    if "end_to_end" not in model.parts.connectors:
        raise ModelError(f"The {weights} weights have no end-to-end connector: take another model.")
    return AudioChatLlamaBackend(name, model, "end_to_end")


_loaded: WeakValueDictionary[str, AudioChatLlama] = WeakValueDictionary()
_loading = Lock()


def _shared(weights: str, progress: Progress | None) -> AudioChatLlama:
    """The model of these weights, one for all arms in use: a second would double the memory."""
    with _loading:
        model = _loaded.get(weights)
        if model is None:
            model = _loaded[weights] = load_model(weights, progress=progress)
            model.warm_up()
        return model
