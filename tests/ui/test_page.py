"""The page in headless Chromium, with fakes behind it: what a visitor does, and what goes wrong."""

import threading
import time
from pathlib import Path

import pytest

from audiochat import prompts
from audiochat.audio import write_wav
from audiochat.conversation import Conversation
from audiochat.errors import ModelError
from tests.fakes import BrokenBackend, BrokenVoice, EchoBackend, tone


def bubbles(page) -> list[str]:
    """The words of the view, message by message."""
    rows = page.locator("#chat .message-row").all()
    return [
        " ".join(row.locator(".message-content p:not(:has(small))").all_inner_texts())
        for row in rows
    ]


def ask(page, text: str) -> None:
    before = page.locator("#chat small").count()
    page.fill("#box textarea", text)
    page.press("#box textarea", "Enter")
    page.wait_for_function(
        "count => document.querySelectorAll('#chat small').length > count", arg=before
    )


def wait_for_bubbles(page, count: int) -> None:
    page.wait_for_function(
        "count => document.querySelectorAll('#chat .message-row').length === count", arg=count
    )


def texts(conversation: Conversation) -> list[str]:
    return [message.text for message in conversation.messages]


def upload(page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#upload")
    chooser.value.set_files(path)


def until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def toast(page) -> str:
    page.wait_for_selector(".toast-body")
    return " ".join(page.locator(".toast-body").all_inner_texts())


def record(page, seconds: float) -> None:
    page.click("#mic button.record-button")
    page.wait_for_selector("#mic button.stop-button", state="visible")
    time.sleep(seconds)
    page.click("#mic button.stop-button")


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


REFUSES = """
navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException('no', '%s'));
"""


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
    page.select_option("#hold-key", "B")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.down("v")
    time.sleep(0.3)
    assert not page.locator("#mic button.stop-button").is_visible()
    page.keyboard.up("v")
    page.reload()
    page.wait_for_function("document.querySelector('#hold-key')?.value === 'B'")


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


def test_what_did_not_arrive_stays_in_the_box(stage, visit) -> None:
    page = visit(stage.address, error="Failed to fetch")
    ask(page, "one")
    page.context.set_offline(True)
    page.fill("#box textarea", "two")
    page.press("#box textarea", "Enter")
    time.sleep(2)
    assert page.input_value("#box textarea") == "two"


def test_the_newest_of_hurried_questions_is_answered(stage, visit) -> None:
    page = visit(stage.set(EchoBackend(delay_s=0.2)).address)
    for text in ("a b c d e f g h", "i j k l m n o p", "last"):
        page.fill("#box textarea", text)
        page.press("#box textarea", "Enter")
        page.wait_for_function("document.querySelector('#box textarea').value === ''")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('said: last.')")
    page.wait_for_function("document.querySelector('#stop').disabled")
    asked, answer = bubbles(page)[-2:]
    assert asked == "last"
    assert answer.endswith("You said: last.")


def test_the_conversation_is_still_there_when_the_page_is_loaded_anew(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    ask(page, "one")
    page.reload()
    wait_for_bubbles(page, 2)
    assert bubbles(page) == ["one", "Turn 1. You said: one."]
    ask(page, "two")
    assert texts(backend.conversations[-1]) == ["one", "Turn 1. You said: one.", "two"]
    page.click("#clear")
    wait_for_bubbles(page, 0)
    page.reload()
    page.wait_for_selector(".state.ready")
    ask(page, "three")
    assert bubbles(page) == ["three", "Turn 1. You said: three."]


def test_what_was_being_answered_is_answered_after_the_page_is_loaded_anew(stage, visit) -> None:
    page = visit(stage.set(EchoBackend(delay_s=0.5)).address)
    page.fill("#box textarea", "a b c d e f")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('said: a b')")
    stage.set()
    page.reload()
    page.wait_for_selector("#chat small")
    assert bubbles(page) == ["a b c d e f", "Turn 1. You said: a b c d e f."]


def test_another_tab_has_a_conversation_of_its_own(stage, visit) -> None:
    page = visit(stage.address)
    ask(page, "one")
    other = page.context.new_page()
    other.goto(stage.address)
    other.wait_for_selector(".state.ready")
    ask(other, "two")
    assert bubbles(other) == ["two", "Turn 1. You said: two."]
    other.close()


def test_who_waits_is_told_how_many_are_before(stage, visit) -> None:
    page = visit(stage.set(EchoBackend(delay_s=0.5)).address)
    other = page.context.new_page()
    other.goto(stage.address)
    other.wait_for_selector(".state.ready")
    page.fill("#box textarea", "a b c d e f g h i j k l m n o p")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('Turn 1')")
    other.fill("#box textarea", "me too")
    other.press("#box textarea", "Enter")
    other.wait_for_function(
        "document.querySelector('.state').innerText.includes('Turns before yours: 1')"
    )
    stage.set()
    page.click("#stop")
    other.wait_for_selector("#chat small")
    assert bubbles(other) == ["me too", "Turn 1. You said: me too."]
    other.close()


def test_a_conversation_outlives_a_lost_connection(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address, error="Failed to fetch")
    ask(page, "one")
    page.context.set_offline(True)
    time.sleep(8)
    page.context.set_offline(False)
    page.wait_for_selector(".state.ready")
    wait_for_bubbles(page, 2)
    ask(page, "two")
    assert texts(backend.conversations[-1]) == ["one", "Turn 1. You said: one.", "two"]


def test_a_duplicated_tab_has_a_conversation_of_its_own(stage, visit) -> None:
    page = visit(stage.address)
    ask(page, "one")
    name = page.evaluate("sessionStorage.getItem('audiochat.tab')")
    other = page.context.new_page()
    other.add_init_script(f"sessionStorage.setItem('audiochat.tab', '{name}')")
    other.goto(stage.address)
    other.wait_for_function("name => sessionStorage.getItem('audiochat.tab') !== name", arg=name)
    other.wait_for_selector(".state.ready")
    ask(other, "two")
    assert bubbles(other) == ["two", "Turn 1. You said: two."]
    ask(page, "three")
    assert bubbles(page)[:2] == ["one", "Turn 1. You said: one."]
    other.close()


def test_settings_that_are_none_leave_the_page_usable(stage, visit) -> None:
    page = visit(stage.address)
    page.click("#settings button, #settings summary")
    page.get_by_label("Seed").fill("99999999999")
    page.fill("#box textarea", "one")
    page.press("#box textarea", "Enter")
    page.wait_for_function("document.querySelector('#chat').innerText.includes('⚠️')")
    page.wait_for_function("document.querySelector('#stop').disabled")
    page.get_by_label("Seed").fill("1")
    page.click("#retry")
    page.wait_for_selector("#chat small")
    assert bubbles(page) == ["one", "Turn 1. You said: one."]


def test_a_page_without_a_name_says_so_and_keeps_what_was_typed(stage, visit) -> None:
    script = """
        const later = setInterval(() => {
            if (!window.audiochat?.tab) return;
            clearInterval(later);
            window.audiochat.tab = () => "";
        }, 1);
    """
    page = visit(stage.address, script=script)
    page.wait_for_selector(".state.ready")
    page.fill("#box textarea", "one")
    page.press("#box textarea", "Enter")
    assert "not ready" in toast(page)
    assert page.input_value("#box textarea") == "one"
    assert page.is_disabled("#stop")
