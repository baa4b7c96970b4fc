"""Hands-free talk in the terminal: scripted sound, the real detector, a real pseudo-terminal."""

import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import pytest

from audiochat.__main__ import main
from audiochat.audio import SAMPLE_RATE, resample
from audiochat.backends.base import Backend, BackendEvent, TextPiece
from audiochat.cli import chat, hands_free_talk, player
from audiochat.conversation import Conversation, Message
from audiochat.sampling import Sampling
from audiochat.turn_taking import SpeechDetector, TurnState, listen
from audiochat.voices import load_voice
from audiochat.voices.base import Voice
from tests.cli.live_card import RATE, LiveCard, Script, Terminal, quiet, speech
from tests.fakes import BeepVoice, BrokenBackend, EchoBackend

Talk = Callable[..., LiveCard]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdin", terminal.keyboard)
    yield terminal
    terminal.close()


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> Iterator[Talk]:
    """Run `chat --hands-free` with a script for the room; the person leaves at its end."""
    cards = []

    def run(
        script: Script,
        *flags: str,
        backend: Backend,
        voice: Voice | None = None,
        speed: float = 20.0,
        echo: float = 0.0,
        screen: Literal["plain", "drawn"] | None = None,
    ) -> LiveCard:
        if screen:  # otherwise standard output is no terminal
            monkeypatch.setattr(sys, "stdout", terminal.screen)
            monkeypatch.setenv("TERM", "xterm-256color")
            monkeypatch.setenv("NO_COLOR", "1" if screen == "plain" else "")

        def then_leave(card: LiveCard) -> Iterator[np.ndarray]:
            try:
                yield from script(card)
            except AssertionError:  # in the card's thread: it is to end the talk too
                terminal.leave()
                raise
            terminal.leave()

        card = LiveCard(then_leave, speed=speed, echo=echo)
        cards.append(card)
        monkeypatch.setitem(sys.modules, "sounddevice", card)
        monkeypatch.setattr(chat, "load_backend", lambda name, progress: backend)
        monkeypatch.setattr(chat, "load_voice", lambda spec, accept_cpml: voice)
        before = threading.active_count()
        assert main(["chat", "--hands-free", *flags, *([] if voice else ["--no-voice"])]) == 0
        assert card.finished.wait(10)
        # The card's own is left; a voice that was stopped may still end its last word.
        deadline = time.monotonic() + 10
        while threading.active_count() > before + 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert threading.active_count() == before + 1
        return card

    yield run
    for card in cards:
        card.close()


def heard_s(message: Message) -> float:
    (part,) = message.audio_parts
    return part.waveform.duration_s


def test_two_questions_are_two_turns(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    backend = EchoBackend()

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield quiet(0.7)
        yield speech()
        yield from card.until(lambda: card.n_played_out == 1)
        yield quiet(0.5)
        yield speech("And of Spain?")
        yield from card.until(lambda: card.n_played_out == 2)

    card = talk(script, backend=backend, voice=BeepVoice())
    assert [len(c.messages) for c in backend.conversations] == [1, 3]
    first, reply, second = backend.conversations[1].messages
    assert len(speech()) / RATE < heard_s(first) < len(speech()) / RATE + 1.0
    assert heard_s(second) < heard_s(first)
    assert not reply.stopped
    assert np.abs(np.concatenate(card.played)).max() > 0.1
    out = capsys.readouterr().out
    assert out.count("(heard: a clip of") == 2
    # Plain lines, as standard output is no terminal.
    assert "\x1b" not in out
    for state in ("listening", "hearing you", "thinking"):
        assert f"[{state}]\n" in out


@pytest.mark.parametrize("flags", [[], ["--barge-in"]])
def test_it_does_not_answer_itself(talk: Talk, flags: list[str]) -> None:
    backend, voice = EchoBackend(), load_voice("espeak")

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield quiet(0.5)
        yield speech("Please say all of this sentence once more for me.")
        yield from card.until(lambda: card.n_played_out == 1)
        yield quiet(3.0)

    card = talk(script, *flags, backend=backend, voice=voice, echo=0.8)
    assert len(backend.conversations) == 1
    assert backend.closed_early == 0
    # What came back to the microphone would have been a turn.
    own = resample(0.8 * np.concatenate(card.played), 22_050, SAMPLE_RATE)
    assert listen(SpeechDetector(), TurnState(), own).begun


def test_noise_opens_no_turn(talk: Talk) -> None:
    backend = EchoBackend()

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(1)
        yield (0.05 * rng.standard_normal(3 * RATE)).astype(np.float32)
        click = quiet(1.0)
        click[10_000:11_000] = 0.8
        yield click

    talk(script, backend=backend)
    assert backend.conversations == []


class Counting(EchoBackend):
    """Counts for as long as it is let."""

    def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        self.conversations.append(conversation)
        try:
            for number in range(1_000):
                time.sleep(self.delay_s)
                yield TextPiece(f"Number {number} is here. ")
        except GeneratorExit:
            self.closed_early += 1
            raise


@pytest.mark.parametrize("echo", [0.0, 0.1])
def test_speaking_up_stops_the_reply_and_is_the_next_turn(talk: Talk, echo: float) -> None:
    backend = Counting(delay_s=0.05)
    spoke_up_s = []

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield quiet(0.5)
        yield speech("Please count.")
        yield from card.until(lambda: card.sounding)
        yield quiet(1.0)
        spoke_up_s.append(card.now_s)
        yield speech("Stop it, and tell me about the weather.")
        yield from card.until(lambda: len(backend.conversations) == 2 and card.sounding)

    card = talk(script, "--barge-in", backend=backend, voice=BeepVoice(), speed=1.0, echo=echo)
    asked, reply, interruption = backend.conversations[1].messages
    assert reply.stopped
    assert reply.text.startswith("Number 0 is here.")
    # Every 50 ms brought a sentence; far fewer were said.
    assert reply.text.count("Number") < 20
    # The speech with which the reply was stopped is in the turn, from its beginning.
    assert heard_s(interruption) > len(speech("Stop it, and tell me about the weather.")) / RATE
    assert heard_s(asked) < heard_s(interruption)
    last_s = max(s for s in card.played_at if s < spoke_up_s[0] + 2.0)
    # A quarter of a second of speech and 300 ms to stop, and a few of the blocks it is counted in.
    assert last_s - spoke_up_s[0] < 0.25 + 0.3 + 0.15
    assert backend.closed_early == 2


def test_without_barge_in_speaking_up_changes_nothing(talk: Talk) -> None:
    backend = EchoBackend()

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield quiet(0.5)
        yield speech("Please say all of this sentence once more for me.")
        yield from card.until(lambda: card.sounding)
        yield speech("Stop!")
        yield from card.until(lambda: card.n_played_out == 1)
        yield quiet(1.5)

    talk(script, backend=backend, voice=BeepVoice())
    assert len(backend.conversations) == 1
    assert backend.closed_early == 0


def test_a_short_word_stops_no_reply(talk: Talk) -> None:
    backend = EchoBackend()

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield quiet(0.5)
        yield speech("Please say all of this sentence once more for me.")
        yield from card.until(lambda: card.sounding)
        yield speech()[: round(0.12 * RATE)]
        yield from card.until(lambda: card.n_played_out == 1)

    talk(script, "--barge-in", backend=backend, voice=BeepVoice())
    assert len(backend.conversations) == 1
    assert backend.closed_early == 0


def test_a_typed_line_is_a_turn_and_stops_a_reply(talk: Talk, terminal: Terminal) -> None:
    backend = Counting(delay_s=0.02)

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        terminal.type("count\n")
        yield from card.until(lambda: card.sounding)
        terminal.type("enough\n")
        yield from card.until(lambda: len(backend.conversations) == 2)

    talk(script, backend=backend, voice=BeepVoice(), speed=2.0)
    count, reply, enough = backend.conversations[1].messages
    assert (count.text, enough.text) == ("count", "enough")
    assert reply.stopped


def test_ctrl_c_stops_a_reply_and_then_leaves(
    talk: Talk, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = Counting(delay_s=0.02)

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        terminal.type("count\n")
        yield from card.until(lambda: card.sounding)
        terminal.press_ctrl_c()
        yield from card.until(lambda: backend.closed_early == 1)
        yield quiet(1.0)
        terminal.type("go on\n")
        yield from card.until(lambda: len(backend.conversations) == 2)
        terminal.press_ctrl_c()
        yield from card.until(lambda: backend.closed_early == 2)
        yield quiet(1.0)
        terminal.press_ctrl_c()
        yield quiet(1.0)

    talk(script, backend=backend, voice=BeepVoice(), speed=2.0)
    assert backend.conversations[1].messages[1].stopped
    assert capsys.readouterr().out.count("(stopped)\n") == 2


def test_a_killed_program_leaves_the_terminal_in_order(talk: Talk, terminal: Terminal) -> None:
    before = termios.tcgetattr(terminal.keyboard)

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield from card.until(lambda: "● listening" in terminal.shown())
        os.kill(os.getpid(), signal.SIGTERM)
        yield quiet(1.0)

    with pytest.raises(SystemExit) as stopped:
        talk(script, backend=EchoBackend(), speed=4.0, screen="drawn")
    assert stopped.value.code == 143
    assert terminal.shown().rindex("\x1b[?25h") > terminal.shown().rindex("●")
    assert termios.tcgetattr(terminal.keyboard) == before


def test_a_model_that_fails_leaves_no_trace(talk: Talk, terminal: Terminal) -> None:
    backend = BrokenBackend(times=1)

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        terminal.type("one\n")
        yield from card.until(lambda: "The model broke on purpose. Ask again." in terminal.shown())
        terminal.type("two\n")
        yield from card.until(lambda: "Turn 1. You said: two." in terminal.shown())

    talk(script, backend=backend, screen="plain")
    assert [m.text for m in backend.conversations[0].messages] == ["two"]
    assert "\x1b" not in terminal.shown()


def test_an_unplugged_microphone_is_a_sentence_and_comes_back(
    talk: Talk, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands_free_talk, "STALLED_S", 0.5)
    backend = EchoBackend()

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield from card.until(lambda: "[listening]" in terminal.shown())
        card.unplug_microphone()
        yield from card.until(lambda: "no sound (it has stopped)." in terminal.shown())
        terminal.type("typed\n")
        yield from card.until(lambda: "Turn 1. You said: typed." in terminal.shown())
        terminal.type("\n")
        yield from card.until(lambda: "no sound (Device unavailable)." in terminal.shown())
        card.unplugged.clear()
        terminal.type("\n")
        yield from card.until(lambda: terminal.shown().count("[listening]") == 2)
        yield speech()
        yield from card.until(lambda: "Turn 2. You said: a clip of" in terminal.shown())

    talk(script, backend=backend, speed=2.0, screen="plain")
    assert "[microphone off]" in terminal.shown()
    assert len(backend.conversations[1].messages) == 3


def test_a_loudspeaker_that_goes_away_is_a_sentence(
    talk: Talk, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player, "STALLED_S", 0.5)
    backend = EchoBackend()

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        terminal.type("a sentence of some length to be said\n")
        yield from card.until(lambda: card.sounding)
        card.unplug_loudspeaker()
        yield from card.until(lambda: "cannot be used (it has stopped)" in terminal.shown())
        terminal.type("more\n")
        yield from card.until(lambda: "cannot be used (Device unavailable)" in terminal.shown())
        yield from card.until(lambda: terminal.shown().count("[listening]") == 2)

    talk(script, backend=backend, voice=BeepVoice(), speed=2.0, screen="plain")
    assert terminal.shown().count("The loudspeaker cannot be used") == 2
    assert [m.stopped for m in backend.conversations[1].messages] == [False] * 3


def test_the_devices_asked_for_are_used(talk: Talk, terminal: Terminal) -> None:
    backend = EchoBackend()

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        terminal.type("say this\n")
        yield from card.until(lambda: card.n_played_out == 1)

    flags = ("--input-device", "headset", "--output-device", "2")
    card = talk(script, *flags, backend=backend, voice=BeepVoice())
    assert card.opened == [("input", 1), ("output", 2)]


def test_on_a_terminal_there_is_a_live_line(talk: Talk, terminal: Terminal) -> None:
    backend = EchoBackend()
    before = termios.tcgetattr(terminal.keyboard)

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield from card.until(lambda: "● listening" in terminal.shown())
        yield speech()
        yield from card.until(lambda: "Turn 1. You said: a clip of" in terminal.shown())
        terminal.type("hello thrre\x7f\x7f\x7fere")
        yield from card.until(lambda: "> hello there" in terminal.shown())
        terminal.type("\n")
        yield from card.until(lambda: "Turn 2. You said: hello there." in terminal.shown())

    talk(script, backend=backend, speed=4.0, screen="drawn")
    assert "● hearing you" in terminal.shown()
    assert "█████" in terminal.shown()  # the meter
    # Nothing is drawn below what was said, the cursor is back, and so are the keys.
    assert terminal.shown().rindex("\x1b[?25h") > terminal.shown().rindex("●")
    assert termios.tcgetattr(terminal.keyboard) == before


def test_the_real_model_answers_two_questions(
    talk: Talk, bot: object, capsys: pytest.CaptureFixture[str]
) -> None:
    from audiochat.backends import load_backend

    def script(card: LiveCard) -> Iterator[np.ndarray]:
        yield quiet(0.5)
        yield speech("What is the capital of France?")
        yield from card.until(lambda: card.n_played_out == 1)
        yield quiet(0.5)
        yield speech("What is the capital of Spain?")
        yield from card.until(lambda: card.n_played_out == 2)

    talk(
        script,
        "--max-new-tokens=24",
        backend=load_backend("embedded"),
        voice=load_voice("espeak"),
        echo=0.5,
        speed=5.0,
    )
    out = capsys.readouterr().out
    assert out.count("(heard: ") == 2
    assert "capital of France" in out
    assert "Paris" in out
