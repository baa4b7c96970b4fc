"""A conversation saved from the page, and opened in another visit."""

import json
import shutil
import socket
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from audiochat.conversation import Conversation, Message
from audiochat.ui import saving
from audiochat.ui.session import Session
from tests.fakes import EchoBackend, tone
from tests.ui.visitor import ask, bubbles, record, toast, wait_for_bubbles


def choose(page, button: str, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.click(button)
    chooser.value.set_files(path)


def save(page, folder: Path) -> dict[str, Path]:
    """Press the button, fetch all that is offered; give the files by their kind."""
    page.click("#saving button, #saving summary")
    page.click("#save")
    wanted = 3 if shutil.which("ffmpeg") else 2
    page.wait_for_function(
        "count => document.querySelectorAll('#saved a[download]').length >= count", arg=wanted
    )
    links = page.locator("#saved a[download]")
    saved = {}
    for number in range(links.count()):
        with page.expect_download() as download:
            links.nth(number).click()
        name = download.value.suggested_filename
        saved[Path(name).suffix] = folder / name
        download.value.save_as(folder / name)
    return saved


def test_what_was_saved_is_opened_and_gone_on_with(stage, visit, tmp_path: Path) -> None:
    backend = EchoBackend()
    page = visit(stage.set(backend).address)
    record(page, 1.0)
    page.wait_for_selector("#chat small")
    ask(page, "and typed")
    view = bubbles(page)
    saved = save(page, tmp_path)
    assert {".html", ".zip"} <= set(saved)
    with zipfile.ZipFile(saved[".zip"]) as archive:
        document = json.loads(archive.read("conversation.json"))
        assert len(archive.read("audio/001-user.wav")) > 10_000
    assert [message["role"] for message in document["messages"]] == ["user", "assistant"] * 2
    assert "Echo" in json.dumps(document)

    other = visit(stage.address)
    other.click("#saving button, #saving summary")
    choose(other, "#open", saved[".zip"])
    wait_for_bubbles(other, 4)
    assert bubbles(other) == view
    assert other.locator("#chat .minimal-audio-player").count() == 3
    ask(other, "more")
    history = backend.conversations[-1].messages
    assert len(history) == 5
    (said,) = backend.conversations[0].messages[0].audio_parts
    (kept,) = history[0].audio_parts
    np.testing.assert_allclose(kept.waveform.samples, said.waveform.samples, atol=1e-4)


def test_a_hostile_file_is_a_sentence_and_changes_nothing(stage, visit, tmp_path: Path) -> None:
    page = visit(stage.address)
    ask(page, "one")
    bad = tmp_path / "conversation.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../../conversation.json", "{}")
    page.click("#saving button, #saving summary")
    choose(page, "#open", bad)
    assert "Traceback" not in toast(page)
    assert bubbles(page) == ["one", "Turn 1. You said: one."]


def test_an_opened_conversation_fetches_nothing_from_elsewhere(
    stage, visit, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        address = f"http://127.0.0.1:{stranger.getsockname()[1]}"
        tempting = f"![x]({address}/x.png) <img src='{address}/y'>"
        asked = Conversation().add(Message.user(tempting)).add(Message.assistant(tempting))
        list(saving.save(Session(asked), tmp_path))
        (made,) = tmp_path.rglob("*.zip")
        page = visit(stage.address)
        refused: list[str] = []
        page.on("console", lambda line: refused.append(line.text))
        page.click("#saving button, #saving summary")
        choose(page, "#open", made)
        wait_for_bubbles(page, 2)
        page.wait_for_timeout(1_000)
        assert any("Content Security Policy" in line for line in refused)
        stranger.settimeout(0.1)
        with pytest.raises(TimeoutError):
            stranger.accept()


def test_nothing_said_is_nothing_to_save(stage, visit) -> None:
    page = visit(stage.address)
    page.click("#saving button, #saving summary")
    page.click("#save")
    assert "Nothing was said yet" in toast(page)


def test_what_is_left_of_saving_is_what_is_offered(tmp_path: Path) -> None:
    session = Session().ask(Message.user(tone(1.0)))
    list(saving.save(session, tmp_path))
    offered = {
        "index.html",
        "conversation.zip",
        *(["conversation.mp4"] * bool(shutil.which("ffmpeg"))),
    }
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == offered


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="a video needs ffmpeg")
def test_only_the_video_waits_for_the_one_being_drawn(tmp_path: Path) -> None:
    saved = saving.save(Session().ask(Message.user(tone(1.0))), tmp_path)
    with saving.DRAWING:
        assert len(next(saved).value) == 2
        done = threading.Thread(target=lambda: list(saved))
        done.start()
        done.join(0.5)
        assert done.is_alive()
        assert not list(tmp_path.rglob("*.mp4"))
    done.join(60)
    assert len(list(tmp_path.rglob("*.mp4"))) == 1


def test_a_question_saved_without_its_answer_is_opened_as_that(tmp_path: Path) -> None:
    asked = (
        Session()
        .ask(Message.user("one"))
        .answered(Conversation().add(Message.user("one")).add(Message.assistant("1")), None)
    )
    asked = asked.ask(Message.user("two")).settled()
    list(saving.save(asked, tmp_path))
    (found,) = tmp_path.rglob("*.zip")
    opened = saving.opened(Session(), str(found))
    assert opened.asked == Message.user("two")
    assert not opened.waiting
    again = opened.retry()
    assert [message.text for message in again.question.messages] == ["one", "1", "two"]
    assert opened.ask(Message.user("three")).question.messages[-1].text == "three"
