"""Nothing said is lost: hurried questions, pages loaded anew, tabs, a lost connection."""

import re
import time

from audiochat.audio import RECORDING_LIMITS
from tests.fakes import EchoBackend
from tests.ui.visitor import ask, bubbles, open_settings, texts, toast, wait_for_bubbles


def test_what_did_not_arrive_stays_in_the_box(stage, visit) -> None:
    page = visit(stage.address, error="Failed to fetch")
    ask(page, "one")
    page.context.set_offline(True)
    page.fill("#box textarea", "two")
    page.press("#box textarea", "Enter")
    time.sleep(2)
    assert page.input_value("#box textarea") == "two"


def test_what_is_in_the_box_outlives_the_page(stage, visit) -> None:
    page = visit(stage.address)
    page.fill("#box textarea", "half a question")
    page.reload()
    page.wait_for_function("document.querySelector('#box textarea')?.value === 'half a question'")
    page.press("#box textarea", "Enter")
    page.wait_for_selector("#chat small")
    assert bubbles(page) == ["half a question", "Turn 1. You said: half a question."]
    page.reload()
    wait_for_bubbles(page, 2)
    assert page.input_value("#box textarea") == ""


def test_a_recording_that_ends_without_a_connection_is_sent_when_it_is_back(stage, visit) -> None:
    page = visit(stage.address, error="Failed to fetch")
    page.wait_for_selector(".state.ready")
    page.click("#mic button.record-button")
    page.wait_for_selector("#mic button.stop-button", state="visible")
    time.sleep(1.5)
    page.context.set_offline(True)
    page.click("#mic button.stop-button")
    page.wait_for_function("document.querySelector('#uploading')?.innerText.includes('lost')")
    page.context.set_offline(False)
    page.wait_for_selector("#chat small")
    assert bubbles(page)[0].startswith("I heard: “a clip of ")


def test_a_recording_ends_before_it_is_longer_than_can_be_heard(stage, visit) -> None:
    """Ten minutes in truth."""
    page = visit(stage.address)
    page.wait_for_selector(".state.ready")
    allowed = page.locator("#mic-trouble").get_attribute("data-max-s")
    assert float(allowed) == RECORDING_LIMITS.max_s
    page.evaluate("document.querySelector('#mic-trouble').dataset.maxS = 4")
    page.click("#mic button.record-button")
    page.wait_for_selector("#chat small")
    seconds = re.search(r"a clip of (\S+) seconds", bubbles(page)[0])
    assert seconds
    assert 2.5 < float(seconds.group(1)) < 4
    assert "10 minutes" in page.inner_text("#mic-trouble")
    page.click("#mic button.record-button")
    page.wait_for_selector("#mic-trouble", state="hidden")


def test_a_browser_that_keeps_nothing_can_be_talked_to(stage, visit) -> None:
    forbids = """
    for (const name of ["localStorage", "sessionStorage"])
      Object.defineProperty(window, name, {
        get() { throw new DOMException("no", "SecurityError"); },
        configurable: true,  // as browsers have it
      });
    """
    for _ in range(3):  # Gradio failed by it in every second page
        page = visit(stage.address, script=forbids)
        ask(page, "one")
        assert bubbles(page) == ["one", "Turn 1. You said: one."]


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


def test_stop_and_clear_in_one_breath_leave_an_empty_page(stage, visit) -> None:
    backend = EchoBackend(delay_s=0.2)
    page = visit(
        stage.set(backend).address, error="signal is aborted"
    )  # Gradio's own, of its stream
    for _ in range(3):
        page.fill("#box textarea", "one two three four five six seven eight nine ten")
        page.press("#box textarea", "Enter")
        page.wait_for_function("document.querySelector('#chat').innerText.includes('Turn 1.')")
        page.evaluate(
            "document.querySelector('#stop').click(); document.querySelector('#clear').click()"
        )
        page.wait_for_selector("#welcome", state="attached")
    page.wait_for_timeout(1_000)
    assert bubbles(page) == []
    assert page.locator("#stop").is_disabled()
    ask(page, "new")
    assert bubbles(page) == ["new", "Turn 1. You said: new."]


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
    open_settings(page)
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
