"""Twenty conversations in a row, each button and each way to ask among them: nothing gets stuck."""

import random

import pytest

from tests.fakes import BrokenBackend, EchoBackend
from tests.ui.test_hands_free_page import (
    question as question,  # a fixture: speech at the microphone
)
from tests.ui.test_hands_free_page import wait_until_happened
from tests.ui.visitor import ask, bubbles, record, upload, wait_for_bubbles

IDLE = """
document.querySelector('#stop').disabled && !window.audiochat.player.sounding()
  && !document.querySelector('.state.busy')
"""


def replies(page) -> int:
    return page.locator("#chat .bot-row").count()


def finished(page, count: int) -> None:
    page.wait_for_function(
        "count => document.querySelectorAll('#chat .bot-row').length === count", arg=count
    )
    page.wait_for_function(IDLE)


def by_voice(page, stage) -> None:
    count = replies(page)
    record(page, 3.0)
    finished(page, count + 1)


def by_file(page, stage) -> None:
    count = replies(page)
    upload(page, stage.clip)
    finished(page, count + 1)


def by_hand(page, stage) -> None:
    count = replies(page)
    ask(page, "one two three")
    finished(page, count + 1)


def stopped(page, stage) -> None:
    stage.set(EchoBackend(delay_s=0.3))
    count = replies(page)
    page.fill("#box textarea", "a b c d e f g h i j k l m n o p")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('said: a b')")
    page.click("#stop")
    finished(page, count + 1)
    stage.set()


def failed(page, stage) -> None:
    stage.set(BrokenBackend(times=1))
    page.fill("#box textarea", "fail")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('⚠️')")
    page.click("#retry")
    page.wait_for_function("!document.querySelector('#chat').innerText.includes('⚠️')")
    page.wait_for_function(IDLE)
    stage.set()


def hurried(page, stage) -> None:
    """The next question before the answer, twice."""
    stage.set(EchoBackend(delay_s=0.2))
    for text in ("a b c d e f g h", "i j k l m n o p", "last"):
        page.fill("#box textarea", text)
        page.press("#box textarea", "Enter")
        # Nobody types the next before the words have gone from the box.
        page.wait_for_function("document.querySelector('#box textarea').value === ''")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('said: last.')")
    page.wait_for_function(IDLE)
    stage.set()


def undone(page, stage) -> None:
    ask(page, "to be undone")
    count = page.locator("#chat .message-row").count()
    page.click("#undo")
    wait_for_bubbles(page, count - 2)
    page.wait_for_function(IDLE)


def hands_free(page, stage) -> None:
    count = replies(page)
    page.evaluate("window.audiochat.talk.log.length = 0")
    page.click("#talk-switch")
    wait_until_happened(page, "turn")
    page.click("#talk-switch")
    finished(page, count + 1)


ACTS = [by_voice, by_file, by_hand, stopped, failed, hurried, undone, hands_free]


@pytest.mark.slow
def test_twenty_conversations_without_a_stuck_state(stage, visit, question) -> None:
    draw = random.Random(5)
    page = visit(stage.address)
    page.wait_for_selector(".state.ready")
    for number in range(20):
        acts = [ACTS[number % len(ACTS)], *draw.choices(ACTS, k=2)]
        for act in acts:
            act(page, stage)
            assert page.inner_text(".state") == "Ready: Echo", (number, act.__name__)
        view = bubbles(page)
        assert len(view) % 2 == 0
        print(number, [act.__name__ for act in acts], len(view))
        page.click("#clear")
        wait_for_bubbles(page, 0)
    ask(page, "still there")
    assert bubbles(page) == ["still there", "Turn 1. You said: still there."]
