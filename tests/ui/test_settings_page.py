"""The settings panel in the page: what it says reaches the model, and it stays with the visitor."""

import gradio as gr
import pytest

from audiochat import prompts
from audiochat.ui.build import PageOptions, build_page, launch_settings
from audiochat.ui.settings_panel import restored
from tests.fakes import BeepVoice, EchoBackend
from tests.ui.conftest import shut
from tests.ui.visitor import ask, open_settings, toast

STORED = "localStorage.getItem('audiochat.settings')"
READY = "line => document.querySelector('.state')?.innerText.includes(line)"


def test_settings_reach_the_model_and_the_voice_can_be_off(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    open_settings(page)
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Voice of the reply").click()
    page.get_by_role("option", name="Off").click()
    ask(page, "hello")
    assert backend.conversations[-1].system_prompt == "Be brief."
    assert backend.samplings[-1].seed == 7
    assert page.evaluate("window.audiochat.player.played.pieces") == 0
    assert page.locator("#chat .minimal-audio-player").count() == 0


def test_settings_come_back_with_the_visitor(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    open_settings(page)
    for name, value in (("System prompt", "Be brief."), ("Seed", "7")):
        stored = page.evaluate(STORED)
        page.get_by_label(name).fill(value)
        page.keyboard.press("Tab")
        page.wait_for_function(f"before => {STORED} !== before", arg=stored)
    page.reload()
    page.wait_for_selector("#keys-on", state="attached")
    open_settings(page)
    page.wait_for_function(
        "[...document.querySelectorAll('textarea')].some(t => t.value === 'Be brief.')"
    )
    assert page.get_by_label("Who it should be").input_value() == "own words"
    ask(page, "hello")
    assert backend.conversations[-1].system_prompt == "Be brief."
    assert backend.samplings[-1].seed == 7


@pytest.mark.parametrize(("chosen", "style"), [("Off", None), ("low", "low")])
def test_the_voice_chosen_comes_back(stage, visit, chosen: str, style: str | None) -> None:
    page = visit(stage.address)
    open_settings(page)
    page.get_by_label("Voice of the reply").click()
    page.get_by_role("option", name=chosen).click()
    page.wait_for_function("localStorage.getItem('audiochat.voice')")
    page.reload()
    page.wait_for_selector("#keys-on", state="attached")
    open_settings(page)
    page.wait_for_function(
        "name => [...document.querySelectorAll('#settings input')].some(one => one.value === name)",
        arg=chosen,
    )
    ask(page, "hello")
    assert [said.voice for said in stage.voice.styles] == [style] * len(stage.voice.styles)
    assert bool(stage.voice.styles) == (style is not None)


def test_the_model_chosen_comes_back(visit, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "sounds"))
    backends = {"first": EchoBackend(), "second": EchoBackend()}
    backends["second"].label = "The second"
    demo, _ = build_page(
        lambda name, _: backends[name], BeepVoice, PageOptions(models=tuple(backends))
    )
    try:
        _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
        page = visit(address)
        open_settings(page)
        stored = page.evaluate(STORED)
        page.get_by_label("Model", exact=True).click()
        page.get_by_role("option", name="second").click()
        page.wait_for_function(f"before => {STORED} !== before", arg=stored)
        page.wait_for_function(READY, arg="Ready: The second")
        page.reload()
        page.wait_for_function(READY, arg="Ready: The second")
        ask(page, "hello")
        assert len(backends["second"].conversations) == 1
        assert not backends["first"].conversations
    finally:
        visit.leave()
        shut(demo)


def test_a_preset_writes_the_system_prompt(stage, visit) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    open_settings(page)
    page.get_by_label("Who it should be").click()
    page.get_by_role("option", name="Storyteller").click()
    page.wait_for_function(
        "[...document.querySelectorAll('textarea')].some(t => t.value.includes('storyteller'))"
    )
    ask(page, "hello")
    assert backend.conversations[-1].system_prompt == prompts.PRESETS["Storyteller"]


def test_the_voice_can_be_tried(stage, visit) -> None:
    page = visit(stage.address)
    open_settings(page)
    page.click("#preview")
    page.wait_for_function("window.audiochat.player.played.pieces === 1")
    page.wait_for_function("document.querySelector('#captions').innerText.includes('Hello!')")
    page.get_by_label("Voice of the reply").click()
    page.get_by_role("option", name="Off").click()
    page.click("#preview")
    assert "choose one" in toast(page)


def test_stored_settings_that_are_none_change_nothing() -> None:
    kept = [
        gr.Slider(0, 2, 1),
        gr.Textbox("words", label="words"),
        gr.Number(3, minimum=0, maximum=9),
        gr.Dropdown(["one", "two"]),
    ]
    restore = restored(kept)
    assert restore([1.5, "other", 4, "two"]) == [1.5, "other", 4, "two"]
    wrong: tuple[object, ...] = ([float("nan"), 5, True, "three"], [99, "w" * 9999, "4", ["one"]])
    for stored in (None, "x", {}, [1], *wrong):
        assert all(isinstance(value, dict) for value in restore(stored))
