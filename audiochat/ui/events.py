"""What the components of the page do: each event changes the session, and the view is redrawn.

All buttons that want an answer lead to one run of the model, which a new event stops first.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from audiochat.errors import AudioChatError
from audiochat.ui import actions, render, saving
from audiochat.ui.answering import Answering, Settings
from audiochat.ui.model_loading import UNEXPECTED
from audiochat.ui.open_microphone import OpenMicrophones
from audiochat.ui.page import Example, Page
from audiochat.ui.session import Session
from audiochat.ui.settings_panel import settings_of
from audiochat.ui.state_line import state_line
from audiochat.ui.visitors import Visitors

REDRAW_S = 0.08
"""Written text is shown at this interval: drawing costs the model time."""

SENDING = "(...values) => { window.audiochat.sending(values); return values; }"
NAMED = "() => window.audiochat.tab()"
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
        visitors: Visitors,
        examples: list[Example],
    ) -> None:
        self.page = page
        self.answering = answering
        self.visitors = visitors
        self.microphones = microphones
        self.examples = examples
        self.folder = Path(page.chat.GRADIO_CACHE)
        self._broken: set[int] = set()
        """Tickets of runs that failed unforeseen."""

    def connect(self, demo: gr.Blocks) -> None:
        """Register every event with Gradio."""
        page = self.page
        named = demo.load(None, None, page.visitor, js=NAMED, **_QUIET)
        back = [page.visitor, page.ticket], [*self._view, page.ticket]
        named.then(self.come_back, *back, **_QUIET)
        controls = page.controls.all()
        run = page.ticket.change(
            self.run,
            [page.visitor, page.ticket, page.rival, *controls],
            [*self._view, page.speech, page.state_line, page.stop],
            concurrency_limit=None,  # they stand in a line of our own, which says how long it is
            trigger_mode="multiple",
            **_QUIET,
        )
        run.failure(self.broke, [page.visitor, page.ticket], [*self._view, page.stop], **_QUIET)
        for trigger, change, inputs in self._changes():
            halted = trigger(
                lambda: None, cancels=[run], queue=False, trigger_mode="multiple", **_QUIET
            )
            self._then(halted, change, inputs)
        noted = page.chat.edit(_note_edit, None, page.edited, cancels=[run], queue=False, **_QUIET)
        self._then(noted, actions.edit, [page.edited])
        noted = page.correcting.click(
            _note_correction, None, page.edited, cancels=[run], queue=False, **_QUIET
        )
        self._then(noted, actions.correct_earlier, [page.edited])
        page.panel.preview.click(
            self.preview, controls, page.speech, concurrency_id="light", **_QUIET
        )
        ended = page.talk.click(_note_turn, None, page.turn, cancels=[run], queue=False, **_QUIET)
        take_turn = partial(actions.take_turn, microphones=self.microphones)
        self._then(ended, take_turn, [page.turn, page.task])

    def preview(self, *controls: Any) -> str:
        """Say a sentence in the voice chosen; gives it to the page's player."""
        try:
            speech = self.answering.preview(settings_of(*controls))
        except AudioChatError as error:
            gr.Warning(str(error))
            return ""
        return "\n".join([str(time.time_ns()), render.sound_line(speech)])

    def come_back(self, visitor: str, ticket: int) -> Update:
        """Show the conversation of a page loaded anew, and answer what it still waited for."""
        session = self.visitors.session(visitor)
        if ticket or not session.shown:  # this page has asked already, or nobody ever did
            return {self.page.ticket: gr.skip()}
        with self.visitors.acting(visitor) as newest:
            if session.waiting:
                session = session.retry()
            self.visitors.put(visitor, newest, session)
        return {
            **self._redrawn(session),
            self.page.ticket: newest if session.waiting else gr.skip(),
        }

    # The run of the model.

    def run(self, visitor: str, ticket: int, rival: str, *controls: Any) -> Iterator[Update]:
        """Answer the turn asked; yields what changed on the page."""
        session = self.visitors.session(visitor)
        keep = partial(self.visitors.put, visitor, ticket)
        # Stopped, cleared, answered or overtaken while this run stood in line?
        if not session.waiting or not keep(session):
            yield self._redrawn(session)
            return
        accounted_for = False
        try:
            settings = replace(settings_of(*controls), rival=rival or "")
            with self.visitors.running(visitor):
                yield from self._run(session, settings, keep)
            accounted_for = True
        except AudioChatError as error:
            keep(session.failed(str(error)))
            yield self._redrawn(self.visitors.session(visitor))
            accounted_for = True
        except GeneratorExit:  # stopped
            accounted_for = True
            raise
        finally:
            if not accounted_for:
                self._broken.add(ticket)

    def broke(self, visitor: str, ticket: int) -> Update:
        """Say in plain words that something unforeseen failed; Gradio has logged what.

        Gradio calls this after a stopped run too, which is no failure.
        """
        if ticket not in self._broken:
            return {self.page.stop: gr.skip()}
        self._broken.discard(ticket)
        gr.Warning(UNEXPECTED)
        session = self.visitors.session(visitor)
        if session.waiting:
            self.visitors.put(visitor, ticket, session.failed(UNEXPECTED))
        return {
            **self._redrawn(self.visitors.session(visitor)),
            self.page.stop: gr.Button(interactive=False),
        }

    def _run(
        self, session: Session, settings: Settings, keep: Callable[[Session], bool]
    ) -> Iterator[Update]:
        """Answer until the turn has its reply, or until `keep` says that it came too late."""
        page = self.page
        sound = [f"{time.time_ns()}"]
        drawn_at, stage, shown = 0.0, "", session
        yield {
            **self._redrawn(session),
            page.stop: gr.Button(interactive=True),
            page.speech: sound[0],
        }
        for step in self.answering.steps(session, settings):
            if not keep(step.session):
                return
            if step.notice:
                gr.Warning(step.notice)
            news = step.stage != stage or step.speech is not None or not step.session.working
            if not news and time.monotonic() - drawn_at < REDRAW_S:
                continue
            # In line or loading only the state changes: the one being answered needs the machine.
            update = {} if step.session is shown else self._drawn(step.session)
            drawn_at, stage, shown = time.monotonic(), step.stage, step.session
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
        return [page.chat, page.correction, page.words, *compared]

    def _drawn(self, session: Session) -> Update:
        """Draw the conversation."""
        page = self.page
        comparison = render.comparison(session)
        return {
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
            (page.mic.stop_recording, actions.hear, [page.mic, page.box, page.task]),
            (page.upload.upload, actions.hear, [page.upload, page.box, page.task]),
            (page.box.submit, actions.ask, [page.box]),
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
                (button.click, partial(actions.hear, path=str(example.path)), [])
                for button, example in zip(page.examples, self.examples, strict=True)
            ),
        ]

    def _then(self, halted: Any, change: Callable[..., Session], inputs: list[Any]) -> None:
        page = self.page

        def act(visitor: str, model: str, *values: Any) -> Update:
            update: Update = {page.mic: None, page.state_line: state_line(self.answering, model)}
            if page.turn in inputs:
                update[page.talk] = str(time.time_ns())
            with self.visitors.acting(visitor) as ticket:
                session = self.visitors.session(visitor)
                try:
                    session = change(session, *values)
                except AudioChatError as error:
                    gr.Warning(str(error))
                    session = session.settled()
                self.visitors.put(visitor, ticket, session)
            update[page.stop] = gr.Button(interactive=session.waiting)
            if not session.waiting:
                return {**update, page.speech: "", **self._redrawn(session)}
            update[page.ticket] = ticket
            # The run draws the turn too: drawing it twice would make a lone visitor wait.
            return {**update, **self._redrawn(session)} if self.answering.busy else update

        shown = [page.mic, page.stop, page.state_line, page.ticket, page.speech]
        outputs = [*self._view, *shown, page.talk]
        acted = halted.then(
            act,
            [page.visitor, page.controls.model, *inputs],
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
