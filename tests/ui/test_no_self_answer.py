"""It must not answer itself: what the page plays comes back to it as the microphone, at full level.

The loop is closed inside the browser, which leaves it nothing to cancel: no room is as bad.
"""

import time

import pytest

from audiochat.voices import load_voice
from tests.fakes import EchoBackend
from tests.ui.test_hands_free_page import happened
from tests.ui.visitor import ask

MINUTES = 10
STORY = (
    "Once upon a time a fox lived beside a wide river, and every morning he asked the heron what "
    "the weather would be. Is it going to rain today? Can you hear me? The heron never answered."
)
LOOP = """
const player = () => window.audiochat?.player;
navigator.mediaDevices.getUserMedia = async () => {
    player().unlock();
    const microphone = player().context.createMediaStreamDestination();
    player().volume().connect(microphone);
    return microphone.stream;
};
window.loudest = 0;
setInterval(() => {
    const talk = document.querySelector('#talk');
    const level = talk ? +getComputedStyle(talk).getPropertyValue('--level') : 0;
    if (player()?.sources.size && level > window.loudest) window.loudest = level;
}, 50);
"""


def talk_to_itself(stage, visit, minutes: float) -> tuple[int, int, list[str]]:
    """How many questions were asked, how many the model got, and what happened on the page."""
    backend = EchoBackend()
    stage.set(backend, load_voice("espeak"))
    page = visit(stage.address, script=LOOP)
    page.wait_for_selector(".state.ready")
    page.click("#talk-switch")
    page.wait_for_function("window.audiochat.talk.state === 'listening'")
    end = time.monotonic() + 60 * minutes
    asked = 0
    while asked == 0 or time.monotonic() < end:
        ask(page, STORY)
        asked += 1
        # The voice does come back: the loop is no silence.
        page.wait_for_function("window.loudest > 0.3")
        page.wait_for_function("!window.audiochat.player.sounding(2000)", timeout=120_000)
        assert "turn" not in happened(page)
        if asked % 5 == 0:
            page.click("#clear")
            page.wait_for_selector("#welcome")
    return asked, len(backend.conversations), happened(page)


def test_a_reply_in_its_own_ears_is_no_turn(stage, visit) -> None:
    asked, answered, seen = talk_to_itself(stage, visit, 0)
    assert answered == asked
    assert "speaking" in seen
    assert "turn" not in seen


@pytest.mark.slow
def test_ten_minutes_of_its_own_voice_are_no_turn(stage, visit) -> None:
    asked, answered, seen = talk_to_itself(stage, visit, MINUTES)
    assert answered == asked > 5
    assert "speaking" in seen
    assert "turn" not in seen
