"""The `/chat` endpoint, for programs: one turn in, the whole reply out, history per client."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from audiochat.audio import RECORDING_LIMITS, Waveform, decode
from audiochat.conversation import AudioPart, Message
from audiochat.errors import AudioChatError, ConversationError
from audiochat.ui import render
from audiochat.ui.answering import Answering, Settings
from audiochat.ui.visitors import Visitors

Reply = tuple[str, str | None, str | None]


def add_chat_endpoint(answering: Answering, visitors: Visitors, model: str) -> None:
    """Add `/chat` to the open Blocks; its turns stand in line with the page's.

    A client is a visitor by the name that Gradio knows it by, bounded as all visitors are; one
    that gives none has no history.
    """
    with gr.Row(visible=False):
        audio, text = gr.Audio(type="filepath", label="audio"), gr.Textbox("", label="text")
        reply = gr.Textbox(label="reply")
        # A file, for gr.Audio starts ffprobe on each sound it gives out where that is installed.
        speech = gr.File(label="speech")
        heard = gr.Textbox(label="heard")
        gr.Button("chat").click(
            _chat_function(answering, visitors, model, Path(speech.GRADIO_CACHE)),
            [audio, text],
            [reply, speech, heard],
            api_name="chat",
            api_description="Ask one turn, spoken or typed; gives the reply, its sound, and what "
            "was heard. The history is this client's own.",
            concurrency_limit=None,
        )


def _chat_function(
    answering: Answering, visitors: Visitors, model: str, folder: Path
) -> Callable[..., Reply]:
    def chat(audio: str | None, text: str, request: gr.Request) -> Reply:
        client = f"chat-client-{request.session_hash}" if request.session_hash else ""
        with visitors.acting(client) as ticket:
            try:
                session = visitors.session(client).ask(_message(audio, text))
            except AudioChatError as error:
                raise gr.Error(str(error), print_exception=False) from error
            for step in answering.steps(session, Settings(model)):
                session = step.session
            if session.trouble:
                raise gr.Error(session.trouble, print_exception=False)
            visitors.put(client, ticket, session)
        question, reply = session.conversation.messages[-2:]
        speech = session.notes[-1].speech
        return (
            reply.text,
            render.sound_file(speech, folder, "reply") if speech else None,
            _heard(question),
        )

    return chat


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
