"""Conversations kept by the name of a browser tab, and changed by the newest event alone."""

import threading
import time

import pytest

from audiochat.conversation import Message
from audiochat.ui.session import Session
from audiochat.ui.visitors import Visitors

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


def test_a_run_waits_while_its_visitor_acts_and_is_then_too_late() -> None:
    visitors = Visitors()
    late = keep(visitors, ANN, asked("one"))
    kept: list[bool] = []
    with visitors.acting(ANN) as ticket:
        run = threading.Thread(
            target=lambda: kept.append(visitors.put(ANN, late, asked("one").written("late")))
        )
        run.start()
        visitors.put(ANN, ticket, asked("two"))
    run.join(5)
    assert kept == [False]
    assert visitors.session(ANN) == asked("two")


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
    visitors.session(ANN)
    keep(visitors, "c" * 32, asked("three"))
    assert visitors.session(ANN) == asked("one")
    assert visitors.session(BOB) == Session()


def test_who_stays_away_is_forgotten_though_nobody_else_comes() -> None:
    visitors = Visitors(keep_s=0.2)
    keep(visitors, ANN, asked("one"))
    until = time.monotonic() + 10
    while visitors._visitors and time.monotonic() < until:
        time.sleep(0.02)
    assert not visitors._visitors
