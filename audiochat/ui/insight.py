"""The panel behind each recording, "What it heard": what the page's script asks, and the answers.

Nothing is computed before a visitor opens it, so it costs no turn any time.
"""

from pathlib import Path

import gradio as gr

from audiochat.conversation import AudioPart
from audiochat.errors import AudioChatError, ConversationError
from audiochat.ui import heard_panel, render
from audiochat.ui.answering import Answering
from audiochat.ui.page import Page
from audiochat.ui.session import Session
from audiochat.ui.visitors import Visitors
from audiochat.ui.wiring import QUIET

ALIGN_UP_TO_S = 120.0
"""Longer recordings get no picture: it would be finer than a screen."""

ON_LOAD = """
window.audiochat.insight.ask = (request) => trigger('click', request);
watch('value', () => window.audiochat.insight.take(props.value));
"""


def add_insight(page: Page, answering: Answering, visitors: Visitors) -> None:
    """Add to the open Blocks what answers the panel's questions; nothing of it is shown."""
    answers = gr.HTML(
        value="",
        html_template="<span></span>",
        js_on_load=ON_LOAD,
        visible="hidden",
        elem_id="insight-answers",
    )
    folder = Path(page.chat.GRADIO_CACHE)

    # Gradio finds the event's data by its annotation, which it does not see behind a `partial`.
    def answer(visitor: str, model: str, data: gr.EventData) -> str:
        kind = "panel" if data.part is None else str(data.part)
        try:
            parts = recordings(visitors.session(visitor), data.index)
            if data.part is None:
                drawn = panels(parts, folder)
            else:
                drawn = picture(answering, model, parts[data.part])
        except AudioChatError as error:
            drawn = heard_panel.trouble(str(error))
        return f"{data.asked} {kind}\n{drawn}"

    answers.click(
        answer,
        [page.visitor, page.controls.model],
        answers,
        concurrency_limit=4,
        concurrency_id="pictures",
        trigger_mode="multiple",
        **QUIET,
    )


def recordings(session: Session, index: object) -> tuple[AudioPart, ...]:
    """Return the recordings of the message at `index` of the view.

    Raises:
        ConversationError: there are none, as it was taken back or edited meanwhile.
    """
    if isinstance(index, int) and 0 <= index < len(session.shown):
        parts = session.shown[index].audio_parts
        if parts:
            return parts
    raise ConversationError("This recording is no longer part of the conversation.")


def panels(parts: tuple[AudioPart, ...], folder: Path) -> str:
    """Draw the recordings of one message; their sounds are files below `folder`."""
    paths = [render.sound_file(part.waveform, folder, "question") for part in parts]
    return "".join(map(heard_panel.panel, parts, paths))


def picture(answering: Answering, model: str, part: AudioPart) -> str:
    """Draw the alignment of a recording with its words, as the model chosen now makes it.

    Raises:
        AudioChatError: it cannot be made; the sentence is for the person.
    """
    if part.waveform.duration_s > ALIGN_UP_TO_S:
        raise ConversationError(
            f"How the sound fits the words is drawn for recordings up to {ALIGN_UP_TO_S:.0f} s."
        )
    return heard_panel.alignment_picture(
        answering.align(model, part.waveform, part.corrected or part.heard)
    )
