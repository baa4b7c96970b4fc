"""What a visitor of the page does and sees, for the tests in a browser."""

import time
from pathlib import Path

from audiochat.conversation import Conversation

REFUSES = """
navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException('no', '%s'));
"""


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


def open_settings(page) -> None:
    """Open the panel; a frame after it shows, Gradio writes its first values once more."""
    page.wait_for_selector(".state.ready")
    page.click("#settings button, #settings summary")
    page.wait_for_selector("#settings textarea")
    page.evaluate("window.frames_seen = 0")
    page.wait_for_function("++window.frames_seen > 5", polling="raf")
