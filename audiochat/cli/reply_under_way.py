"""A reply of hands-free talk, from its question until its last sound: shown, played, stopped."""

from __future__ import annotations

from collections.abc import Callable

from audiochat.backends.base import Heard, Notice, TextPiece, Working
from audiochat.cli.live_reply import ReplyEnded, ReplySoFar, RunningReply
from audiochat.cli.player import Player
from audiochat.cli.talk_screen import Screen, State
from audiochat.conversation import Conversation
from audiochat.errors import AudioChatError, AudioError
from audiochat.turn import Event, Speech


class ReplyUnderWay:
    """What becomes of the events of one reply."""

    def __init__(
        self, running: RunningReply, asked: Conversation, player: Player, screen: Screen
    ) -> None:
        """`asked`: the conversation with the question at its end."""
        self.running = running
        self._so_far = ReplySoFar(asked)
        self._player = player
        self._screen = screen
        self._whole = False
        self._working: Working | None = None

    @property
    def sounding(self) -> bool:
        """Whether it is to be heard right now; any thread may ask."""
        return self._player.sounding

    @property
    def recent_db(self) -> float:
        """How loud it was a moment ago; any thread may ask."""
        return self._player.recent_db

    @property
    def over(self) -> bool:
        """Whether all of it is written and was heard."""
        return self._whole and not self.sounding

    @property
    def state(self) -> State:
        """How a person sees it."""
        return "speaking" if self.sounding or self._so_far.written else "thinking"

    def take(self, event: Event) -> None:
        """Show or play what has come."""
        if isinstance(event, Heard):
            if self._so_far.is_of_question(event):
                self._screen.say(f"(heard: {event.text})")
        elif isinstance(event, TextPiece):
            self._screen.write(event.text)
        elif isinstance(event, Speech):
            self._trying(lambda: self._player.play(event.waveform))
        elif isinstance(event, Notice):
            self._screen.say(event.text)
        elif isinstance(event, Working) and event != self._working:
            # Work that goes on is told once.
            self._working = event
            self._screen.say(f"{event.sentence} ...")
        self._so_far = self._so_far.after(event)

    def end(self, ended: ReplyEnded) -> Conversation | None:
        """No more of it will come.

        Returns:
            The conversation with the whole reply, or None where it failed: that is said, and
            leaves no other trace.
        """
        self._screen.end_reply()
        self._whole = True
        try:
            ended.outcome.result()
        except AudioChatError as error:
            self._player.close()
            self._screen.say(str(error))
            return None
        return self._so_far.conversation

    def stop(self) -> Conversation:
        """Fall silent at once, and have no more made of it.

        Returns:
            The conversation with what was said so far, marked as stopped.
        """
        self.running.stop()
        self._player.close()
        self._screen.end_reply("stopped")
        return self._so_far.stopped(self._player.n_begun)

    def close(self) -> None:
        """Give the loudspeaker back."""
        self._player.close()

    def check(self) -> None:
        """Notice a loudspeaker that went away."""
        self._trying(self._player.check)

    def _trying(self, play: Callable[[], None]) -> None:
        """A loudspeaker that fails costs a sentence, not the reply."""
        try:
            play()
        except AudioError as error:
            self._screen.say(f"({error})")
