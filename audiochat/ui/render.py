"""Draws a session as the messages of a Gradio Chatbot, and its sounds as files.

Message i of the view is message i of `Session.shown`, so that an index from the page means the same
here.
"""

import html
import json
import logging
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from audiochat.audio import Waveform, encode_wav, write_wav
from audiochat.conversation import AudioPart, Message
from audiochat.recording import Reply
from audiochat.turn import Speech, Timings
from audiochat.ui.session import Session

SURE_FROM = 0.8
"""From this confidence on, what was heard is stated and not asked: rather once too often."""


NOT_WRITTEN = "The sound could not be kept here: the disk is full, or not to be written to."

_LOG = logging.getLogger(__name__)


def messages(session: Session, folder: Path) -> list[dict[str, Any]]:
    """Draw the whole view; sounds are written to `folder` where they are not there yet."""
    drawn, replies = [], 0
    for message in session.shown:
        if message.role == "user":
            drawn.append({"role": "user", "content": _question(message, folder)})
            continue
        note = session.notes[replies] if replies < len(session.notes) else Reply()
        replies += 1
        drawn.append({"role": "assistant", "content": _reply(message, note, folder)})
    if session.trouble:
        drawn.append({"role": "assistant", "content": [f"⚠️ {session.trouble}"]})
    return drawn


def comparison(session: Session) -> str:
    """Draw the newest turn as two models answered it, side by side; empty where one did."""
    if session.rival is None:
        return ""
    cards = "".join(
        _card(side, which) for side, which in ((session, "left"), (session.rival, "right"))
    )
    return (
        f'<div class="cards">{cards}</div><p class="aside">The right one was asked when the left '
        "one had answered. What the two have in common, such as the ear, is not worked out twice, "
        "so its times can be the shorter for it.</p>"
    )


def _card(session: Session, which: str) -> str:
    shown = session.shown
    asked = next(message for message in reversed(shown) if message.role == "user")
    reply = shown[-1].text if shown[-1].role == "assistant" else ""
    heard = " ".join(heard_line(part) for part in asked.audio_parts)
    answered = session.notes[-1] if session.notes and not session.asked else Reply()
    timings = answered.timings
    lines = [
        f"<h3>{html.escape(answered.by or session.by or 'Waiting …')}</h3>",
        f"<p><i>{heard}</i></p>" if heard else "",
        f"<p>{html.escape(reply)}</p>",
        f"<p>⚠️ {html.escape(session.trouble)}</p>" if session.trouble else "",
        f"<small>{timing_line(timings, whole=True)}</small>" if timings else "",
    ]
    return f'<section aria-label="{which}">{"".join(lines)}</section>'


def heard_line(part: AudioPart) -> str:
    """Say in one line what was understood of a recording; empty while it is not known."""
    words = html.escape(part.words, quote=False)
    if part.corrected:
        return f"You said: “{words}”"
    if part.heard is None:
        return ""
    if not part.heard.strip():
        return "I heard no words. Speak closer to the microphone, or type what you said."
    if part.confidence is not None and part.confidence < SURE_FROM:
        return f"I heard “{words}”, is that right?"
    return f"I heard: “{words}”"


def timing_line(timings: Timings, *, whole: bool = False) -> str:
    """Tell how long a reply took, in one line; `whole`: and what was read and written."""
    figures = [
        (timings.first_text_ms, "first words after {:.2f} s", 1000),
        (timings.first_speech_ms, "first sound after {:.2f} s", 1000),
    ]
    if whole:
        figures += [
            (timings.total_ms, "all after {:.2f} s", 1000),
            (timings.tokens_per_s, "{:.0f} tokens/s", 1),
        ]
    told = [form.format(value / unit) for value, form, unit in figures if value is not None]
    if whole and timings.prompt_tokens:
        reused = f", {timings.reused_tokens} of them remembered" if timings.reused_tokens else ""
        told.append(f"{timings.prompt_tokens} tokens read{reused}")
    return " · ".join(told)


def sound_line(speech: Speech) -> str:
    """One spoken piece as the page's player takes it."""
    return json.dumps([b64encode(encode_wav(speech.waveform)).decode(), speech.text])


def sound_file(waveform: Waveform, folder: Path, name: str) -> str:
    """Write the sound as WAV below `folder`, once, and return its path.

    The folder of the file is named by content, which nobody can guess.
    """
    path = folder / waveform.digest / f"{name}.wav"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two threads may draw the same session: each writes its own, and the name gets a whole one.
        unfinished = path.with_suffix(f".{uuid4().hex}")
        write_wav(waveform, unfinished)
        unfinished.replace(path)
    return str(path)


def _sound(waveform: Waveform, folder: Path, name: str, words: str) -> str | dict[str, str]:
    """What the view shows of a sound: its player, or why there is none."""
    try:
        return {"path": sound_file(waveform, folder, name), "alt_text": words}
    except OSError as error:
        _LOG.warning("A sound cannot be written to %s: %s", folder, error)
        return NOT_WRITTEN


def _question(message: Message, folder: Path) -> list[str | dict[str, str]]:
    content: list[str | dict[str, str]] = []
    for part in message.parts:
        if isinstance(part, str):
            content.append(html.escape(part, quote=False))
            continue
        line = heard_line(part)
        words = part.words or "not written down yet"
        content.append(_sound(part.waveform, folder, "question", f"Your recording: {words}"))
        if line:
            content.append(line)
    return content


def _reply(message: Message, note: Reply, folder: Path) -> list[str | dict[str, str]]:
    text = message.text or "(The model said nothing. Ask in other words.)"
    content: list[str | dict[str, str]] = [text]
    if note.speech is not None:
        content.append(_sound(note.speech, folder, "reply", f"Spoken reply: {message.text}"))
    figures: Sequence[str] = [
        *(["stopped"] if message.stopped else []),
        *([timing_line(note.timings)] if note.timings else []),
    ]
    if figures:
        content.append(f"<small>{' · '.join(figures)}</small>")
    return content
