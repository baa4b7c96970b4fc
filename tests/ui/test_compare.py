"""One turn, two models: both answers are shown, and either can be gone on with."""

import pytest

from audiochat.audio import Waveform
from audiochat.backends.base import Backend
from audiochat.conversation import Message
from audiochat.errors import ConversationError, ModelError
from audiochat.ui import render
from audiochat.ui.answering import Answering, Settings
from audiochat.ui.build import PageOptions, build_page, launch_settings
from audiochat.ui.model_loading import Loading, Models
from audiochat.ui.session import Session
from tests.fakes import BeepVoice, BrokenBackend, EchoBackend, tone
from tests.ui.conftest import shut


class Other(EchoBackend):
    label = "The other"


class Broken(BrokenBackend):
    label = "Broken one"


def answering(**backends: Backend) -> Answering:
    models = Models(lambda name, _: backends[name], list(backends))
    voice: Loading = Loading(lambda _: BeepVoice())
    return Answering(models, voice)


def compare(rival: Backend, question: str | Waveform = "hello") -> tuple[list, BeepVoice]:
    both = answering(first=EchoBackend(), second=rival)
    settings = Settings("first", rival="second")
    steps = list(both.steps(Session().ask(Message.user(question)), settings))
    return steps, both.voice.value


def test_both_answer_and_one_is_voiced() -> None:
    steps, voice = compare(Other(), tone(1.0))
    end = steps[-1].session
    assert not end.working
    assert end.rival is not None
    assert end.conversation.messages[-1].text == end.rival.conversation.messages[-1].text
    assert end.notes[-1].by == "Echo"
    assert end.rival.notes[-1].by == "The other"
    assert end.rival.notes[-1].timings.total_ms > 0
    assert end.rival.conversation.messages[0].audio_parts[0].heard
    assert len(voice.said) == len([step for step in steps if step.speech])
    # Until the second has answered, somebody is at work.
    first_done = next(i for i, step in enumerate(steps) if not step.session.waiting)
    assert all(step.session.working for step in steps[first_done:-1])


def test_either_can_be_gone_on_with() -> None:
    end = compare(Other())[0][-1].session
    other = end.swapped()
    assert other.notes[-1].by == "The other"
    assert other.swapped().notes[-1].by == "Echo"
    asked = other.ask(Message.user("more"))
    assert asked.rival is None
    assert asked.notes[-1].by == "The other"


def test_a_rival_that_fails_leaves_the_first_reply() -> None:
    end = compare(Broken(error=ModelError("Out of order.")))[0][-1].session
    assert end.conversation.messages[-1].text == "Turn 1. You said: hello."
    assert end.rival is not None
    assert "Out of order." in render.comparison(end)
    with pytest.raises(ConversationError):
        end.swapped()


def test_stopping_the_rival_keeps_both_as_they_are() -> None:
    both = answering(first=EchoBackend(), second=Other())
    steps = both.steps(Session().ask(Message.user("a b c d")), Settings("first", rival="second"))
    for step in steps:
        if step.session.rival is not None and step.session.rival.partial:
            break
    steps.close()
    settled = step.session.settled()
    assert not settled.working
    assert settled.rival is not None
    assert settled.rival.conversation.messages[-1].stopped
    assert not settled.conversation.messages[-1].stopped


def test_words_are_inert() -> None:
    end = compare(Other(), "<img src=x onerror=alert(1)>")[0][-1].session
    assert "<img" not in render.comparison(end)


def test_it_is_compared_in_the_page(visit, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "sounds"))
    backends = {"embedded": EchoBackend(), "cascade": Other(confidence=0.3)}
    demo, _ = build_page(
        lambda name, _: backends[name], BeepVoice, PageOptions(models=tuple(backends))
    )
    try:
        _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
        page = visit(address)
        page.wait_for_selector(".state.ready")
        page.get_by_label("Compare the reply with").click()
        page.get_by_role("option", name="cascade").click()
        page.fill("#box textarea", "hello")
        page.press("#box textarea", "Enter")
        page.wait_for_selector("#swap", state="visible")
        cards = page.locator("#compared section").all_inner_texts()
        assert [card.splitlines()[0] for card in cards] == ["Echo", "The other"]
        assert all("Turn 1. You said: hello." in card for card in cards)
        assert all("first words after" in card for card in cards)
        page.click("#swap")
        page.wait_for_function("document.querySelector('#compared h3').innerText === 'The other'")
        page.fill("#box textarea", "more")
        page.press("#box textarea", "Enter")
        page.wait_for_function("document.querySelectorAll('#chat .message-row').length === 4")
        page.wait_for_selector("#swap", state="visible")
    finally:
        visit.leave()
        shut(demo)
