"""Answers the turn of a session, step by step, with the model and the voice of this process.

Knows nothing of Gradio: the page shows the steps as they come, `/chat` waits for the last one.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from audiochat.audio import Waveform
from audiochat.backends.base import Aligning, Heard, HearsAhead, Notice, TextPiece, Working
from audiochat.conversation import Conversation, Message
from audiochat.errors import AudioChatError, ModelError, VoiceError
from audiochat.model.embedding_alignment import EmbeddingAlignment
from audiochat.prompts import DEFAULT_SYSTEM_PROMPT
from audiochat.sampling import Sampling
from audiochat.turn import Done, Event, Speech, answer
from audiochat.ui.line import Line
from audiochat.ui.model_loading import Loading, Models
from audiochat.ui.session import Session
from audiochat.voices.base import Voice, VoiceStyle

POLL_S = 0.25
"""While a turn waits, for a model or in line, it is let go at this interval if it was stopped."""

MEANWHILE_S = 15.0
"""Longest recording that is heard before its turn has begun."""

ANEW_TEMPERATURE, ANEW_TOP_P = 0.7, 0.9
"""How another reply is drawn where the settings say that the likeliest one be taken."""

PREVIEW = "Hello! This is how I sound when I answer you."

OnGpu = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A decorator for the one function that computes: `spaces.GPU` on ZeroGPU."""


@dataclass(frozen=True)
class Settings:
    """What the settings panel says."""

    model: str
    system_prompt: str = DEFAULT_SYSTEM_PROMPT
    sampling: Sampling = field(default_factory=Sampling)
    style: VoiceStyle | None = field(default_factory=VoiceStyle)
    """None: the reply is not spoken."""
    rival: str = ""
    """Another model that answers the same turn too; empty for none."""


@dataclass(frozen=True)
class Step:
    """The session after the next thing happened, and what that was."""

    session: Session
    stage: str
    """In a word or two, what is being done: for the state line."""
    speech: Speech | None = None
    notice: str = ""
    """A sentence for the person, beside the conversation."""
    fraction: float | None = None
    """How far a long recording is; None where nothing is counted."""


class Answering:
    """The models and the voice of one process, and how a turn is answered with them."""

    def __init__(
        self, models: Models, voice: Loading[Voice | None], *, on_gpu: OnGpu | None = None
    ) -> None:
        self.models = models
        self.voice = voice
        self.line = Line()
        self._latest = models.names[0]
        self._hears_ahead = on_gpu is None  # a lent GPU is for answers alone
        self._answer = on_gpu(self._answer_here) if on_gpu else self._answer_here
        self._align = on_gpu(self._align_here) if on_gpu else self._align_here

    @property
    def busy(self) -> bool:
        """Whether a turn is being answered: the next one waits in line."""
        return len(self.line) > 0

    def steps(self, session: Session, settings: Settings) -> Iterator[Step]:
        """Answer the turn that `session` asks; the last step's session waits for nothing.

        An error leaves the turn unanswered and says so in the session; the conversation stays.
        """
        session = replace(
            session, conversation=session.conversation.with_system_prompt(settings.system_prompt)
        )
        try:
            with self.line.place() as place:
                while before := place.wait(POLL_S):
                    yield Step(session, f"Turns before yours: {before}")
                self._latest = settings.model
                yield from self._compared_steps(session, settings)
        except AudioChatError as error:
            yield Step(session.failed(str(error)), "", notice=str(error))

    def _compared_steps(self, session: Session, settings: Settings) -> Iterator[Step]:
        """Answer by the model, then by its rival if there is one."""
        asked = session
        compared = settings.rival not in ("", settings.model)
        for step in self._or_trouble(session, settings):
            session = step.session
            if compared and not session.waiting and not session.trouble:
                session = replace(session, rival=asked)
            yield replace(step, session=session)
        if session.rival is not None:
            yield from self._rival_steps(session, session.rival, settings)

    def _rival_steps(self, session: Session, rival: Session, settings: Settings) -> Iterator[Step]:
        """Let the other model answer too, when the first is done; its reply is not spoken."""
        other = replace(settings, model=settings.rival, style=None)
        for step in self._or_trouble(rival, other):
            yield replace(step, session=replace(session, rival=step.session))

    def _or_trouble(self, session: Session, settings: Settings) -> Iterator[Step]:
        try:
            for step in self._steps(session, settings):
                session = step.session
                yield step
        except AudioChatError as error:
            yield Step(session.failed(str(error)), "", notice=str(error))

    def _steps(self, session: Session, settings: Settings) -> Iterator[Step]:
        model = self.models.get(settings.model, again=True)
        while not model.wait(POLL_S):
            yield Step(session, "Waiting for the model")
        session = replace(session, by=model.result().label)
        style = settings.style
        if style is not None:
            while not self.voice.wait(POLL_S):
                yield Step(session, "Waiting for the voice")
            if self.voice.error is not None:
                yield Step(session, "Thinking", notice=str(self.voice.error))
                style = None
        yield Step(session, first_stage(session))
        sampling = settings.sampling
        if session.anew:  # the same choices would give the reply that was not wanted
            sampling = replace(sampling, seed=None)
            if sampling.greedy:
                sampling = replace(sampling, temperature=ANEW_TEMPERATURE, top_p=ANEW_TOP_P)
        for event in self._answer(settings.model, session.question, sampling, style):
            step = _step(session, event)
            session = step.session
            yield step

    def _answer_here(
        self,
        model: str,
        question: Conversation,
        sampling: Sampling,
        style: VoiceStyle | None,
    ) -> Iterator[Event]:
        backend = self.models.get(model).result()
        voice = self.voice.value if style is not None else None
        yield from answer(question, backend, voice, sampling=sampling, style=style)

    def preview(self, settings: Settings) -> Speech:
        """Say a sentence in the voice chosen.

        Raises:
            AudioChatError: there is no voice; the sentence is for the person.
        """
        voice = self.voice.result()
        if voice is None or settings.style is None:
            raise VoiceError("The voice is off: choose one first.")
        return Speech(voice.speak(PREVIEW, settings.style), PREVIEW, 0)

    def hear_ahead(self, waveform: Waveform, before: Sequence[Message] = ()) -> None:
        """Let the model asked last, if it is there and idle, hear what may be a turn soon."""
        loading = self.models.get(self._latest)
        if self.busy or not self._hears_ahead or not loading.finished or loading.error:
            return
        backend = loading.result()
        if isinstance(backend, HearsAhead):
            backend.hear_ahead(waveform, before)

    def hear_meanwhile(self, session: Session) -> None:
        """Begin to hear what was just asked, while page and process still exchange messages."""
        spoken = session.question.messages[-1].audio_parts

        def hear() -> None:
            with suppress(AudioChatError):  # the turn will say it
                self.hear_ahead(spoken[-1].waveform, session.question.messages[:-1])

        # A long one is heard by its turn, which tells how far it is and can be stopped.
        if spoken and spoken[-1].waveform.duration_s <= MEANWHILE_S:
            threading.Thread(target=hear, daemon=True).start()

    def align(self, model: str, waveform: Waveform, transcript: str | None) -> EmbeddingAlignment:
        """Lay what a model makes of a recording beside its words.

        Raises:
            AudioChatError: that model cannot, or is not there yet; the sentence is for the person.
        """
        loading = self.models.get(model)
        if not loading.finished:
            raise ModelError("The model is still loading. Open this again when it is ready.")
        backend = loading.result()
        if not isinstance(backend, Aligning):
            raise ModelError(f"{backend.label} does not show how the sound fits the words.")
        aligned: EmbeddingAlignment = self._align(model, waveform, transcript)
        return aligned

    def _align_here(
        self, model: str, waveform: Waveform, transcript: str | None
    ) -> EmbeddingAlignment:
        backend = self.models.get(model).result()
        assert isinstance(backend, Aligning)
        return backend.align(waveform, transcript)


def first_stage(session: Session) -> str:
    """What is done first with the turn that `session` asks, in a word."""
    return "Listening" if session.question.messages[-1].audio_parts else "Thinking"


def _step(session: Session, event: Event) -> Step:
    if isinstance(event, Heard):
        return Step(session.heard(event), "Writing" if session.partial else "Thinking")
    if isinstance(event, TextPiece):
        return Step(session.written(event.text), "Writing")
    if isinstance(event, Speech):
        return Step(session.voiced(event), "Writing", speech=event)
    if isinstance(event, Notice):
        return Step(session, "Thinking", notice=event.text)
    if isinstance(event, Working):
        return Step(session, event.sentence, fraction=event.fraction)
    assert isinstance(event, Done)
    return Step(session.answered(event.conversation, event.timings), "")
