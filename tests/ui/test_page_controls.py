"""The controls of the page in headless Chromium: microphone, keys, box, captions, volume."""

import time
from pathlib import Path

import pytest

from audiochat import prompts
from audiochat.audio import write_wav
from tests.fakes import EchoBackend, tone
from tests.ui.visitor import REFUSES, ask, bubbles, texts, until, upload, wait_for_bubbles


@pytest.mark.parametrize(
    ("error", "sentence"), [("NotAllowedError", "refused"), ("NotFoundError", "no microphone")]
)
def test_why_there_is_no_microphone(stage, visit, error: str, sentence: str) -> None:
    page = visit(stage.address, script=REFUSES % error)
    page.click("#mic button.record-button")
    page.wait_for_selector("#mic-trouble", state="visible")
    assert sentence in page.inner_text("#mic-trouble")
    assert "upload" in page.inner_text("#mic-trouble")


def test_an_insecure_origin_is_named_and_upload_still_works(stage, visit) -> None:
    address = stage.address.replace("127.0.0.1", "not-localhost.test")
    page = visit(address, microphone=False)
    page.wait_for_selector("#mic-trouble", state="visible")
    assert "https" in page.inner_text("#mic-trouble")
    upload(page, stage.clip)
    page.wait_for_selector("#chat small")
    assert bubbles(page)[0].startswith("I heard: “a clip of 1.5")


def test_the_key_records_and_stops_but_not_while_typing(stage, visit) -> None:
    page = visit(stage.address)
    page.wait_for_selector("#mic button.record-button", state="visible")
    page.focus("#box textarea")
    page.keyboard.type("r")
    assert page.input_value("#box textarea") == "r"
    assert not page.locator("#mic button.stop-button").is_visible()
    page.fill("#box textarea", "")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("r")
    page.wait_for_selector("#mic button.stop-button", state="visible")
    time.sleep(1)
    page.keyboard.press("r")
    page.wait_for_selector("#chat small")
    assert bubbles(page)[0].startswith("I heard")


def test_the_microphone_test_shows_a_level_and_plays_back(stage, visit) -> None:
    page = visit(stage.address)
    page.click("#mic-test-panel button, #mic-test-panel summary")
    page.click("#mic-test-start")
    page.wait_for_function("+document.querySelector('#mic-test-meter').ariaValueNow > 20")
    page.wait_for_selector("#mic-test-sound", state="visible")
    assert "works" in page.inner_text("#mic-test-result")


def test_a_task_goes_with_a_recording(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    page.click("#task input")
    page.get_by_role("option", name="Write it down").click()
    upload(page, stage.clip)
    wait_for_bubbles(page, 2)
    assert texts(backend.conversations[-1])[-1].startswith(prompts.TRANSCRIBE)


def test_an_upload_shows_how_far_it_is(stage, visit, tmp_path: Path) -> None:
    page = visit(stage.address)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    network.send("Network.emulateNetworkConditions", slow)
    write_wav(tone(20.0), tmp_path / "long.wav")
    upload(page, tmp_path / "long.wav")
    page.wait_for_selector("#uploading progress")
    assert "%" in page.inner_text("#uploading")
    wait_for_bubbles(page, 2)
    assert page.locator("#uploading").count() == 0


def test_a_held_key_records_until_it_is_let_go(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    page.wait_for_selector("#mic button.record-button", state="visible")
    page.keyboard.down("v")
    page.wait_for_selector("#mic button.stop-button", state="visible")
    time.sleep(1)
    page.keyboard.up("v")
    page.wait_for_selector("#chat small")
    assert bubbles(page)[0].startswith("I heard")
    # Let go before the microphone was open: nothing stays recording.
    page.keyboard.down("v")
    page.keyboard.up("v")
    page.wait_for_selector("#mic button.record-button", state="visible")
    page.focus("#hold-key")
    page.select_option("#hold-key", "B")
    page.keyboard.down("v")
    time.sleep(0.3)
    assert not page.locator("#mic button.stop-button").is_visible()
    page.keyboard.up("v")
    page.reload()
    page.wait_for_function("document.querySelector('#hold-key')?.value === 'B'")


def test_keys_work_after_a_slider_and_a_box_to_tick(stage, visit) -> None:
    page = visit(stage.address)
    for turns, element in enumerate(("#volume", "#keys-on"), 1):
        page.eval_on_selector(
            element, "element => element.closest('details')?.setAttribute('open', '')"
        )
        page.focus(element)
        page.keyboard.down("v")
        page.wait_for_selector("#mic button.stop-button", state="visible")
        time.sleep(1)
        page.keyboard.up("v")
        wait_for_bubbles(page, 2 * turns)
        page.wait_for_selector("#mic button.record-button", state="visible")
    assert all(bubble.startswith("I heard") for bubble in bubbles(page)[::2])


def test_the_words_are_shown_as_they_are_said(stage, visit) -> None:
    page = visit(stage.address)
    page.evaluate("""
        window.seen = [];
        setInterval(() => {
            const now = document.querySelector('#captions .now');
            if (now && now.textContent !== window.seen.at(-1)) window.seen.push(now.textContent);
        }, 20);
    """)
    ask(page, "one two")
    page.wait_for_function("window.audiochat.player.played.pieces > 0")
    page.wait_for_function("!window.audiochat.player.sounding(100)")
    seen = [word.strip() for word in page.evaluate("window.seen")]
    said = ["Turn", "1.", "You", "said:", "one", "two."]
    assert seen == [word for word in said if word in seen]
    assert len(seen) >= len(said) - 2
    assert page.inner_text("#captions") == ""


def test_the_voice_is_muted_and_its_volume_stays(stage, visit) -> None:
    page = visit(stage.address)
    page.click("#mute")
    ask(page, "one")
    page.wait_for_function("window.audiochat.player.played.pieces > 0")
    assert page.evaluate("window.audiochat.player.gain.gain.value") == 0
    page.locator("#volume").fill("0.5")
    assert page.evaluate("window.audiochat.player.gain.gain.value") == 0.5
    page.reload()
    page.wait_for_function("document.querySelector('#volume')?.value === '0.5'")
    assert page.get_attribute("#mute", "aria-pressed") == "false"


def test_the_voice_is_stopped_when_the_text_is_whole_already(stage, visit) -> None:
    page = visit(stage.address)
    ask(page, "a long question " * 40)
    page.wait_for_selector(".state.ready")
    page.wait_for_selector("body.speaking #quiet", state="visible")
    assert page.locator("#stop").is_disabled()
    page.click("#quiet")
    page.wait_for_selector("#quiet", state="hidden")
    assert page.evaluate("window.audiochat.player.sources.size") == 0
    assert bubbles(page)[1].startswith("Turn 1. You said: a long question")


def test_what_is_typed_while_a_turn_is_taken_stays(stage, visit) -> None:
    backend = EchoBackend(delay_s=0.1)
    page = visit(stage.set(backend).address)
    page.fill("#box textarea", "one two three four")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#box textarea').value === ''")
    page.fill("#box textarea", "half a ques")
    page.wait_for_selector("#chat small")
    assert page.input_value("#box textarea") == "half a ques"
    assert texts(backend.conversations[0]) == ["one two three four"]


def test_the_words_of_an_earlier_recording_are_put_right_in_its_panel(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    page.click(".example")
    page.wait_for_selector("#chat small")
    ask(page, "and more")
    page.click(".what-heard")
    page.click("#insight .insight-correct")
    field = page.locator("#insight .insight-form input")
    assert field.input_value() == "a clip of 1.5 seconds"
    field.fill("what is a tone")
    field.press("Enter")
    wait_for_bubbles(page, 2)
    page.wait_for_function("document.querySelector('#chat').innerText.includes('You said: “what')")
    until(lambda: len(backend.conversations) == 3)
    part = backend.conversations[-1].messages[-1].audio_parts[0]
    assert part.corrected == "what is a tone"
