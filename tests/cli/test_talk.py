"""The options of live talk, and what a stopped reply leaves."""

import queue

import pytest

from audiochat.__main__ import main
from audiochat.backends.base import TextPiece
from audiochat.cli.chat import build_parser
from audiochat.cli.live_reply import Partner, ReplyEnded, ReplyEvent, ReplySoFar, ReplyWorker
from audiochat.cli.talk import talk_settings
from audiochat.conversation import Conversation, Message
from audiochat.hands_free import HandsFree
from audiochat.sampling import Sampling
from audiochat.turn import Done, Speech
from audiochat.turn_taking import TurnTaking
from tests.fakes import BrokenBackend, EchoBackend, tone

ASKED = Conversation().add(Message.user("?"))


def settings(*argv: str) -> HandsFree:
    parser = build_parser()
    return talk_settings(parser.parse_args(argv), parser, live=True).turns


def test_the_defaults_are_those_of_hands_free_talk() -> None:
    assert settings() == settings("--hands-free") == HandsFree()


def test_flags_become_settings() -> None:
    flags = ["--hands-free", "--barge-in", "--end-silence", "1.5", "--min-speech", "0.4"]
    taking = TurnTaking(end_silence_s=1.5, min_speech_s=0.4)
    assert settings(*flags) == HandsFree(taking, barge_in=True)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--hands-free", "--text", "one"], "leave out --text and --audio"),
        (["--barge-in"], "--barge-in needs --hands-free"),
        (["--end-silence", "0"], "--end-silence must be from 0.2 to 10 seconds, not 0."),
        (["--min-speech", "nan"], "--min-speech must be from 0.05 to 2 seconds, not nan."),
        (["--end-silence", "long"], "invalid float value"),
    ],
)
def test_flags_that_make_no_sense_are_wrong_usage(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["chat", *argv])
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def made(backend: EchoBackend, *, stop_after: int | None = None) -> tuple[list, ReplyEnded]:
    """The events of one reply of the worker, stopped after some of them."""
    inbox: queue.SimpleQueue[ReplyEvent | ReplyEnded] = queue.SimpleQueue()
    events = []
    with ReplyWorker(Partner(backend, None, Sampling()), inbox.put) as worker:
        reply = worker.begin(ASKED)
        if stop_after == 0:
            reply.stop()
        while isinstance(item := inbox.get(timeout=10), ReplyEvent):
            assert item.reply is reply
            events.append(item.event)
            if len(events) == stop_after:
                reply.stop()
    return events, item


def test_a_whole_reply_comes_through_the_worker() -> None:
    events, ended = made(EchoBackend())
    assert isinstance(events[-1], Done)
    ended.outcome.result()
    so_far = ReplySoFar(ASKED)
    for event in events:
        so_far = so_far.after(event)
    assert so_far.conversation == events[-1].conversation


def test_a_stopped_reply_is_closed_in_the_worker() -> None:
    backend = EchoBackend(delay_s=0.02)
    events, _ = made(backend, stop_after=2)
    assert len(events) <= 3
    assert backend.closed_early == 1


def test_what_the_model_fails_with_reaches_the_one_who_asked() -> None:
    error = RuntimeError("a fault of ours")
    events, ended = made(BrokenBackend(pieces=1, error=error))
    assert len(events) == 1
    assert ended.outcome.exception() is error


def test_what_was_said_stays_and_is_marked() -> None:
    so_far = ReplySoFar(ASKED).after(TextPiece("Half a"))
    assert so_far.stopped() == ASKED.add(Message.assistant("Half a", stopped=True))
    assert ReplySoFar(ASKED).stopped() == ASKED.add(Message.assistant("", stopped=True))


def test_of_a_reply_stopped_while_it_sounds_stays_what_had_begun_to_sound() -> None:
    so_far = ReplySoFar(ASKED).after(TextPiece("* One is this. Two is that.\nThree is more."))
    for index, text in enumerate(("One is this.", "Two is that.")):
        so_far = so_far.after(Speech(tone(0.1), text, index))
    for n_sounded, said in ((1, "* One is this."), (2, "* One is this. Two is that.")):
        assert so_far.stopped(n_sounded) == ASKED.add(Message.assistant(said, stopped=True))


def test_a_whole_reply_that_is_stopped_while_it_sounds_is_marked_too() -> None:
    events, _ = made(EchoBackend())
    so_far = ReplySoFar(ASKED)
    for event in events:
        so_far = so_far.after(event)
    reply = so_far.conversation.messages[-1].text
    assert so_far.stopped() == ASKED.add(Message.assistant(reply, stopped=True))
