"""Conversations saved from the page and opened in it again.

What is saved is for its visitor alone: it lies in a folder whose name nobody can guess, and goes
with the page's other sounds.
"""

import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from audiochat.errors import AudioChatError
from audiochat.recording.folder import ZIP_NAME, make_folder, write
from audiochat.recording.reading import read
from audiochat.recording.video import VIDEO_NAME, write_video
from audiochat.recording.web_page import PAGE_NAME
from audiochat.ui import words
from audiochat.ui.render import NOT_WRITTEN
from audiochat.ui.session import STOPPED_EARLY, Session
from audiochat.ui.visitors import Visitors

if TYPE_CHECKING:
    from audiochat.ui.page import Page

MAX_SAVING = 8
"""Visitors who save at a time, waiting for their video or not."""

DRAWING = threading.Lock()
"""Held while a video is drawn, which takes every core: the others' come later, but their other
files at once."""

_LOG = logging.getLogger(__name__)


def lay_out_saving() -> dict[str, Any]:
    """Place the buttons and the list of files in the open Blocks."""
    with gr.Accordion(words.label("saving"), open=False, elem_id="saving"):
        with gr.Row():
            save = gr.Button(words.label("save"), size="sm", min_width=120, elem_id="save")
            load = gr.UploadButton(
                words.label("open"), size="sm", min_width=120, file_types=[".zip"], elem_id="open"
            )
        saved = gr.File(
            label=words.label("saved"),
            file_count="multiple",
            visible=False,
            interactive=False,
            elem_id="saved",
        )
    return {"save": save, "load": load, "saved": saved}


def connect_saving(page: "Page", visitors: Visitors) -> None:
    """Let the button write the conversation; opening one is among the page's other events."""
    folder = Path(page.chat.GRADIO_CACHE)

    def write_down(visitor: str) -> Iterator[Any]:
        yield from save(visitors.session(visitor), folder)

    page.save.click(
        write_down,
        page.visitor,
        page.saved,
        concurrency_limit=MAX_SAVING,
        concurrency_id="saving",  # drawing a video takes long: nothing else waits for it
        api_visibility="private",
    )


def save(session: Session, folder: Path) -> Iterator[Any]:
    """Write the conversation below `folder`; the video, which takes longest, is listed last.

    Yields:
        What the list of files shows.
    """
    try:
        session = session.settled()
        by = next((note.by for note in reversed(session.notes) if note.by), "")
        recording = session.recording(by)
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="saved-", dir=folder))
        with tempfile.TemporaryDirectory(dir=folder) as whole:
            make_folder(Path(whole))
            write(recording, Path(whole))
            # Gradio deletes in time what it offers, and nothing else.
            files = [
                str(shutil.move(Path(whole) / name, made / name)) for name in (PAGE_NAME, ZIP_NAME)
            ]
        yield gr.File(files, visible=True)
        with DRAWING:
            write_video(recording, made / VIDEO_NAME)
        yield gr.File([*files, str(made / VIDEO_NAME)], visible=True)
    except AudioChatError as error:
        gr.Warning(str(error))
        yield gr.skip()
    except OSError as error:
        _LOG.warning("The conversation cannot be written to %s: %s", folder, error)
        gr.Warning(NOT_WRITTEN)
        yield gr.skip()


def opened(session: Session, path: str) -> Session:
    """The session of a saved conversation, to be gone on with.

    Raises:
        AudioChatError: it is not a conversation of this program; the sentence is for the person.
    """
    recording = read(Path(path))
    *history, last = recording.conversation.messages
    if last.role == "assistant":
        return Session(recording.conversation, recording.replies)
    conversation = replace(recording.conversation, messages=tuple(history))
    return Session(conversation, recording.replies, asked=last, trouble=STOPPED_EARLY)
