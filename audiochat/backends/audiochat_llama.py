"""AudioChatLlama as a backend: by its connectors, or as the cascade of its own ear and LLM."""

from collections.abc import Iterator

from audiochat.backends.base import BackendEvent, Heard, Notice, Progress, TextPiece, Usage
from audiochat.conversation import Conversation
from audiochat.model.audio_chat_llama import Arm, AudioChatLlama
from audiochat.model.audio_chat_llama import load as load_model
from audiochat.model.generate import Token
from audiochat.sampling import Sampling

_LABELS = {
    "hybrid": "AudioChatLlama (hybrid connector)",
    "end_to_end": "AudioChatLlama (end to end)",
    "cascade": "Cascade: the same ear, then the same LLM",
}


class AudioChatLlamaBackend:
    """Answers through one way of hearing."""

    def __init__(self, name: str, model: AudioChatLlama) -> None:
        """`name`: what it was chosen by."""
        self.name, self.model = name, model
        self.label = _LABELS[model.arm]

    def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        """Say what was heard where the conversation does not say it yet, then answer."""
        prompt = self.model.prepare(conversation, sampling)
        for message_index, part_index, hearing in prompt.hearings:
            yield Heard(hearing.text, hearing.confidence, message_index, part_index)
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

    def close(self) -> None:
        """Free what was kept of earlier turns."""
        self.model.close()


def load(name: str, *, progress: Progress | None = None) -> AudioChatLlamaBackend:
    """The embedded model, or the weights folder `name`, by its best connector."""
    return _load(name, None, progress)


def load_cascade(name: str, *, progress: Progress | None = None) -> AudioChatLlamaBackend:
    """The embedded model's ear and LLM, joined by the words alone."""
    return _load("embedded", "cascade", progress, chosen_by=name)


def load_end_to_end(name: str, *, progress: Progress | None = None) -> AudioChatLlamaBackend:
    """The embedded model by connector A."""
    return _load("embedded", "end_to_end", progress, chosen_by=name)


def _load(
    weights: str, arm: Arm | None, progress: Progress | None, chosen_by: str = ""
) -> AudioChatLlamaBackend:
    model = load_model(weights, arm=arm, progress=progress)
    return AudioChatLlamaBackend(chosen_by or weights, model)
