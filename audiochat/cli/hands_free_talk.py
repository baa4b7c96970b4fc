"""Hands-free talk in the terminal: the microphone stays open, and turns are taken as one speaks."""

from __future__ import annotations

import queue
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import numpy as np

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.cli.echo_guard import EchoGuard
from audiochat.cli.keyboard import Keyboard
from audiochat.cli.live_reply import Partner, ReplyEnded, ReplyEvent, ReplyWorker
from audiochat.cli.player import Player
from audiochat.cli.reply_under_way import ReplyUnderWay
from audiochat.cli.sound_card import STALLED_S, Microphone, SoundCard, no_sound
from audiochat.cli.talk_screen import Screen, State, open_screen
from audiochat.conversation import Conversation, Message
from audiochat.errors import AudioError
from audiochat.hands_free import HandsFree, OpenMicrophone, Paused, SpeechBegan, TurnEnded
from audiochat.turn_taking import SpeechDetector

BLOCK_S = 0.05
"""How much sound is looked at together: what it adds to the time until a reply is stopped."""

TICK_S = 0.05
"""How often the keyboard is looked at where nothing else happens."""

ECHO_S = 0.3
"""So long behind a reply its echo may come: through the room, and the microphone's buffers."""

WELCOME = (
    "Just speak; a silence ends your turn. Or type and press Enter. "
    "Ctrl-C stops a reply, Ctrl-D leaves."
)
HEADPHONES = "Speaking up stops a reply; without headphones you must be louder than its voice."


@dataclass(frozen=True, eq=False)
class _Block:
    """Sound from the microphone."""

    samples: np.ndarray
    sounding: bool
    """Whether a reply sounded when it was taken. Noted then: when its turn comes to be looked at,
    a busy machine may be done with the reply, and would hear its voice as the person's."""
    played_db: float
    """How loud the reply was in the moments before."""


@dataclass(frozen=True)
class _CtrlC:
    """Ctrl-C was pressed."""


_Item = _Block | ReplyEvent | ReplyEnded | _CtrlC


def talk_hands_free(
    card: SoundCard, conversation: Conversation, partner: Partner, settings: HandsFree
) -> Conversation:
    """Talk until the person leaves; the terminal is left as it was.

    Returns:
        The conversation as it is then.
    """
    with ExitStack() as stack:
        screen = open_screen()
        keyboard = stack.enter_context(Keyboard(sys.stdin, by_letter=screen.draws))
        stack.enter_context(screen)
        talk = HandsFreeTalk(card, conversation, partner, settings, screen=screen)
        talk.run(keyboard)
    return talk.conversation


class HandsFreeTalk:
    """Takes one thing after the other out of one queue, whoever put it there.

    PortAudio's thread puts in the microphone's blocks, the reply's worker its events, the signal
    handler Ctrl-C; the keyboard is looked at in between. All that follows happens in the one
    thread that calls `run`, so nothing here needs a lock.
    """

    def __init__(
        self,
        card: SoundCard,
        conversation: Conversation,
        partner: Partner,
        settings: HandsFree,
        *,
        screen: Screen,
    ) -> None:
        self.conversation = conversation
        self._card = card
        self._settings = settings
        self._screen = screen
        self._inbox: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._worker = ReplyWorker(partner, self._inbox.put)
        self._detector = SpeechDetector()
        self._microphone = Microphone(card, self._take_sound, BLOCK_S)
        self._heard = OpenMicrophone()
        self._idle_ticks = 0
        """For how many ticks nothing has come: neither sound nor anything else."""
        self._level_db = -np.inf
        self._echo_s = 0.0
        """For how much more sound an echo of the reply may come back."""
        self._echo_guard = EchoGuard()
        self._reply: ReplyUnderWay | None = None
        self._leaving = False

    def run(self, keyboard: Keyboard) -> None:
        """Talk until the person leaves."""
        self._screen.say(WELCOME)
        if self._settings.barge_in:
            self._screen.say(HEADPHONES)
        with self._worker, closing(self), self._ctrl_c_as_item():
            self._open_microphone()
            while not self._leaving:
                self._on_item(self._next_item())
                for line in keyboard.lines():
                    self._on_typed(line.strip())
                self._leaving = self._leaving or keyboard.ended
                self._follow_devices()
                # On a busy machine what waits comes first: drawing costs more than listening.
                if self._inbox.empty() or not self._screen.draws:
                    self._screen.show(self._state, self._level_db, keyboard.typing, self._hint)

    def close(self) -> None:
        """End a reply that is under way, keeping what was said of it, and give the devices back."""
        self._stop_reply()
        self._microphone.close()

    @property
    def _state(self) -> State:
        if self._reply is not None:
            return self._reply.state
        if not self._microphone.is_open:
            return "microphone off"
        return "hearing you" if self._heard.hearing else "listening"

    @property
    def _hint(self) -> str:
        if self._reply is None:
            return "speak, or type" if self._microphone.is_open else "type"
        return "speak up or press Ctrl-C to stop" if self._settings.barge_in else "Ctrl-C stops"

    def _next_item(self) -> _Item | None:
        try:
            return self._inbox.get(timeout=TICK_S)
        except queue.Empty:
            return None

    def _on_item(self, item: _Item | None) -> None:
        self._idle_ticks = self._idle_ticks + 1 if item is None else 0
        if isinstance(item, _Block):
            self._on_sound(item)
        elif isinstance(item, ReplyEvent):
            # The events of a reply that was stopped may still be on their way.
            if self._reply is not None and self._reply.running is item.reply:
                self._reply.take(item.event)
        elif isinstance(item, ReplyEnded):
            if self._reply is not None and self._reply.running is item.reply:
                self.conversation = self._reply.end(item) or self.conversation
        elif isinstance(item, _CtrlC):
            self._leaving = self._reply is None
            self._stop_reply()

    def _on_sound(self, block: _Block) -> None:
        """Follow the microphone: speech begins, pauses, and is a turn."""
        self._level_db = Waveform(block.samples).rms_db
        if self._reply is not None or block.sounding:
            self._echo_s = ECHO_S
        replying = self._echo_s > 0
        self._echo_s -= len(block.samples) / SAMPLE_RATE
        echo = self._echo_guard.is_echo(self._level_db, block.played_db)
        # The voice of a reply has to go unheard, but not what is said once it was stopped.
        deaf = echo and not self._heard.hearing
        samples = np.zeros_like(block.samples) if deaf else block.samples
        self._heard, events = self._heard.follow(
            self._detector, samples, self._settings, replying=replying
        )
        for event in events:
            if isinstance(event, SpeechBegan):
                self._stop_reply()
            elif isinstance(event, Paused):
                # If no more is said it is the turn, to the sample.
                self._worker.hear_ahead(event.recording, self.conversation.messages)
            elif isinstance(event, TurnEnded):
                self._ask(Message.user(event.recording))

    def _on_typed(self, line: str) -> None:
        """A line is a turn, and stops a reply as speaking up would."""
        if line:
            self._stop_reply()
            self._screen.asked(line)
            self._heard = OpenMicrophone()
            self._ask(Message.user(line))
        elif not self._microphone.is_open:
            self._open_microphone()

    def _ask(self, question: Message) -> None:
        asked = self.conversation.add(question)
        self._echo_guard = EchoGuard()
        self._reply = ReplyUnderWay(
            self._worker.begin(asked), asked, Player(self._card), self._screen
        )

    def _stop_reply(self) -> None:
        """Stop the reply under way, if there is one."""
        if self._reply is not None:
            self.conversation = self._reply.stop()
            self._reply = None

    def _follow_devices(self) -> None:
        """Notice that the reply was heard, and that a device went away."""
        if self._reply is not None:
            self._reply.check()
            if self._reply.over:
                self._reply.close()
                self._reply = None
        if self._microphone.is_open and self._idle_ticks * TICK_S >= STALLED_S:
            self._lose_microphone(no_sound("it has stopped"))

    def _open_microphone(self) -> None:
        try:
            self._microphone.open()
        except AudioError as error:
            self._lose_microphone(error)

    def _lose_microphone(self, error: AudioError) -> None:
        """The conversation goes on by typing."""
        self._microphone.close()
        self._heard, self._level_db, self._idle_ticks = OpenMicrophone(), -np.inf, 0
        self._screen.say(f"{error} Typing goes on; Enter alone tries the microphone again.")

    def _take_sound(self, samples: np.ndarray) -> None:
        """Called in PortAudio's thread."""
        if (reply := self._reply) is None:
            self._inbox.put(_Block(samples, sounding=False, played_db=-np.inf))
        else:
            self._inbox.put(_Block(samples, reply.sounding, reply.recent_db))

    @contextmanager
    def _ctrl_c_as_item(self) -> Iterator[None]:
        """Ctrl-C stops a reply between two steps, not in the midst of one; see `_on_item`."""
        interrupt = signal.signal(signal.SIGINT, lambda *_: self._inbox.put(_CtrlC()))
        # The default would leave the terminal without its cursor.
        terminate = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGTERM, terminate)
