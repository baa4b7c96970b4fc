"""The page that replays a recording, opened as a file in Chromium, as a person uses it."""

from collections.abc import Iterator

import pytest

from audiochat.recording.timeline import lay_out
from audiochat.recording.web_page import web_page
from tests.recording.samples import HOSTILE, sample

TIME = "document.getElementById('sound').currentTime"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("demo") / "index.html"
    path.write_text(web_page(sample(), lay_out(sample())), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser, address: str) -> Iterator:
    """Open the page with these settings; at the end it must have fetched nothing, and no errors."""
    contexts, fetched, errors = [], [], []

    def go(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: fetched.append(request.url[:80]))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on("dialog", lambda dialog: errors.append("alert"))
        page.goto(address)
        # Not `wait_for_function`: the page's policy forbids what it does between two looks.
        while not page.evaluate("document.getElementById('sound').readyState >= 1"):
            page.wait_for_timeout(20)
        return page

    yield go
    for context in contexts:
        context.close()
    assert {url for url in fetched if not url.startswith("data:")} == {address}
    assert errors == []


def test_it_plays_and_shows_what_is_said(opened) -> None:
    page = opened()
    assert abs(page.evaluate("document.getElementById('sound').duration") - length()) < 0.01
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector("#messages .user.playing")
    page.wait_for_selector("#messages .assistant.playing")
    page.get_by_role("button", name="Pause").click()
    stopped = page.evaluate(TIME)
    page.wait_for_timeout(300)
    assert page.evaluate(TIME) == stopped


def test_the_caption_is_that_of_the_moment(opened) -> None:
    page = opened()
    go_to(page, 0.8)
    page.wait_for_selector("#messages .user.playing .now")
    assert page.locator("#caption").inner_text() == "You: What is it?"
    assert page.locator(".now").inner_text() == "What is it?"
    # What was said looks like markup, and is words.
    go_to(page, lay_out(sample()).spans[3].start_s + 0.1)
    page.wait_for_selector("#messages li:nth-child(4).playing .now")
    assert HOSTILE[:20] in page.locator("#caption").inner_text()
    assert page.locator("#messages img, #caption img").count() == 0


def go_to(page, seconds: float) -> None:
    page.evaluate(f"document.getElementById('sound').currentTime = {seconds}")


def length() -> float:
    return lay_out(sample()).duration_s


def test_a_message_plays_from_its_start(opened) -> None:
    page = opened()
    page.locator(".bubble").nth(3).click()
    page.wait_for_selector("#messages li:nth-child(4).playing")
    assert page.evaluate(TIME) >= lay_out(sample()).spans[3].start_s


def test_it_ends_and_can_be_played_again(opened) -> None:
    page = opened()
    go_to(page, length() - 1)
    page.locator("#play").click()
    page.wait_for_selector("#play[aria-label=Pause]")
    page.wait_for_selector("#play[aria-label=Play]")
    assert page.evaluate("document.getElementById('sound').ended")
    assert page.locator(".playing, .now").count() == 0
    page.locator("#play").click()
    page.wait_for_selector("#messages li:nth-child(1).playing")


def test_keys_reach_everything(opened) -> None:
    page = opened()
    starts = [span.start_s for span in lay_out(sample()).spans]
    for key, index in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        page.keyboard.press(key)
        assert page.evaluate(TIME) == pytest.approx(starts[index], abs=0.01)
    page.locator(".bubble").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.wait_for_selector("#messages li:nth-child(3).playing")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#messages li:nth-child(2).playing")
    page.locator("#position").focus()
    before = page.evaluate(TIME)
    page.locator("#play").click()
    page.locator("#position").focus()
    page.keyboard.press("End")
    assert page.evaluate(TIME) > before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(opened, scheme: str) -> None:
    page = opened(
        viewport={"width": 360, "height": 640}, color_scheme=scheme, reduced_motion="reduce"
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator(".bubble").nth(5).click()
    page.wait_for_selector(".now, .playing")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(",")))
    assert (brightness > 600) is (scheme == "light")
    # The player stays in view, its button large enough for a thumb.
    box = page.locator("#play").bounding_box()
    assert box["y"] + box["height"] <= 640
    assert min(box["width"], box["height"]) >= 44


def test_without_scripts_the_sound_still_plays(opened) -> None:
    page = opened(java_script_enabled=False)
    assert page.locator("#sound").is_visible()
    assert not page.locator("#play").is_visible()
