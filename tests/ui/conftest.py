"""The page served from this process, and a headless Chromium with a fake microphone."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import soundfile

from audiochat.audio import write_wav
from audiochat.backends.base import HearsAhead
from audiochat.ui.build import PageOptions, build_page, launch_settings
from audiochat.ui.page import Example
from tests.fakes import BeepVoice, EchoBackend, tone

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--host-resolver-rules=MAP not-localhost.test 127.0.0.1",
]
PATIENCE_MS = 60_000
"""The machine of a test run may be busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a test in the browser twice: a busy machine stalls Chromium. The summary names it."""
    for item in items:
        if "visit" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


def shut(demo) -> None:
    """Stop serving; Gradio wakes its streams from this thread, and one may be ending just then."""
    with contextlib.suppress(RuntimeError):
        demo.close(verbose=False)
        return
    demo.close(verbose=False)


class Stage:
    """One page for all tests; what stands behind it is changed by each."""

    def __init__(self, clip: Path) -> None:
        self.clip = clip
        self.address = ""
        self.set()

    def set(self, backend=None, voice=None) -> "Stage":
        """Put these fakes behind the page, or the well-behaved ones."""
        self.backend = backend or EchoBackend()
        self.voice = voice or BeepVoice()
        return self


class OnStage:
    """Whatever stands on the stage now, as a backend and as a voice."""

    name, label = "stage", "Echo"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def reply(self, conversation, sampling):
        yield from self.stage.backend.reply(conversation, sampling)

    def hear_ahead(self, waveform, before=()) -> None:
        if isinstance(self.stage.backend, HearsAhead):
            self.stage.backend.hear_ahead(waveform, before)

    def voices(self) -> list[str]:
        return self.stage.voice.voices()

    def speak(self, text, style):
        return self.stage.voice.speak(text, style)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def page_on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A served page, built once: building one takes seconds."""
    folder = tmp_path_factory.mktemp("page")
    write_wav(tone(1.5), folder / "clip.wav")
    stage = Stage(folder / "clip.wav")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "sounds"))
        demo, _ = build_page(
            lambda *_: OnStage(stage),
            lambda: OnStage(stage),
            PageOptions(examples=(Example(stage.clip, "A tone"),)),
        )
        _, stage.address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
        yield stage
        shut(demo)


@pytest.fixture
def stage(page_on_stage: Stage) -> Stage:
    """The page with the well-behaved fakes behind it."""
    return page_on_stage.set()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Serve a page of its own with this loading function, and return its address."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "sounds"))
    pages = []

    def start(load) -> str:
        demo, _ = build_page(load, BeepVoice)
        pages.append(demo)
        _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
        return str(address)

    yield start
    for demo in pages:
        shut(demo)


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The WAV that the fake microphone hears, over and over: 48 kHz, 16 bit; may be rewritten."""
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    put_before(path, tone(2.0, sample_rate=48_000).samples)
    return path


def put_before(microphone: Path, samples: np.ndarray) -> None:
    """Let the fake microphone hear these samples of 48 kHz from the next recording on."""
    soundfile.write(microphone, samples, 48_000, subtype="PCM_16")


@pytest.fixture(autouse=True)
def tone_again(microphone: Path) -> Iterator[None]:
    """What a test let the microphone hear, a silence perhaps, is not for the next one."""
    yield
    put_before(microphone, tone(2.0, sample_rate=48_000).samples)


@pytest.fixture(scope="session")
def browser(microphone: Path):
    """One Chromium for all tests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra 'tests'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
        running = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield running
        running.close()


@pytest.fixture
def visit(browser):
    """Open an address; at the end the page must have stayed on this machine and made no errors."""
    contexts, seen, errors = [], [], []
    # Gradio's recorder throws what the browser refuses it; the page says it in its own words.
    expected = ["Error accessing the microphone"]

    def go(address: str, *, microphone: bool = True, script: str = "", error: str = "", **options):
        expected.extend([error] if error else [])
        options.setdefault("viewport", {"width": 1280, "height": 900})
        permissions = ["microphone", "screen-wake-lock"] if microphone else []
        context = browser.new_context(permissions=permissions, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: seen.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(address)
        page.wait_for_selector("#keys-on", state="attached")
        return page

    def leave() -> None:
        """Close the pages: before their server shuts, or what they fetch just then fails."""
        while contexts:
            contexts.pop().close()

    go.leave = leave
    yield go
    leave()
    hosts = {urlparse(url).hostname for url in seen if not url.startswith(("blob:", "data:"))}
    assert hosts <= {"127.0.0.1", "localhost", "not-localhost.test"}
    assert [e for e in errors if not e.startswith(tuple(expected))] == []
