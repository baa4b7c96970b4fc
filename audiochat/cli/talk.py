"""Live talk in the terminal: its options, and push-to-talk; hands-free talk has its own module."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from audiochat.backends.base import Heard, Notice, TextPiece, Working
from audiochat.cli import sound_devices
from audiochat.cli.hands_free_talk import talk_hands_free
from audiochat.cli.live_reply import Partner, ReplySoFar
from audiochat.cli.player import Player
from audiochat.cli.sound_card import SoundCard, load_sounddevice, record_turn
from audiochat.conversation import Conversation, Message
from audiochat.errors import AudioChatError, AudioError
from audiochat.hands_free import HandsFree
from audiochat.turn import Event, Speech
from audiochat.turn_taking import SpeechDetector, TurnTaking

WELCOME = (
    "Press Enter and speak; Enter again or a pause ends your turn. "
    "Or type and press Enter. Ctrl-C stops a reply, Ctrl-D leaves."
)


@dataclass(frozen=True)
class TalkSettings:
    """How live talk goes."""

    hands_free: bool
    """The microphone stays open; otherwise Enter opens it for one turn."""

    turns: HandsFree


def add_talk_options(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of live talk."""
    group = parser.add_argument_group("live talk")
    group.add_argument(
        "--hands-free", action="store_true", help="leave the microphone open: just speak"
    )
    group.add_argument(
        "--barge-in",
        action="store_true",
        help="with --hands-free, speaking up stops a reply (wear headphones)",
    )
    for flag, default, help_ in (
        ("--end-silence", TurnTaking.end_silence_s, "silence that ends your turn"),
        ("--min-speech", TurnTaking.min_speech_s, "speech that begins one: a click is shorter"),
    ):
        group.add_argument(
            flag,
            type=float,
            default=default,
            metavar="SECONDS",
            help=f"{help_} (default: %(default)s)",
        )
    for kind, part in sound_devices.PARTS.items():
        group.add_argument(
            f"--{kind}-device",
            metavar="NAME|INDEX",
            help=f"the {part}; a part of its name is enough",
        )
    group.add_argument(
        "--list-devices", action="store_true", help="print the sound devices, and leave"
    )


def talk_settings(
    options: argparse.Namespace, parser: argparse.ArgumentParser, *, live: bool
) -> TalkSettings:
    """The settings that the parsed options describe; those that make no sense are wrong usage."""
    if options.hands_free and not live:
        parser.error("--hands-free talks on the sound card: leave out --text and --audio")
    if options.barge_in and not options.hands_free:
        parser.error("--barge-in needs --hands-free")
    try:
        taking = TurnTaking(min_speech_s=options.min_speech, end_silence_s=options.end_silence)
    except AudioChatError as error:
        parser.error(str(error))
    return TalkSettings(options.hands_free, HandsFree(taking, barge_in=options.barge_in))


def list_devices() -> None:
    """Print the sound card's devices."""
    print(sound_devices.listing(load_sounddevice()))


def talk(
    card: SoundCard, conversation: Conversation, partner: Partner, settings: TalkSettings
) -> Conversation:
    """Take turns with the person until the input ends; a turn that fails leaves no trace.

    Returns:
        The conversation as it is then.
    """
    if settings.hands_free:
        return talk_hands_free(card, conversation, partner, settings.turns)
    return _push_to_talk(card, conversation, partner, settings.turns.turns)


def _push_to_talk(
    card: SoundCard, conversation: Conversation, partner: Partner, taking: TurnTaking
) -> Conversation:
    detector = SpeechDetector()
    print(WELCOME)
    while True:
        try:
            typed = input("\n> ").strip()
        except EOFError:
            print()
            return conversation
        try:
            if not typed:
                print("listening ...")
            message = Message.user(typed or record_turn(card, detector, taking))
            asked = conversation.add(message)
            with closing(partner.answer(asked)) as events, Player(card) as player:
                conversation = _show_and_play(events, asked, player)
        except AudioChatError as error:
            print(f"\n{error}")


def _show_and_play(
    events: Iterable[Event], conversation: Conversation, player: Player
) -> Conversation:
    """Print the reply as it is written and play it as it is spoken; Ctrl-C keeps what is there."""
    reply = ReplySoFar(conversation)
    working: Working | None = None
    try:
        for event in events:
            # Work that goes on is told once.
            if event != working:
                _show(event, reply, player)
            working = event if isinstance(event, Working) else None
            reply = reply.after(event)
        print()
        _wait(player)
    except KeyboardInterrupt:
        print(" (stopped)")
        return reply.stopped(player.n_begun)
    return reply.conversation


def _show(event: Event, reply: ReplySoFar, player: Player) -> None:
    if isinstance(event, Heard):
        if reply.is_of_question(event):
            print(f"{chr(10) if reply.written else ''}(heard: {event.text})")
    elif isinstance(event, TextPiece):
        print(event.text, end="", flush=True)
    elif isinstance(event, Speech):
        _play(event, player)
    elif isinstance(event, Notice):
        # Beside the reply, never in it.
        print(event.text, file=sys.stderr, flush=True)
    elif isinstance(event, Working):
        print(f"{event.sentence} ...", file=sys.stderr, flush=True)


def _play(speech: Speech, player: Player) -> None:
    try:
        player.play(speech.waveform)
    except AudioError as error:
        print(f"\n({error})")


def _wait(player: Player) -> None:
    try:
        player.wait()
    except AudioError as error:
        print(f"\n({error})")
