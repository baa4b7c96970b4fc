"""`conversation.json`, schema 1: what `FORMAT` describes, made from a recording and read back."""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from audiochat.audio import Waveform, resample
from audiochat.conversation import AudioPart, Conversation, Message, Part, Role, TimedWord
from audiochat.errors import ConversationError, DataError
from audiochat.recording import Recording, Reply
from audiochat.recording.captions import SPEAKERS
from audiochat.recording.json_values import Fields, parse
from audiochat.turn import Speech, Timings

NAME = "conversation.json"
SCHEMA = 1

FORMAT = """
schema         1; a reader refuses any other
created        ISO 8601 date with its time zone
model          who answered
commit, command, machine    where it was recorded; may be absent
system_prompt  text; "" is none
messages       in order, user and assistant alternating, the user first:
  role         "user" or "assistant"
  stopped      true where the person stopped the reply before its end; else absent
  parts        in order, each either
    text       what was typed or written
  or
    audio      path of a sound file beside this one, "audio/NNN-ROLE.wav": NNN counts turns from
               001, a further sound of the same message has "-2" behind its role
    heard      what the model understood; null before it listened
    confidence 0 to 1 or null
    corrected  the words as the person put them right, or null
    words      of `heard`, each with text, start_s, end_s (in the sound) and confidence
  speech       of a spoken reply:
    audio      path, as above
    pieces     what was said, each with text, start_s, end_s (in the sound)
  timings      of a reply, milliseconds from the end of the question; tokens and tokens a second
  by           who answered, where the models were several; may be absent

Sound is 16-bit mono: a recording at 16 kHz, a reply at its voice's own rate. Reading gives the same
conversation back, its samples to 16 bits. Unknown fields are passed over.
"""
"""The fields of a conversation.json."""

_PROVENANCE = ("commit", "command", "machine")


class Sounds(Protocol):
    """Reads the sounds that a document names by path; raises AudioChatError for what it refuses."""

    def recording(self, path: str) -> Waveform:
        """What a person said, at SAMPLE_RATE."""

    def reply(self, path: str) -> Waveform:
        """What a voice said, at its own rate."""


def document(recording: Recording) -> tuple[str, dict[str, Waveform]]:
    """Return the JSON text, and the sounds it names by their paths."""
    sounds: dict[str, Waveform] = {}
    messages = []
    for index, message in enumerate(recording.conversation.messages):
        names = _names(index, message.role)
        reply = recording.reply(index)
        # A reply's voice takes the plain name, before any sound among its parts.
        speech = _speech(reply, names, sounds)
        messages.append(
            {
                "role": message.role,
                **({"stopped": True} if message.stopped else {}),
                "parts": [_part(part, names, sounds) for part in message.parts],
                **speech,
                **({"timings": asdict(reply.timings)} if reply.timings else {}),
                **({"by": reply.by} if reply.by else {}),
            }
        )
    content = {
        "schema": SCHEMA,
        "created": recording.created.isoformat(),
        **{key: recording.provenance[key] for key in _PROVENANCE if key in recording.provenance},
        "model": recording.model,
        "system_prompt": recording.conversation.system_prompt,
        "messages": messages,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", sounds


def recording_from(data: bytes, sounds: Sounds, name: str = NAME) -> Recording:
    """Read a document and the sounds it names; `name` is that of its file, for errors.

    Raises:
        AudioChatError: something in it is not as `FORMAT` says; the message names the place.
    """
    top = parse(data, name)
    if not top.has("schema"):
        raise DataError(
            f"{name} is no recorded conversation. Give a conversation.json or conversation.zip "
            "that was recorded by this program."
        )
    if top.number("schema") != SCHEMA:
        raise DataError(
            f"{name} is of another version: this program reads schema {SCHEMA}. "
            "Install the newest audiochat, or record the conversation again."
        )
    messages, replies = [], []
    for fields_ in top.children("messages"):
        messages.append(_message_from(fields_, sounds))
        if messages[-1].role == "assistant":
            replies.append(_reply_from(fields_, sounds))
    try:
        conversation = Conversation(tuple(messages), top.text("system_prompt"))
        return Recording(
            conversation,
            tuple(replies),
            model=top.text("model"),
            created=_date_from(top),
            provenance={key: top.value(key) for key in _PROVENANCE if top.has(key)},
        )
    except ConversationError as error:
        raise DataError(f"{name}: {error}") from error


def _names(index: int, role: Role) -> Iterator[str]:
    """Paths for the sounds of the message at `index`, one after the other."""
    stem = f"audio/{index // 2 + 1:03d}-{role}"
    yield f"{stem}.wav"
    number = 2
    while True:
        yield f"{stem}-{number}.wav"
        number += 1


def _part(part: Part, names: Iterator[str], sounds: dict[str, Waveform]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"text": part}
    name = next(names)
    sounds[name] = part.waveform
    return {
        "audio": name,
        "heard": part.heard,
        "confidence": part.confidence,
        "corrected": part.corrected,
        "words": [asdict(word) for word in part.timed_words],
    }


def _speech(reply: Reply, names: Iterator[str], sounds: dict[str, Waveform]) -> dict[str, Any]:
    if reply.speech is None:
        return {}
    name = next(names)
    sounds[name] = reply.speech
    rate = reply.speech.sample_rate
    pieces, end = [], 0
    for piece in reply.pieces:
        start, own_rate = end, piece.waveform.sample_rate
        # The same call that joined them: its lengths are the ones that count.
        end += len(resample(piece.waveform.samples, own_rate, rate))
        pieces.append({"text": piece.text, "start_s": start / rate, "end_s": end / rate})
    return {"speech": {"audio": name, "pieces": pieces}}


def _message_from(given: Fields, sounds: Sounds) -> Message:
    role = given.text("role")
    if role not in SPEAKERS:
        raise given.wrong("'role' is neither user nor assistant")
    parts = tuple(_part_from(part, sounds) for part in given.children("parts"))
    try:
        return Message(role, parts, given.flag("stopped"))
    except ConversationError as error:
        raise given.wrong(str(error).rstrip(".")) from error


def _part_from(given: Fields, sounds: Sounds) -> Part:
    if not given.has("audio"):
        return given.text("text")
    words = given.children("words") if given.has("words") else []
    return AudioPart(
        sounds.recording(given.text("audio")),
        heard=given.optional_text("heard"),
        confidence=given.optional_number("confidence"),
        corrected=given.optional_text("corrected"),
        timed_words=tuple(
            TimedWord(
                word.text("text"),
                word.number("start_s"),
                word.number("end_s"),
                word.optional_number("confidence"),
            )
            for word in words
        ),
    )


def _reply_from(given: Fields, sounds: Sounds) -> Reply:
    timings = None
    if given.has("timings"):
        told = given.child("timings")
        timings = Timings(
            **{one.name: cast(Any, told.optional_number(one.name)) for one in fields(Timings)}
        )
    by = given.text("by") if given.has("by") else ""
    if not given.has("speech"):
        return Reply((), timings, by)
    speech = given.child("speech")
    sound = sounds.reply(speech.text("audio"))
    pieces, end = [], 0
    for index, piece in enumerate(speech.children("pieces")):
        start, end = end, round(piece.number("end_s") * sound.sample_rate)
        if round(piece.number("start_s") * sound.sample_rate) != start or end < start:
            raise piece.wrong("the pieces do not follow each other")
        samples = sound.samples[start:end]
        pieces.append(Speech(Waveform(samples, sound.sample_rate), piece.text("text"), index))
    if end != len(sound.samples):
        raise speech.wrong("the pieces are not as long as their sound")
    return Reply(tuple(pieces), timings, by)


def _date_from(top: Fields) -> datetime:
    try:
        date = datetime.fromisoformat(top.text("created"))
    except ValueError as error:
        raise top.wrong("'created' is not a date") from error
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
