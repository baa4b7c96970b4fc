"""The page in headless Chromium, with fakes behind it: turns, and what goes wrong in them."""

import threading
from pathlib import Path

import pytest

from audiochat.errors import ModelError
from tests.fakes import BrokenBackend, BrokenVoice, EchoBackend
from tests.ui.visitor import ask, bubbles, record, texts, toast, until, upload, wait_for_bubbles


def test_record_read_and_hear(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    record(page, 1.5)
    page.wait_for_selector("#chat small")
    asked, reply = bubbles(page)
    assert asked.startswith("I heard: “a clip of ")
    assert reply.startswith("Turn 1. You said: a clip of ")
    assert "first words after" in page.inner_text("#chat small")
    played = page.evaluate("window.audiochat.player.played")
    assert played["seconds"] > 1.0
    assert played["peak"] > 0.1
    players = page.locator("#chat .minimal-audio-player")
    labels = [player.get_attribute("aria-label") for player in players.all()]
    assert labels[0].startswith("Your recording: I heard: “a clip")
    assert labels[1].startswith("Spoken reply: Turn 1.")
    assert backend.conversations[0].messages[0].audio_parts[0].waveform.rms_db > -40
    # The second and the third reply sound too.
    for turn in (2, 3):
        ask(page, f"turn {turn}")
        page.wait_for_function(f"window.audiochat.player.played.pieces >= {turn}")


def test_view_and_history_agree_through_every_button(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    for text in ("one", "two", "three"):
        ask(page, text)
    view = bubbles(page)
    assert view == [
        *("one", "Turn 1. You said: one."),
        *("two", "Turn 2. You said: two."),
        *("three", "Turn 3. You said: three."),
    ]
    page.click("#undo")
    wait_for_bubbles(page, 4)
    # The reply will look as it does now: only a new element tells that the turn is over.
    page.evaluate("document.querySelectorAll('#chat small').forEach(line => line.id = 'old')")
    page.click("#retry")
    until(lambda: len(backend.conversations) == 4)
    page.wait_for_selector("#chat small:not(#old)")
    ask(page, "four")
    assert texts(backend.conversations[-1]) == [*view[:4], "four"]
    assert texts(backend.conversations[-2]) == view[:3]
    # A reply's end is drawn twice, and a drawing closes an open editor: no person is so quick.
    page.wait_for_function("document.querySelector('#stop').disabled")
    page.wait_for_timeout(300)
    page.locator("#chat button[aria-label='Edit']").first.click()
    page.locator("#chat textarea").first.fill("uno")
    page.locator("#chat button[aria-label='Submit']").first.click()
    wait_for_bubbles(page, 2)
    page.wait_for_selector("#chat small")
    assert bubbles(page) == ["uno", "Turn 1. You said: uno."]
    assert texts(backend.conversations[-1]) == ["uno"]
    page.click("#clear")
    wait_for_bubbles(page, 0)
    ask(page, "new")
    assert texts(backend.conversations[-1]) == ["new"]


def test_correct_the_words_and_be_answered_again(stage, visit) -> None:
    backend = EchoBackend(confidence=0.2)
    page = visit(stage.set(backend).address)
    page.click(".example")
    page.wait_for_selector("#words")
    assert bubbles(page)[0] == "I heard “a clip of 1.5 seconds”, is that right?"
    assert page.input_value("#words textarea, #words input") == "a clip of 1.5 seconds"
    page.fill("#words textarea, #words input", "what is a tone")
    page.click("#correct")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('You said: “what')")
    page.wait_for_selector("#chat small")
    assert bubbles(page) == ["You said: “what is a tone”", "Turn 1. You said: what is a tone."]
    part = backend.conversations[-1].messages[-1].audio_parts[0]
    assert part.corrected == "what is a tone"
    assert part.waveform.duration_s == pytest.approx(1.5)


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_stop_keeps_the_partial_reply(stage, visit, way: str) -> None:
    backend = EchoBackend(delay_s=0.3)
    page = visit(stage.set(backend).address)
    page.fill("#box textarea", "a b c d e f g h i j k l m n o p q r s t u v w x y z")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('You said: a b')")
    if way == "button":
        page.click("#stop")
    else:
        page.locator("#chat").press("Escape")
    page.wait_for_function("document.querySelector('#chat small')?.innerText.includes('stopped')")
    partial = bubbles(page)[1]
    assert partial.startswith("Turn 1. You said: a b")
    assert not partial.endswith("z.")
    until(lambda: backend.closed_early == 1)
    ask(page, "go on")
    assert texts(backend.conversations[-1])[1] == partial
    assert backend.conversations[-1].messages[1].stopped


def test_a_new_turn_interrupts_the_running_one(stage, visit) -> None:
    backend = EchoBackend(delay_s=0.2)
    page = visit(stage.set(backend).address)
    page.fill("#box textarea", "a b c d e f g h i j k l m n o p q r s t u v w x y z")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('You said: a')")
    page.fill("#box textarea", "wait")
    page.press("#box textarea", "Enter")
    wait_for_bubbles(page, 4)
    page.wait_for_function("document.querySelector('#chat').innerText.includes('said: wait.')")
    assert backend.conversations[-1].messages[1].stopped


def test_a_voice_that_fails_leaves_the_text_and_says_so(stage, visit) -> None:
    page = visit(stage.set(voice=BrokenVoice()).address)
    ask(page, "hello")
    assert bubbles(page)[1] == "Turn 1. You said: hello."
    assert "The voice broke on purpose" in toast(page)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModelError("Out of memory. Ask something shorter."), "Out of memory. Ask something"),
        (RuntimeError("secret detail"), "Something went wrong inside."),
    ],
)
def test_a_failing_model_is_said_and_the_next_turn_works(stage, visit, error, sentence) -> None:
    backend = BrokenBackend(times=1, error=error)
    page = visit(stage.set(backend).address)
    page.fill("#box textarea", "hello")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('⚠️')")
    assert sentence in bubbles(page)[-1]
    assert sentence in toast(page)
    assert "secret" not in page.inner_text("body")
    page.click("#retry")
    page.wait_for_selector("#chat small")
    assert bubbles(page) == ["hello", "Turn 1. You said: hello."]


def test_hostile_sound_is_one_sentence_and_changes_nothing(stage, visit, tmp_path: Path) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    ask(page, "one")
    fake = tmp_path / "song.wav"
    fake.write_bytes(b"this is no sound at all" * 100)
    upload(page, fake)
    assert "Traceback" not in toast(page)
    assert bubbles(page) == ["one", "Turn 1. You said: one."]
    ask(page, "two")
    assert texts(backend.conversations[-1]) == ["one", "Turn 1. You said: one.", "two"]


def test_the_page_paints_before_the_model_is_there_and_turns_wait(serve, visit) -> None:
    ready = threading.Event()

    def load(_name, progress):
        progress("Fetching the language model (93 MB)", 0.42)
        ready.wait(60)
        return EchoBackend()

    page = visit(serve(load))
    page.wait_for_selector(".state.loading progress")
    assert "Fetching the language model" in page.inner_text("#state-line")
    page.fill("#box textarea", "early")
    page.press("#box textarea", "Enter")
    wait_for_bubbles(page, 1)
    ready.set()
    page.wait_for_selector("#chat small")
    assert bubbles(page)[1] == "Turn 1. You said: early."
    page.wait_for_selector(".state.ready")
    assert "Ready: Echo" in page.inner_text("#state-line")


def test_a_model_that_cannot_load_is_said_and_tried_again(serve, visit) -> None:
    tries = []

    def load(_name, _progress):
        tries.append(1)
        if len(tries) == 1:
            raise ModelError("No network. Connect once.")
        return EchoBackend()

    page = visit(serve(load))
    page.wait_for_selector(".state.failed")
    assert "No network. Connect once." in page.inner_text("#state-line")
    page.click("#load-again")
    page.wait_for_selector(".state.ready")
