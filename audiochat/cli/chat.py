"""`chat`: talk on the sound card, or ask with --text and --audio FILE and read the replies."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from audiochat.audio import RECORDING_LIMITS, Waveform, concatenate, decode, write_wav
from audiochat.backends import load_backend
from audiochat.backends.base import Backend, Heard, Notice, Working
from audiochat.cli.live_recording import Answer, recorded
from audiochat.cli.live_reply import Partner
from audiochat.cli.options import add_settings, check_output, settings_from, show_progress
from audiochat.cli.sound_card import open_sound_card
from audiochat.cli.talk import TalkSettings, add_talk_options, list_devices, talk, talk_settings
from audiochat.conversation import Conversation, Message
from audiochat.errors import MissingPartError
from audiochat.prompts import DEFAULT_SYSTEM_PROMPT
from audiochat.sampling import Sampling
from audiochat.turn import Done, Event, Speech
from audiochat.voices import engine_of, load_voice
from audiochat.voices.base import Voice


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command's options."""
    parser = argparse.ArgumentParser("python -m audiochat chat", description=__doc__)
    turns = parser.add_argument_group("turns, answered in order (none: live on the sound card)")
    for flag, kind in (("--text", "a typed turn"), ("--audio", "a turn spoken in a sound file")):
        turns.add_argument(
            flag,
            dest="turns",
            action="append",
            type=partial(_turn, flag),
            metavar=flag[2:].upper(),
            help=kind,
        )
    parser.add_argument(
        "--record", type=Path, metavar="FOLDER", help="write it down: JSON, sound, page, video"
    )
    spoken = parser.add_mutually_exclusive_group()
    spoken.add_argument("--say", type=Path, metavar="FILE.wav", help="save the spoken replies")
    spoken.add_argument("--no-voice", action="store_true", help="replies as text alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a turn")
    parser.add_argument("--model", default="embedded", help="see `python -m audiochat models`")
    parser.add_argument("--voice", default="espeak", help="see `python -m audiochat models`")
    parser.add_argument(
        "--accept-cpml", action="store_true", help="accept the non-commercial licence of XTTS"
    )
    parser.add_argument("--system-prompt", default=DEFAULT_SYSTEM_PROMPT, help="who it should be")
    add_talk_options(parser)
    add_settings(parser, Sampling)
    return parser


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options, sampling, live = _parse(argv)
    if options.list_devices:
        list_devices()
        return 0
    check_output(options.say)
    with recorded(options.record) as ask:
        return _converse(options, sampling, live, ask)


def _converse(
    options: argparse.Namespace, sampling: Sampling, live: TalkSettings, ask: Answer
) -> int:
    """Load what is needed and take the turns."""
    conversation = Conversation(system_prompt=options.system_prompt)
    if options.turns:
        # Files are read before the model is loaded: a wrong path is said at once.
        messages = [_message(flag, value) for flag, value in options.turns]
        voiced = options.say is not None or (options.record is not None and not options.no_voice)
        backend, voice = _load(options, with_voice=voiced)
        speech = _ask(
            messages, conversation, backend, voice, ask=ask, sampling=sampling, as_json=options.json
        )
        if options.say is not None:
            write_wav(concatenate(speech), options.say)
        return 0
    if not sys.stdin.isatty():
        raise MissingPartError(
            "Talking needs a terminal, and there is none. Ask with --text or --audio FILE."
        )
    card = open_sound_card(options.input_device, options.output_device)
    backend, voice = _load(options, with_voice=not options.no_voice)
    talk(card, conversation, Partner(backend, voice, sampling, ask), live)
    return 0


def _ask(
    messages: Iterable[Message],
    conversation: Conversation,
    backend: Backend,
    voice: Voice | None,
    *,
    ask: Answer,
    sampling: Sampling,
    as_json: bool,
) -> list[Waveform]:
    """Answer the messages in order, print the replies, and return what the voice said."""
    speech: list[Waveform] = []
    for message in messages:
        heard: list[str] = []
        events = ask(conversation.add(message), backend, voice, sampling=sampling)
        for event in _without_repeats(events):
            if isinstance(event, Heard):
                # A backend may tell of earlier recordings too.
                if event.message_index == len(conversation.messages):
                    heard.append(event.text)
            elif isinstance(event, Notice | Working):
                _tell(event)
            elif isinstance(event, Speech):
                speech.append(event.waveform)
            elif isinstance(event, Done):
                conversation = event.conversation
                _print(event, heard, as_json=as_json)
    return speech


def _print(done: Done, heard: list[str], *, as_json: bool) -> None:
    """Print the reply in one line, and beside it what was heard, as a live conversation does."""
    reply, words = done.conversation.messages[-1].text, " ".join(heard) if heard else None
    if as_json:
        row = {"heard": words, "reply": reply, "timings": asdict(done.timings)}
        print(json.dumps(row), flush=True)
        return
    if words is not None:
        print(f"(heard: {words})", file=sys.stderr, flush=True)
    # One reply a line, whatever the model put between its words.
    print(" ".join(reply.split()), flush=True)


def _tell(event: Notice | Working) -> None:
    """Say it beside the reply, never in it."""
    text = event.text if isinstance(event, Notice) else f"{event.sentence} ..."
    print(text, file=sys.stderr, flush=True)


def _without_repeats(events: Iterable[Event]) -> Iterator[Event]:
    """Work that goes on is told once."""
    last: Event | None = None
    for event in events:
        if not isinstance(event, Working) or event != last:
            yield event
        last = event


def _load(options: argparse.Namespace, *, with_voice: bool) -> tuple[Backend, Voice | None]:
    engine_of(options.voice)
    voice = load_voice(options.voice, accept_cpml=options.accept_cpml) if with_voice else None
    return load_backend(options.model, progress=show_progress), voice


def _parse(argv: list[str]) -> tuple[argparse.Namespace, Sampling, TalkSettings]:
    reader = build_parser()
    options = reader.parse_args(argv)
    if not options.turns and (options.say or options.json):
        reader.error("--say and --json need at least one --text or --audio")
    live = talk_settings(options, reader, live=not options.turns)
    return options, settings_from(options, Sampling, reader), live


def _turn(flag: str, value: str) -> tuple[str, str]:
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return flag, value


def _message(flag: str, value: str) -> Message:
    return Message.user(value if flag == "--text" else decode(Path(value), RECORDING_LIMITS))
