"""The captions of a recording as WebVTT and SRT, and the conversation as plain text."""

from datetime import datetime

from audiochat.conversation import AudioPart, Message, Role
from audiochat.recording import Recording
from audiochat.recording.timeline import (
    NO_WORDS_HEARD,
    NO_WORDS_SAID,
    STOPPED,
    Timeline,
    printable,
)

SPEAKERS: dict[Role, str] = {"user": "You", "assistant": "Assistant"}

_ZERO_WIDTH_SPACE = "\u200b"


def vtt(timeline: Timeline) -> str:
    """The captions as WebVTT, each in the voice of its speaker."""
    escaped = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    blocks = [
        f"{_time(cue.start_s, '.')} --> {_time(cue.end_s, '.')}\n"
        f"<v {SPEAKERS[cue.role]}>{cue.text.translate(escaped)}"
        for cue in timeline.cues
    ]
    return "\n\n".join(["WEBVTT", *blocks]) + "\n"


def srt(timeline: Timeline) -> str:
    """The captions as SubRip, the speaker named in each.

    SubRip has no way to write "<" or "{" as themselves, which players take for tags: an invisible
    space behind them keeps the words as they were said.
    """
    disarmed = str.maketrans({mark: mark + _ZERO_WIDTH_SPACE for mark in "<{"})
    blocks = [
        f"{number}\n{_time(cue.start_s, ',')} --> {_time(cue.end_s, ',')}\n"
        f"{SPEAKERS[cue.role]}: {cue.text.translate(disarmed)}"
        for number, cue in enumerate(timeline.cues, start=1)
    ]
    return "\n\n".join(blocks) + "\n"


def transcript(recording: Recording, timeline: Timeline) -> str:
    """The conversation to read: who said what, and when it begins in the captions."""
    lines = [heading(recording), when(recording.created), ""]
    for message, span in zip(recording.conversation.messages, timeline.spans, strict=True):
        said = " ".join(shown_text(message).split())
        lines.append(f"[{clock(span.start_s)}] {SPEAKERS[message.role]}: {said}")
    return "\n".join(lines) + "\n"


def heading(recording: Recording) -> str:
    """What the recording is, in one line."""
    model = " ".join(printable(recording.model).split())
    return f"A conversation with {model}" if model else "A conversation"


def when(created: datetime) -> str:
    """The date for a person."""
    # Not strftime: it leaves out the zeros of early years.
    text = created.isoformat(sep=" ", timespec="minutes")
    return text.replace("+00:00", " UTC")


def shown_text(message: Message) -> str:
    """The words of a message as a reader sees them: corrected where they were, marked if stopped.

    Line breaks stay.
    """
    unheard = NO_WORDS_HEARD if message.role == "user" else ""
    words = [
        (part.words or unheard) if isinstance(part, AudioPart) else part for part in message.parts
    ]
    said = printable("\n".join(text.strip() for text in words if text.strip()))
    if message.stopped:
        return f"{said} {STOPPED}".strip()
    return said or NO_WORDS_SAID


def clock(seconds: float) -> str:
    """Minutes and seconds, as on a player."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _time(seconds: float, point: str) -> str:
    """Hours, minutes, seconds and milliseconds."""
    whole_s, ms = divmod(round(seconds * 1000), 1000)
    minutes, rest = divmod(whole_s, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}{point}{ms:03d}"
