"""What the components of the page do: each event changes the session, and the view is redrawn.

All buttons that want an answer lead to one run of the model, which a new event stops first.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from audiochat.errors import AudioChatError
from audiochat.ui import actions, render, saving, wiring
from audiochat.ui.answering import Answering, Settings, first_stage
from audiochat.ui.model_loading import UNEXPECTED
from audiochat.ui.open_microphone import OpenMicrophones
from audiochat.ui.page import Example, Page
from audiochat.ui.session import Session
from audiochat.ui.settings_panel import settings_of
from audiochat.ui.state_line import state_line
from audiochat.ui.visitors import Visitors
from audiochat.ui.wiring import IN_BROWSER, LIGHT, QUIET

REDRAW_S = 0.08
"""Written text is shown at this interval: drawing costs the model time."""

NOT_READY = "The page is not ready yet: wait a moment, or reload it."

Update = dict[Any, Any]


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
        self._broken: set[str] = set()
        """Visitors whose run failed unforeseen."""

    def connect(self, demo: gr.Blocks) -> None:
        """Register every event with Gradio."""
        page = self.page
        named = demo.load(outputs=page.visitor, js=wiring.NAMED, **IN_BROWSER)
        back = [page.visitor, page.ticket], [*self._view, page.ticket]
        named.then(self.come_back, *back, **QUIET)
        run = page.ticket.change(
            self.run,
            [page.visitor, page.rival, *page.controls.all()],
            [*self._view, page.speech, page.state_line, page.stop],
            concurrency_limit=None,  # they stand in a line of our own, which says how long it is
            js=wiring.BY_NAME,
            trigger_mode="multiple",
            **QUIET,
        )
        broken = [page.visitor, page.ticket, page.controls.model]
        run.failure(self.broke, broken, [*self._view, page.state_line, page.stop], **QUIET)
        for trigger, change, inputs in self._changes():
            halted = trigger(js=wiring.NOTHING, cancels=[run], **IN_BROWSER)
            self._then(halted, change, inputs)
        noting = {"cancels": [run], "queue": False, **QUIET}
        noted = page.chat.edit(_note_edit, None, page.edited, **noting)
        self._then(noted, actions.edit, [page.edited])
        noted = page.correcting.click(_note_correction, None, page.edited, **noting)
        self._then(noted, actions.correct_earlier, [page.edited])
        ended = page.talk.click(outputs=page.turn, js=wiring.ASKED, cancels=[run], **IN_BROWSER)
        take_turn = partial(actions.take_turn, microphones=self.microphones)
        self._then(ended, take_turn, [page.turn, page.task])
        whose, standing = [page.visitor, page.controls.model], [page.state_line, page.stop]
        drawn = page.redraw.click(
            self.redraw,
            whose,
            [*self._view, *standing],
            js=wiring.BEGUN,
            trigger_mode="multiple",
            **LIGHT,
        )
        drawn.then(js=wiring.ENDED, **IN_BROWSER)

    def redraw(self, visitor: str, model: str) -> Update:
        """Show the conversation as it is: answers to hurried acts may overtake one another."""
        update = self._settled(visitor, model)
        if self.visitors.session(visitor).waiting:
            del update[self.page.state_line]  # the run tells it
        return update

    def come_back(self, visitor: str, ticket: int) -> Update:
        """Show the conversation of a page loaded anew, and answer what it still waited for."""
        # Has this page asked already, or nobody ever?
        if ticket or not self.visitors.session(visitor).shown:
            return {self.page.ticket: gr.skip()}
        with self.visitors.acting(visitor) as newest:
            session = self.visitors.session(visitor)
            session = session.retry() if session.waiting else session.settled()
            self.visitors.put(visitor, newest, session)
        return {
            **self._redrawn(session),
            self.page.ticket: newest if session.waiting else gr.skip(),
        }

    # The run of the model.

    def run(self, visitor: str, rival: str, *controls: Any) -> Iterator[Update]:
        """Answer the turn asked; yields what changed on the page."""
        accounted_for = False
        try:
            with self.visitors.answering(visitor) as turn:
                if turn is None:  # stopped, cleared or overtaken before it began
                    accounted_for = True
                    yield {self.page.stop: gr.skip()}
                    return
                ticket, session = turn
                keep = partial(self.visitors.put, visitor, ticket)
                try:
                    settings = replace(settings_of(*controls), rival=rival or "")
                    yield from self._run(session, settings, keep)
                except AudioChatError as error:
                    keep(session.failed(str(error)))
                # Whole, though drawn before: left out, the button to swap did not appear.
                yield self._settled(visitor, controls[0])
            accounted_for = True
        except GeneratorExit:  # stopped
            accounted_for = True
            raise
        finally:
            if not accounted_for:
                self._broken.add(visitor)

    def broke(self, visitor: str, ticket: int, model: str) -> Update:
        """Say in plain words that something unforeseen failed; Gradio has logged what.

        Gradio calls this after a stopped run too, which is no failure, and when a run could not
        begin, as with settings that are none.
        """
        if visitor not in self._broken and self.visitors.begins(visitor, ticket):
            return {self.page.stop: gr.skip()}
        self._broken.discard(visitor)
        gr.Warning(UNEXPECTED)
        with self.visitors.acting(visitor) as ticket:
            session = self.visitors.session(visitor)
            session = session.failed(UNEXPECTED) if session.waiting else session.settled()
            self.visitors.put(visitor, ticket, session)
        return self._settled(visitor, model)

    def _run(
        self, session: Session, settings: Settings, keep: Callable[[Session], bool]
    ) -> Iterator[Update]:
        """Answer until the turn has its reply, or until `keep` says that it came too late."""
        page = self.page
        sound = [f"{time.time_ns()}"]
        # Every drawing is waited for: the first one says already what comes first.
        stage, shown, asking = first_stage(session), session, True
        yield {
            **self._redrawn(session),
            page.state_line: state_line(self.answering, settings.model, stage),
            page.stop: gr.Button(interactive=True),
            page.speech: sound[0],
        }
        drawn_at = time.monotonic()
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
            if asking and not step.session.waiting:
                update |= self._redrawn(step.session)
            asking = step.session.waiting
            yield update

    # How it is wired.

    @property
    def _view(self) -> list[Any]:
        page = self.page
        compared = [page.compared, page.swap]
        return [page.chat, page.correction, page.words, *compared]

    def _settled(self, visitor: str, model: str) -> Update:
        """Draw the page as it is when no run is under way."""
        session = self.visitors.session(visitor)
        return {
            **self._redrawn(session),
            self.page.state_line: state_line(self.answering, model),
            self.page.stop: gr.Button(interactive=session.waiting),
        }

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
                if not self.visitors.put(visitor, ticket, session):
                    raise gr.Error(NOT_READY, print_exception=False)  # what was typed stays
            update[page.stop] = gr.Button(interactive=session.waiting)
            if not session.waiting:
                return {**update, page.speech: "", **self._redrawn(session)}
            update[page.ticket] = ticket
            self.answering.hear_meanwhile(session)
            # The run draws it too: drawing it twice would make a lone visitor wait.
            return {**update, **self._redrawn(session)} if self.answering.busy else update

        shown = [page.mic, page.stop, page.state_line, page.ticket, page.speech, page.talk]
        acted = halted.then(
            act,
            [page.visitor, page.controls.model, *inputs],
            [*self._view, *shown],
            js=wiring.SENDING if page.box in inputs else wiring.BEGUN,
            **LIGHT,
        )
        acted.then(js=wiring.ENDED, **IN_BROWSER)
        if page.box in inputs:
            # In the browser, and not by `act`: what is typed meanwhile must not be wiped.
            acted.success(js=wiring.ARRIVED, **IN_BROWSER)


def _note_correction(data: gr.EventData) -> tuple[int, str]:
    return int(data.index), str(data.words)


def _note_edit(data: gr.EditData) -> tuple[int, str]:
    index = data.index if isinstance(data.index, int) else data.index[0]
    return index, str(data.value)
