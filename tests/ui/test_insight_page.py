"""The panel "What it heard" in headless Chromium, with the real model behind the page."""

from audiochat.backends.audiochat_llama import AudioChatLlamaBackend
from audiochat.ui.build import PageOptions, build_page, launch_settings
from audiochat.ui.examples import example_clips
from tests.fakes import BeepVoice
from tests.ui.conftest import shut


def test_open_the_panel_play_a_word_and_go_to_the_correction(
    bot, visit, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "sounds"))
    backend = AudioChatLlamaBackend("embedded", bot)
    options = PageOptions(examples=example_clips()[:1])
    demo, _ = build_page(lambda *_: backend, BeepVoice, options)
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
    try:
        page = visit(address, viewport={"width": 360, "height": 740})
        page.wait_for_selector(".state.ready")
        page.click(".example")
        page.wait_for_selector("#chat small")
        page.focus(".what-heard")
        page.keyboard.press("Enter")
        page.wait_for_selector("#insight .insight-map")
        assert page.locator(".insight-words b").all_inner_texts()[:5] == (
            ["What", "is", "the", "capital", "of"]
        )
        assert float(page.inner_text("#insight .score")) > 0.3
        widths = "(e => [e.scrollWidth, e.clientWidth])(document.querySelector('#insight'))"
        assert len(set(page.evaluate(widths))) == 1
        page.get_by_role("button", name="capital, at").press("Enter")
        page.wait_for_function("document.querySelector('#insight audio').currentTime > 0.3")
        page.keyboard.press("r")
        assert not page.locator("#mic button.stop-button").is_visible()
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.className") == "what-heard"
        page.click(".what-heard")
        page.click(".insight-correct")
        assert page.evaluate("document.activeElement.closest('#words') !== null")
    finally:
        visit.leave()
        shut(demo)
