"""Conversations kept by the name of a browser tab, and changed by the newest event alone."""

import threading
import time

import pytest

from audiochat.conversation import Message
from audiochat.ui.session import Session
from audiochat.ui.visitors import Visitors
from tests.fakes import tone

ANN, BOB = "a" * 32, "b" * 32


def asked(text: str) -> Session:
    return Session().ask(Message.user(text))


def keep(visitors: Visitors, name: str, session: Session) -> int:
    with visitors.acting(name) as ticket:
        assert visitors.put(name, ticket, session)
    return ticket


def test_each_visitor_has_a_conversation_of_their_own() -> None:
    visitors = Visitors()
    keep(visitors, ANN, asked("one"))
    assert visitors.session(ANN) == asked("one")
    assert visitors.session(BOB) == Session()


def test_what_came_too_late_changes_nothing() -> None:
    visitors = Visitors()
    late = keep(visitors, ANN, asked("one"))
    newest = keep(visitors, ANN, asked("two"))
    keep(visitors, BOB, asked("other"))
    assert newest > late
    assert not visitors.put(ANN, late, asked("one").written("an answer"))
    assert visitors.session(ANN) == asked("two")
    assert visitors.put(ANN, newest, asked("two").written("an answer"))
    assert visitors.session(ANN).partial == "an answer"


def test_what_is_new_waits_for_the_run_before_it_to_stop() -> None:
    visitors = Visitors()
    late = keep(visitors, ANN, asked("one"))
    started = threading.Event()
    kept: list[bool] = []

    def run() -> None:
        with visitors.answering(ANN):
            started.set()
            while visitors.put(ANN, late, asked("one").written("late")):
                time.sleep(0.01)
            time.sleep(0.2)
            kept.append(False)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    with visitors.acting(ANN) as ticket:
        assert kept == [False]
        assert visitors.put(ANN, ticket, asked("two"))
    thread.join(10)
    assert visitors.session(ANN) == asked("two")


def test_a_run_that_does_not_stop_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiochat.ui.visitors.STOP_WITHIN_S", 0.1)
    visitors = Visitors()
    with visitors.answering(ANN), visitors.acting(ANN) as ticket:
        assert visitors.put(ANN, ticket, asked("two"))


def test_a_turn_is_answered_once_and_by_whichever_run_comes() -> None:
    visitors = Visitors()
    keep(visitors, ANN, asked("one"))
    newest = keep(visitors, ANN, asked("two"))
    with visitors.answering(ANN) as turn:  # the run that the first question sent for
        assert turn == (newest, asked("two"))
    with visitors.answering(ANN) as turn:
        assert turn is None
    keep(visitors, ANN, asked("three").settled())
    with visitors.answering(ANN) as turn:
        assert turn is None


def test_no_turn_is_answered_while_a_newer_one_is_put() -> None:
    visitors = Visitors()
    keep(visitors, ANN, asked("one"))
    with visitors.acting(ANN) as ticket:
        with visitors.answering(ANN) as turn:
            assert turn is None
        visitors.put(ANN, ticket, asked("two"))
    with visitors.answering(ANN) as turn:
        assert turn == (ticket, asked("two"))


def test_a_turn_that_no_run_comes_for_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiochat.ui.visitors.BEGIN_WITHIN_S", 0.1)
    visitors = Visitors()
    first = keep(visitors, ANN, asked("one"))
    assert not visitors.begins(ANN, first)
    monkeypatch.setattr("audiochat.ui.visitors.BEGIN_WITHIN_S", 30.0)
    later = threading.Timer(0.1, keep, (visitors, ANN, asked("two")))
    later.start()
    assert visitors.begins(ANN, first)
    later.join(10)
    with visitors.answering(ANN) as turn:
        assert turn is not None
        assert visitors.begins(ANN, turn[0])


def test_two_things_done_at_once_are_done_one_after_the_other() -> None:
    visitors = Visitors()
    begun, kept = threading.Event(), []

    def first() -> None:
        with visitors.acting(ANN) as ticket:
            begun.set()
            time.sleep(0.2)
            kept.append(visitors.put(ANN, ticket, asked("one")))

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(10)
    with visitors.acting(ANN) as ticket:
        assert kept == [True]
        assert visitors.session(ANN) == asked("one")
        assert visitors.put(ANN, ticket, asked("two"))
    thread.join(10)


@pytest.mark.parametrize("name", ["", "short", "x" * 65])
def test_nothing_is_kept_for_what_is_no_name(name: str) -> None:
    visitors = Visitors()
    with visitors.acting(name) as ticket:
        assert not visitors.put(name, ticket, asked("one"))
    assert visitors.session(name) == Session()


def test_the_one_left_longest_ago_makes_room() -> None:
    visitors = Visitors(max_visitors=2)
    keep(visitors, ANN, asked("one"))
    keep(visitors, BOB, asked("two"))
    for number in range(10):  # who only looks takes no one's place
        assert visitors.session(f"{number:032}") == Session()
    keep(visitors, ANN, asked("one"))
    keep(visitors, "c" * 32, asked("three"))
    assert visitors.session(ANN) == asked("one")
    assert visitors.session(BOB) == Session()


def test_those_left_longest_make_room_for_sound() -> None:
    spoken = Session().ask(Message.user(tone(10.0)))
    assert spoken.n_bytes == 4 * 16_000 * 10
    visitors = Visitors(max_bytes=3 * spoken.n_bytes // 2)
    keep(visitors, ANN, spoken)
    keep(visitors, BOB, spoken)
    assert visitors.session(ANN) == Session()
    assert visitors.session(BOB) == spoken
    keep(visitors, BOB, Session().ask(Message.user(tone(30.0))))  # too much, yet the newest
    assert visitors.session(BOB).n_bytes == 3 * spoken.n_bytes


def test_who_stays_away_is_forgotten_though_nobody_else_comes() -> None:
    visitors = Visitors(keep_s=0.2)
    keep(visitors, ANN, asked("one"))
    until = time.monotonic() + 10
    while visitors._visitors and time.monotonic() < until:
        time.sleep(0.02)
    assert not visitors._visitors
