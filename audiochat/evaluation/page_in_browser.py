"""What a visitor waits for, measured in headless Chromium with a WAV file for a microphone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiochat.audio import Waveform, resample
from audiochat.errors import MissingPartError
from audiochat.evaluation.page_process import page

MICROPHONE_HZ = 48_000
LEAD_S = 1.0
"""Quiet before the question, while the microphone opens."""
PATIENCE_MS = 60_000

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


def recorder_to_sound_ms(question: Waveform, n_runs: int) -> tuple[float, ...]:
    """Milliseconds from a press on Stop to the reply's first sound; warm.

    Raises:
        MissingPartError: Playwright or Chromium is not installed.
    """
    with _visited(question) as visited:
        return tuple(_after_stop(visited, question.duration_s) for _ in range(n_runs + 1))[1:]


def turn_to_sound_ms(question: Waveform, n_runs: int) -> tuple[float, ...]:
    """Milliseconds from the end of a hands-free turn, its silence elapsed, to the first sound.

    Counted from the beginning of the tenth of a second in which the silence was over, so that
    sending it and the answer are in.

    Raises:
        MissingPartError: Playwright or Chromium is not installed.
    """
    with _visited(question) as visited:
        return tuple(_after_turn(visited) for _ in range(n_runs + 1))[1:]


def stop_to_silence_ms(question: Waveform, n_runs: int) -> tuple[float, ...]:
    """Milliseconds from a press on Stop, while the voice speaks, to its silence.

    Raises:
        MissingPartError: Playwright or Chromium is not installed.
    """
    with _visited(question) as visited:
        return tuple(_silenced(visited) for _ in range(n_runs))


def _after_stop(visited: Any, question_s: float) -> float:
    _forget(visited)
    visited.click("#mic button.record-button")
    visited.wait_for_selector("#mic button.stop-button", state="visible")
    visited.wait_for_timeout(1000 * (LEAD_S + question_s))
    stopped = visited.evaluate(
        "() => { const now = performance.now();"
        " document.querySelector('#mic button.stop-button').click(); return now; }"
    )
    return _first_sound(visited) - float(stopped)


def _after_turn(visited: Any) -> float:
    _forget(visited)
    visited.click("#talk-switch")
    first = _first_sound(visited)
    ended = "window.audiochat.talk.log.find(entry => entry.what === 'turn').overAt"
    took = first - float(visited.evaluate(ended))
    visited.click("#talk-switch")
    return took


def _silenced(visited: Any) -> float:
    _forget(visited)
    visited.fill("#box textarea", "Tell me a long story about a fox and a river.")
    visited.press("#box textarea", "Enter")
    _first_sound(visited)
    return float(
        visited.evaluate(
            "() => { const now = performance.now(); document.querySelector('#stop').click();"
            " return new Promise((done) => { const look = () => window.audiochat.player.sounding()"
            " ? requestAnimationFrame(look) : done(performance.now() - now); look(); }); }"
        )
    )


def _forget(visited: Any) -> None:
    """Clear the conversation and the figures of the turn before."""
    visited.wait_for_function("!window.audiochat.player.sounding()", timeout=PATIENCE_MS)
    visited.click("#clear")
    visited.wait_for_selector("#welcome", state="attached")
    visited.evaluate(
        "() => { const { player, talk } = window.audiochat;"
        " player.played.firstAt = 0; talk.log.length = 0; }"
    )


def _first_sound(visited: Any) -> float:
    at = visited.wait_for_function(
        "window.audiochat.player.played.firstAt", timeout=PATIENCE_MS
    ).json_value()
    return float(at)


@contextmanager
def _visited(question: Waveform) -> Iterator[Any]:
    """The page, ready, in a browser whose microphone hears the question over and over."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if find_spec("playwright") is None or chromium is None:
        raise MissingPartError(
            "What a visitor waits for is measured in Chromium by Playwright: "
            "apt install chromium, and pip install -e '.[tests]'."
        )
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, page() as running, sync_playwright() as browsers:
        sound = Path(folder) / "microphone.wav"
        heard = resample(question.samples, question.sample_rate, MICROPHONE_HZ)
        lead = np.zeros(round(LEAD_S * MICROPHONE_HZ), np.float32)
        rest = np.zeros(20 * MICROPHONE_HZ, np.float32)
        soundfile.write(sound, np.concatenate([lead, heard, rest]), MICROPHONE_HZ)
        browser = browsers.chromium.launch(
            executable_path=chromium, args=[*_FLAGS, f"--use-file-for-fake-audio-capture={sound}"]
        )
        visited = browser.new_context(permissions=["microphone"]).new_page()
        visited.goto(running.url)
        visited.wait_for_selector(".state.ready", timeout=PATIENCE_MS)
        yield visited
        browser.close()
