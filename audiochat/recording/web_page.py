"""One page that replays a recording by itself: no server, no network, opened as a file.

Every word of the conversation is escaped, and the page's own security policy lets no script run
but the one it came with.
"""

import hashlib
import html
import re
from base64 import b64encode
from pathlib import Path

import numpy as np

from audiochat.audio import Waveform
from audiochat.conversation import Message
from audiochat.recording import Recording, Reply
from audiochat.recording.captions import SPEAKERS, clock, heading, shown_text, when
from audiochat.recording.sound_track import encoded
from audiochat.recording.timeline import Cue, Span, Timeline

PAGE_NAME = "index.html"

N_BARS = 64
"""Bars of a drawn sound."""

_PARTS = Path(__file__).parent / "page"
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def web_page(recording: Recording, timeline: Timeline) -> str:
    """The page as HTML, with its style, its script and the sound inside."""
    style, script = (_part(f"page.{kind}") for kind in ("css", "js"))
    placed = zip(recording.conversation.messages, timeline.spans, strict=True)
    messages = [
        _message(message, span, recording.reply(index))
        for index, (message, span) in enumerate(placed)
    ]
    length = clock(timeline.duration_s)
    filled = {
        "heading": html.escape(heading(recording)),
        "about": html.escape(f"{when(recording.created)} · {length} min · recorded with audiochat"),
        "messages": "\n".join(messages),
        "duration": f"{timeline.duration_s:.3f}",
        "length": length,
        "sound": b64encode(encoded(timeline)).decode(),
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
    }
    # One pass: what a person said may look like a place to be filled.
    return _PLACE.sub(lambda place: filled[place[1]], _part("page.html"))


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _hash(inline: str) -> str:
    """What a security policy names an inline style or script by."""
    return "sha256-" + b64encode(hashlib.sha256(inline.encode()).digest()).decode()


def _message(message: Message, span: Span, reply: Reply) -> str:
    """One turn of talk as a list item: who, a bubble to play it from, how it came about."""
    note = _note(message, reply)
    return (
        f'<li class="{message.role}" data-start="{span.start_s:.3f}">\n'
        f'<p class="who">{SPEAKERS[message.role]}</p>\n'
        f'<button type="button" class="bubble">{_waves(span)}{_words(message, span)}</button>\n'
        f'{f"""<p class="note">{html.escape(note)}</p>""" if note else ""}</li>'
    )


def _words(message: Message, span: Span) -> str:
    """The message's words, caption by caption; unseen captions where it was written otherwise."""
    text = shown_text(message)
    if " ".join(cue.text for cue in span.cues) == " ".join(text.split()):
        return f'<span class="words">{" ".join(_cue(cue, cue.text) for cue in span.cues)}</span>'
    unseen = "".join(_cue(cue, "") for cue in span.cues)
    return f'<span class="words">{html.escape(text)}</span>{unseen}'


def _cue(cue: Cue, shown: str) -> str:
    said = "" if shown else f' data-text="{html.escape(cue.text)}"'
    times = f'data-from="{cue.start_s:.3f}" data-to="{cue.end_s:.3f}"'
    return f"<span {times}{said}>{html.escape(shown)}</span>"


def _waves(span: Span) -> str:
    """The sounds of a message as one picture; none where it was typed."""
    if not span.sounds:
        return ""
    peaks = np.concatenate([sound.waveform.samples for sound in span.sounds])
    return _wave(Waveform(peaks))


def _wave(waveform: Waveform) -> str:
    """The sound as bars around a middle line, the loudest as high as the picture."""
    loudness = [
        float(np.abs(part).max(initial=0.0)) for part in np.array_split(waveform.samples, N_BARS)
    ]
    scale = 12 / max(*loudness, 1e-4)
    bars = "".join(
        f"M{3 * n + 1.5:g} {14 - scale * height:.1f}V{14.2 + scale * height:.1f}"
        for n, height in enumerate(loudness)
    )
    return (
        f'<svg class="wave" viewBox="0 0 {3 * N_BARS} 28" preserveAspectRatio="none" '
        f'aria-hidden="true"><path d="{bars}"/></svg>'
    )


def _note(message: Message, reply: Reply) -> str:
    """How the message came about, in a few words."""
    if message.role == "user":
        corrected = any(part.corrected for part in message.audio_parts)
        return "spoken, words put right" if corrected else "spoken" if message.audio_parts else ""
    said = [] if reply.speech else ["text alone"]
    if reply.timings and reply.timings.first_speech_ms is not None:
        said.append(f"first sound after {reply.timings.first_speech_ms / 1000:.2f} s")
    elif reply.timings and reply.timings.first_text_ms is not None:
        said.append(f"first words after {reply.timings.first_text_ms / 1000:.2f} s")
    return " · ".join(said)
