"""The panel behind each recording, "What it heard": what the page's script asks, and the answers.

Nothing is computed before a visitor opens it, so it costs no turn any time.
"""

from functools import partial
from pathlib import Path

import gradio as gr

from audiochat.conversation import AudioPart
from audiochat.errors import AudioChatError, ConversationError
from audiochat.ui import heard_panel, render
from audiochat.ui.answering import Answering
from audiochat.ui.page import Page
from audiochat.ui.session import Session

ALIGN_UP_TO_S = 120.0
"""Longer recordings get no picture: it would be finer than a screen."""

ON_LOAD = """
window.audiochat.insight.ask = (request) => trigger('click', request);
watch('value', () => window.audiochat.insight.take(props.value));
"""


def add_insight(page: Page, answering: Answering) -> None:
    """Add to the open Blocks what answers the panel's questions; nothing of it is shown."""
    answers = gr.HTML(
        value="",
        html_template="<span></span>",
        js_on_load=ON_LOAD,
        visible="hidden",
        elem_id="insight-answers",
    )
    answers.click(
        partial(_answer, answering, Path(page.chat.GRADIO_CACHE)),
        [page.session, page.controls.model],
        answers,
        concurrency_limit=4,
        concurrency_id="light",
        trigger_mode="multiple",
        show_progress="hidden",
        api_visibility="private",
    )


def _answer(
    answering: Answering, folder: Path, session: Session, model: str, data: gr.EventData
) -> str:
    """One answer: the number of the question and what it asked for, in a line, then the HTML."""
    request = data._data if isinstance(data._data, dict) else {}
    part_index = request.get("part")
    first_line = f"{request.get('asked')} {'panel' if part_index is None else part_index}"
    try:
        parts = recordings(session, request.get("index"))
        if part_index is None:
            paths = [render.sound_file(part.waveform, folder, "question") for part in parts]
            drawn = "".join(map(heard_panel.panel, parts, paths))
        else:
            drawn = picture(answering, model, parts[int(part_index)])
    except AudioChatError as error:
        drawn = heard_panel.trouble(str(error))
    return f"{first_line}\n{drawn}"


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
