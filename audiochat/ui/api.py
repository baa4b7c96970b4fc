"""The `/chat` endpoint, for programs: one turn in, the whole reply out, history per client."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from audiochat.audio import RECORDING_LIMITS, Waveform, decode
from audiochat.conversation import AudioPart, Message
from audiochat.errors import AudioChatError, ConversationError
from audiochat.ui import render
from audiochat.ui.answering import Answering, Settings
from audiochat.ui.session import Session
from audiochat.ui.visitors import Visitors

MAX_CALLS = 16
"""Calls under way or waiting: each holds one of the threads that the page needs too."""

MAX_CLIENTS, MAX_BYTES = 256, 500_000_000
"""Clients whose history is kept, and its sound: those left longest ago are forgotten first."""

BUSY = "Too many calls are under way. Try again in a minute or two."

Reply = tuple[str, str | None, str | None]


def add_chat_endpoint(answering: Answering, model: str) -> None:
    """Add `/chat` to the open Blocks; its turns stand in line with the page's.

    A client is a visitor by the name that Gradio knows it by; a call that gives none is a client
    of its own. They are kept apart from the page's visitors, whom no program can push out.
    """
    clients = Visitors(max_visitors=MAX_CLIENTS, max_bytes=MAX_BYTES)
    with gr.Row(visible=False):
        audio, text = gr.Audio(type="filepath", label="audio"), gr.Textbox("", label="text")
        reply = gr.Textbox(label="reply")
        # A file, for gr.Audio starts ffprobe on each sound it gives out where that is installed.
        speech = gr.File(label="speech")
        heard = gr.Textbox(label="heard")
        gr.Button("chat").click(
            _chat_function(answering, clients, model, Path(speech.GRADIO_CACHE)),
            [audio, text],
            [reply, speech, heard],
            api_name="chat",
            api_description="Ask one turn, spoken or typed; gives the reply, its sound, and what "
            "was heard. The history is this client's own.",
            concurrency_limit=None,
        )


def _chat_function(
    answering: Answering, clients: Visitors, model: str, folder: Path
) -> Callable[..., Reply]:
    places = threading.BoundedSemaphore(MAX_CALLS)

    def chat(audio: str | None, text: str, request: gr.Request) -> Reply:
        if not places.acquire(blocking=False):
            raise gr.Error(BUSY, print_exception=False)
        try:
            client = f"client-{request.session_hash}"
            session = _answered(answering, clients, model, client, _message(audio, text))
        except AudioChatError as error:
            raise gr.Error(str(error), print_exception=False) from error
        finally:
            places.release()
        question, reply = session.conversation.messages[-2:]
        speech = session.notes[-1].speech
        return (
            reply.text,
            render.sound_file(speech, folder, "reply") if speech else None,
            _heard(question),
        )

    return chat


def _answered(
    answering: Answering, clients: Visitors, model: str, client: str, message: Message
) -> Session:
    """The client's conversation with the answer to its message, after its calls before.

    Raises:
        AudioChatError: there is no answer; the conversation is as it was.
    """
    with clients.acting(client) as ticket:
        session = clients.session(client).ask(message)
        for step in answering.steps(session, Settings(model)):
            session = step.session
        if session.trouble:
            raise ConversationError(session.trouble)
        clients.put(client, ticket, session)
    return session


def _message(audio: str | None, text: str | None) -> Message:
    parts: list[str | Waveform | AudioPart] = [text or ""]
    if audio:
        parts.append(decode(Path(audio), RECORDING_LIMITS))
    elif not (text or "").strip():
        raise ConversationError("Both audio and text are empty: send one of them.")
    return Message.user(*parts)


def _heard(question: Message) -> str | None:
    heard: list[Any] = [part.heard for part in question.audio_parts if part.heard is not None]
    return " ".join(heard) if heard else None
