"""What the components of the page do: each event changes the session, and the view is redrawn.

All buttons that want an answer lead to one run of the model, which a new event stops first.
"""

import html
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from audiochat.audio import RECORDING_LIMITS, decode
from audiochat.conversation import Message
from audiochat.errors import AudioChatError, AudioError
from audiochat.ui import render, saving
from audiochat.ui.answering import Answering, Settings
from audiochat.ui.model_loading import UNEXPECTED
from audiochat.ui.open_microphone import OpenMicrophones
from audiochat.ui.page import ANSWER_IT, Example, Page
from audiochat.ui.session import Session
from audiochat.ui.settings_panel import settings_of
from audiochat.ui.state_line import state_line

REDRAW_S = 0.08
"""Written text is shown at this interval: drawing costs the model time."""

MODEL_QUEUE = "model"
"""One turn at a time in the whole process: the model has the machine to itself."""

SENDING = "(...values) => { window.audiochat.sending(values); return values; }"
ARRIVED = "() => window.audiochat.arrived()"

Update = dict[Any, Any]

_log = logging.getLogger(__name__)


class Events:
    """Connects a page with the models that answer it."""

    def __init__(
        self,
        page: Page,
        answering: Answering,
        microphones: OpenMicrophones,
        examples: list[Example],
    ) -> None:
        self.page = page
        self.answering = answering
        self.microphones = microphones
        self.examples = examples
        self.folder = Path(page.chat.GRADIO_CACHE)
        self._broken: set[int] = set()
        """Tickets of runs that failed unforeseen."""

    def connect(self) -> None:
        """Register every event with Gradio."""
        page = self.page
        controls = page.controls.all()
        run = page.ticket.change(
            self.run,
            [page.session, page.ticket, page.rival, *controls],
            [*self._view, page.speech, page.state_line, page.stop],
            concurrency_limit=1,
            concurrency_id=MODEL_QUEUE,
            trigger_mode="multiple",
            **_QUIET,
        )
        run.failure(self.broke, [page.session, page.ticket], [*self._view, page.stop], **_QUIET)
        for trigger, change, inputs in self._changes():
            halted = trigger(
                lambda: None, cancels=[run], queue=False, trigger_mode="multiple", **_QUIET
            )
            self._then(halted, change, inputs)
        noted = page.chat.edit(_note_edit, None, page.edited, cancels=[run], queue=False, **_QUIET)
        self._then(noted, self.edit, [page.edited])
        noted = page.correcting.click(
            _note_correction, None, page.edited, cancels=[run], queue=False, **_QUIET
        )
        self._then(noted, self.correct_earlier, [page.edited])
        page.panel.preview.click(
            self.preview, controls, page.speech, concurrency_id="light", **_QUIET
        )
        ended = page.talk.click(_note_turn, None, page.turn, cancels=[run], queue=False, **_QUIET)
        self._then(ended, self.take_turn, [page.turn, page.task])

    # What a user's event does to the session.

    def ask(self, session: Session, text: str) -> Session:
        """Ask what was typed."""
        return session.ask(Message.user(text))

    def hear(
        self, session: Session, path: str | None, text: str = "", task: str = ANSWER_IT
    ) -> Session:
        """Ask what was recorded or uploaded, with the task chosen and the text typed beside it."""
        if not path:
            raise AudioError("No sound arrived. Record again, or upload a file.")
        recording = decode(Path(path), RECORDING_LIMITS)
        return session.ask(Message.user(task, text, recording))

    def take_turn(self, session: Session, visitor: str, task: str) -> Session:
        """Ask what was said at the open microphone."""
        return session.ask(Message.user(task, self.microphones.take(visitor)))

    def edit(self, session: Session, edited: tuple[int, str]) -> Session:
        """Ask again with an earlier message edited in the view."""
        index, text = edited
        return session.edit(index, html.unescape(text).strip())

    def correct_earlier(self, session: Session, corrected: tuple[int, str]) -> Session:
        """Ask again with the words of an earlier recording put right."""
        index, words = corrected
        return session.correct(words, index)

    def preview(self, *controls: Any) -> str:
        """Say a sentence in the voice chosen; gives it to the page's player."""
        try:
            speech = self.answering.preview(settings_of(*controls))
        except AudioChatError as error:
            gr.Warning(str(error))
            return ""
        return "\n".join([str(time.time_ns()), render.sound_line(speech)])

    # The run of the model.

    def run(self, session: Session, ticket: int, rival: str, *controls: Any) -> Iterator[Update]:
        """Answer the turn asked; yields what changed on the page."""
        if not session.waiting:  # stopped, cleared or answered while this run stood in line
            yield self._redrawn(session)
            return
        try:
            settings = replace(settings_of(*controls), rival=rival or "")
        except AudioChatError as error:
            yield self._redrawn(session.failed(str(error)))
            return
        accounted_for = False
        try:
            yield from self._run(session, settings)
            accounted_for = True
        except GeneratorExit:  # stopped
            accounted_for = True
            raise
        finally:
            if not accounted_for:
                self._broken.add(ticket)

    def broke(self, session: Session, ticket: int) -> Update:
        """Say in plain words that something unforeseen failed; Gradio has logged what.

        Gradio calls this after a stopped run too, which is no failure.
        """
        if ticket not in self._broken:
            return {self.page.stop: gr.skip()}
        self._broken.discard(ticket)
        gr.Warning(UNEXPECTED)
        return {
            **self._redrawn(session.failed(UNEXPECTED) if session.waiting else session),
            self.page.stop: gr.Button(interactive=False),
        }

    def _run(self, session: Session, settings: Settings) -> Iterator[Update]:
        page = self.page
        sound = [f"{time.time_ns()}"]
        drawn_at, stage = 0.0, ""
        yield {
            **self._redrawn(session),
            page.stop: gr.Button(interactive=True),
            page.speech: sound[0],
        }
        for step in self.answering.steps(session, settings):
            if step.notice:
                gr.Warning(step.notice)
            news = step.stage != stage or step.speech is not None or not step.session.working
            if not news and time.monotonic() - drawn_at < REDRAW_S:
                continue
            drawn_at, stage = time.monotonic(), step.stage
            update = self._drawn(step.session)
            update[page.state_line] = state_line(
                self.answering, settings.model, step.stage, step.fraction
            )
            if step.speech is not None:
                sound.append(render.sound_line(step.speech))
                update[page.speech] = "\n".join(sound)
            if not step.session.waiting:
                update |= self._redrawn(step.session)
                update[page.stop] = gr.Button(interactive=step.session.working)
            yield update

    # How it is wired.

    @property
    def _view(self) -> list[Any]:
        page = self.page
        compared = [page.compared, page.swap]
        return [page.session, page.chat, page.correction, page.words, *compared]

    def _drawn(self, session: Session) -> Update:
        """Draw the conversation: what is kept and what is shown change together."""
        page = self.page
        comparison = render.comparison(session)
        return {
            page.session: session,
            page.chat: render.messages(session, self.folder),
            page.compared: gr.HTML(comparison, visible=bool(comparison)),
            page.swap: gr.Button(visible=bool(comparison) and not session.working),
        }

    def _redrawn(self, session: Session) -> Update:
        """Draw the conversation, and the place to correct its last words."""
        page = self.page
        correctable = session.last_spoken is not None and not session.waiting
        return {
            **self._drawn(session),
            page.correction: gr.Row(visible=correctable),
            page.words: session.last_words,
        }

    def _changes(self) -> list[tuple[Callable[..., Any], Callable[..., Session], list[Any]]]:
        page = self.page
        return [
            (page.mic.stop_recording, self.hear, [page.mic, page.box, page.task]),
            (page.upload.upload, self.hear, [page.upload, page.box, page.task]),
            (page.box.submit, self.ask, [page.box]),
            (page.correct.click, Session.correct, [page.words]),
            (page.words.submit, Session.correct, [page.words]),
            (page.stop.click, Session.settled, []),
            (page.retry.click, Session.retry, []),
            (page.chat.retry, Session.retry, []),
            (page.undo.click, Session.undo, []),
            (page.chat.undo, Session.undo, []),
            (page.clear.click, Session.cleared, []),
            (page.swap.click, Session.swapped, []),
            (page.load.upload, saving.opened, [page.load]),
            (page.chat.clear, Session.cleared, []),
            *(
                (button.click, partial(self.hear, path=str(example.path)), [])
                for button, example in zip(page.examples, self.examples, strict=True)
            ),
        ]

    def _then(self, halted: Any, change: Callable[..., Session], inputs: list[Any]) -> None:
        page = self.page

        def act(session: Session, model: str, *values: Any) -> Update:
            update: Update = {page.mic: None, page.state_line: state_line(self.answering, model)}
            if page.turn in inputs:
                update[page.talk] = str(time.time_ns())
            try:
                session = change(session, *values)
            except AudioChatError as error:
                gr.Warning(str(error))
                session = session.settled()
            update[page.stop] = gr.Button(interactive=session.waiting)
            if not session.waiting:
                return {**update, page.speech: "", **self._redrawn(session)}
            update[page.ticket] = time.time_ns()
            # The run draws the turn too: drawing it twice would make a lone visitor wait.
            drawn = self._redrawn(session) if self.answering.busy else {page.session: session}
            return {**update, **drawn}

        shown = [page.mic, page.stop, page.state_line, page.ticket, page.speech]
        outputs = [*self._view, *shown, page.talk]
        acted = halted.then(
            act,
            [page.session, page.controls.model, *inputs],
            outputs,
            js=SENDING if page.box in inputs else None,
            concurrency_limit=4,
            concurrency_id="light",
            **_QUIET,
        )
        if page.box in inputs:
            # In the browser, and not by `act`: what is typed meanwhile must not be wiped.
            acted.success(None, js=ARRIVED, queue=False, trigger_mode="multiple", **_QUIET)


_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def _note_turn(data: gr.EventData) -> str:
    return str(data.visitor)


def _note_correction(data: gr.EventData) -> tuple[int, str]:
    return int(data.index), str(data.words)


def _note_edit(data: gr.EditData) -> tuple[int, str]:
    index = data.index if isinstance(data.index, int) else data.index[0]
    return index, str(data.value)
