"""Hands-free talk in the page: real speech at a fake microphone that never stops."""

import time

import numpy as np
import pytest

from audiochat.audio import resample
from audiochat.voices import load_voice
from tests.fakes import EchoBackend
from tests.ui.conftest import put_before
from tests.ui.test_answering import HearingAhead
from tests.ui.visitor import ask, bubbles, until

RATE = 48_000


def spoken(text: str) -> np.ndarray:
    voice = load_voice("espeak")
    assert voice is not None
    waveform = voice.speak(text)
    return resample(waveform.samples, waveform.sample_rate, RATE)


def quiet(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.001 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


def loud_s(samples: np.ndarray, rate: int) -> float:
    """From the first loud 50 ms to the last."""
    pieces = samples[: len(samples) // (rate // 20) * (rate // 20)].reshape(-1, rate // 20)
    loud = np.flatnonzero(np.sqrt(np.mean(pieces**2, axis=1)) > 0.05 * np.abs(samples).max())
    return float(loud[-1] - loud[0] + 1) / 20


def talk_state(page) -> str:
    return page.evaluate("window.audiochat.talk.state")


def happened(page) -> list[str]:
    return [entry["what"] for entry in page.evaluate("window.audiochat.talk.log")]


def wait_until_happened(page, what: str, times: int = 1) -> None:
    page.wait_for_function(
        "([what, times]) => window.audiochat.talk.log.filter(e => e.what === what).length >= times",
        arg=[what, times],
    )


@pytest.fixture
def question(microphone):
    """One question, then a long silence, over and over."""
    put_before(microphone, np.concatenate([quiet(1.0), spoken("What is a tone?"), quiet(6.0)]))


def test_two_turns_without_a_touch(stage, visit, question) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    page.click("#talk-switch")
    wait_until_happened(page, "turn", 2)
    until(lambda: len(backend.conversations) >= 2)
    page.click("#talk-switch")
    assert talk_state(page) == "off"
    first, second = (one.messages for one in backend.conversations[:2])
    assert len(first) == 1
    assert len(second) == 3
    for messages in (first, second):
        (part,) = messages[-1].audio_parts
        assert 0.8 < part.waveform.duration_s < 2.5
        assert part.waveform.rms_db > -40
    states = happened(page)
    assert states.index("listening") < states.index("hearing") < states.index("turn")
    assert states.index("turn") < states.index("thinking") < states.index("speaking")


def test_a_turn_is_heard_ahead_in_its_conversation(stage, visit, question) -> None:
    backend = HearingAhead()
    page = visit(stage.set(backend).address)
    page.wait_for_selector(".state.ready")
    ask(page, "Tell me of tones.")
    page.wait_for_function("!window.audiochat.player.sounding(500)")
    page.click("#talk-switch")
    wait_until_happened(page, "turn")
    page.click("#talk-switch")
    assert backend.after
    assert [message.text for message in backend.after[0]] == [
        "Tell me of tones.",
        "Turn 1. You said: Tell me of tones..",
    ]


SOUND_ELSEWHERE = """
() => {
    const bytes = new Uint8Array(44 + 16000);
    const view = new DataView(bytes.buffer);
    const put = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
    put(0, "RIFF"); view.setUint32(4, 36 + 16000, true); put(8, "WAVEfmt ");
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, 8000, true); view.setUint32(28, 16000, true);
    view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    put(36, "data"); view.setUint32(40, 16000, true);
    window.elsewhere = new Audio(URL.createObjectURL(new Blob([bytes], { type: "audio/wav" })));
    window.elsewhere.loop = true;
    return window.elsewhere.play();
}
"""


def test_what_is_listened_to_once_more_is_no_turn(stage, visit, question) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    page.evaluate(SOUND_ELSEWHERE)  # as Gradio's players do: by an element that is not in the page
    page.click("#talk-switch")
    page.wait_for_function("window.audiochat.talk.state === 'speaking'")
    time.sleep(5)  # a question and more than its silence
    assert not {"hearing", "turn"} & set(happened(page))
    page.evaluate("window.elsewhere.pause()")
    wait_until_happened(page, "turn")


def test_the_microphone_is_the_chosen_one_and_echo_is_cancelled(stage, visit, question) -> None:
    page = visit(stage.address)
    page.click("#mic-test-panel button, #mic-test-panel summary")
    page.click("#mic-test-start")  # after which the browser tells the devices' names
    page.wait_for_selector("#mic .mic-select option", state="attached")
    page.evaluate("""() => {
        const ask = navigator.mediaDevices.getUserMedia;
        navigator.mediaDevices.getUserMedia = (wanted) => {
            window.wanted = wanted.audio;
            return ask(wanted);
        };
    }""")
    chosen = page.eval_on_selector("#mic .mic-select", "select => select.value")
    page.click("#talk-switch")
    page.wait_for_function("window.audiochat.talk.state === 'listening'")
    wanted = page.evaluate("window.wanted")
    assert chosen
    assert wanted["deviceId"] == {"ideal": chosen}
    assert wanted["echoCancellation"]


def test_silence_asks_nothing_and_the_microphone_is_given_back(stage, visit, microphone) -> None:
    put_before(microphone, quiet(3.0))
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    page.click("#talk-switch")
    page.wait_for_function("window.audiochat.talk.state === 'listening'")
    time.sleep(3)
    assert backend.conversations == []
    page.wait_for_function("window.audiochat.talk.awake?.released === false")
    page.evaluate("window.awake = window.audiochat.talk.awake")
    page.click("#talk-switch")
    page.wait_for_function("window.awake.released")
    assert page.evaluate("window.audiochat.talk.stream") is None
    assert page.locator("#mic button.record-button").is_visible()


def test_half_duplex_hears_nothing_while_the_reply_sounds(stage, visit, microphone) -> None:
    # Speech without end: every word of it while a reply is under way would be a turn of its own.
    put_before(microphone, np.concatenate([spoken("What is a tone?"), quiet(1.2)]))
    backend = EchoBackend(delay_s=0.3)
    page = visit(stage.set(backend).address)
    page.click("#talk-switch")
    wait_until_happened(page, "turn", 2)
    log = page.evaluate("window.audiochat.talk.log")
    turns = [entry["at"] for entry in log if entry["what"] == "turn"]
    between = [e["what"] for e in log if turns[0] < e["at"] < turns[1]]
    assert "interrupted" not in happened(page)
    assert between.index("speaking") < between.index("listening")
    assert len(backend.conversations[0].messages) == 1


def test_speaking_up_stops_the_reply_and_keeps_what_was_said(stage, visit, microphone) -> None:
    put_before(microphone, np.concatenate([spoken("What is a tone?"), quiet(2.5)]))
    backend = EchoBackend(delay_s=0.4)
    page = visit(stage.set(backend).address)
    page.evaluate("document.querySelector('#talk details').open = true")
    page.check("#barge-in")
    page.click("#talk-switch")
    wait_until_happened(page, "interrupted")
    until(lambda: len(backend.conversations) >= 2)
    page.click("#talk-switch")
    assert backend.closed_early >= 1
    reply = backend.conversations[1].messages[1]
    assert reply.stopped
    assert reply.text.startswith("Turn 1.")
    assert not page.evaluate("document.body.classList.contains('speaking')")


def test_of_an_interrupted_reply_stays_what_was_said(stage, visit, microphone) -> None:
    # The text is whole long before the voice is.
    put_before(microphone, np.concatenate([spoken("What is a tone?"), quiet(4.0)]))
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    page.evaluate("document.querySelector('#talk details').open = true")
    page.check("#barge-in")
    ask(page, "One sentence is this. Another one is that. " * 8)
    page.click("#talk-switch")
    wait_until_happened(page, "interrupted")
    until(lambda: len(backend.conversations) >= 2)
    page.click("#talk-switch")
    whole = "Turn 1. You said: " + "One sentence is this. Another one is that. " * 8
    reply = backend.conversations[1].messages[1]
    assert reply.stopped
    assert whole.startswith(reply.text)
    assert 5 < len(reply.text) < len(whole) / 2


def test_a_lost_connection_loses_nothing_said(stage, visit, question) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    page.click("#talk-switch")
    wait_until_happened(page, "hearing")
    page.context.set_offline(True)
    wait_until_happened(page, "lost")
    time.sleep(1.5)
    page.context.set_offline(False)
    wait_until_happened(page, "turn")
    until(lambda: backend.conversations)
    page.click("#talk-switch")
    (part,) = backend.conversations[0].messages[-1].audio_parts
    # What was said while the connection was lost is there too.
    heard_s = loud_s(part.waveform.samples, part.waveform.sample_rate)
    assert heard_s == pytest.approx(loud_s(spoken("What is a tone?"), RATE), abs=0.25)


def test_the_settings_stay_with_the_browser(stage, visit) -> None:
    page = visit(stage.address)
    page.evaluate("document.querySelector('#talk details').open = true")
    page.locator("#end-silence").fill("1.5")
    page.check("#barge-in")
    page.reload()
    page.wait_for_function("document.querySelector('#end-silence-shown')?.textContent === '1.5 s'")
    assert page.is_checked("#barge-in")


def test_a_turn_is_said_once(stage, visit, question) -> None:
    page = visit(stage.address)
    page.click("#talk-switch")
    wait_until_happened(page, "turn")
    page.click("#talk-switch")
    page.wait_for_selector("#chat small")
    assert bubbles(page)[0].startswith("I heard: “a clip of ")
    assert page.locator("#chat .user-row").count() == 1
