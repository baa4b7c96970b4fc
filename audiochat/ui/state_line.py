"""The line that says what the program is doing: loading, ready, answering, or why it cannot."""

import html
from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import Dependency

from audiochat.backends.base import Backend
from audiochat.ui import words
from audiochat.ui.answering import Answering
from audiochat.ui.model_loading import Loading
from audiochat.ui.page import Page
from audiochat.ui.settings_panel import VOICE_OFF, voice_again
from audiochat.ui.wiring import QUIET
from audiochat.voices.espeak import voice_label

TICK_S = 0.3


def state_line(
    answering: Answering, model: str, stage: str = "", fraction: float | None = None
) -> str:
    """Draw the line: the stage of a turn, or the state of the model."""
    return drawn("busy", f"{stage} …", fraction) if stage else _of(answering.models.get(model))


def connect_state_line(page: Page, answering: Answering, back: Dependency) -> None:
    """Show the state on each visit, when another model is chosen, and when loading is retried.

    `back` is the event after which the controls hold the visitor's settings: the model whose
    state is shown is the one chosen in an earlier visit.
    """
    settings: dict[str, Any] = {
        "inputs": page.controls.model,
        "outputs": [page.state_line, page.load_again, page.controls.voice],
        "concurrency_limit": None,
        **QUIET,
    }
    shown = partial(watch, answering, page)
    page.load_again.click(partial(shown, again=True), **settings)

    def again(kept: Any) -> Any:
        voice = answering.voice.value
        return voice_again(voice.voices() if voice else [], kept)

    for listen in (back.then, page.controls.model.input):
        known = listen(shown, **settings)
        known.then(again, page.panel.voice_kept, page.controls.voice, queue=False, **QUIET)


def watch(
    answering: Answering, page: Page, model: str, *, again: bool = False
) -> Iterator[dict[Any, Any]]:
    """Show how the loading of the model and the voice goes on, until both are done."""
    loading = answering.models.get(model, again=again)
    shown = ""
    while True:
        finished = loading.wait(TICK_S)
        line = _of(loading)
        if line != shown:
            yield {page.state_line: line, page.load_again: gr.Button(visible=bool(loading.error))}
            shown = line
        if finished:
            break
    answering.voice.wait()
    yield {page.controls.voice: _voices(answering)}


def _of(loading: Loading[Backend]) -> str:
    if not loading.finished:
        return drawn("loading", loading.sentence, loading.fraction)
    if loading.error is not None:
        return drawn("failed", str(loading.error))
    return drawn("ready", f"Ready: {loading.result().label}")


def _voices(answering: Answering) -> gr.Dropdown:
    """The choices; the value stays, for a turn sent meanwhile must hold one that is still there."""
    voice = answering.voice.value
    if answering.voice.error is not None:
        gr.Warning(f"{answering.voice.error} Replies are shown as text.")
    off = (words.label("voice_off"), VOICE_OFF)
    if voice is None:
        return gr.Dropdown([(words.label("voice_default_off"), ""), off])
    names = voice.voices()
    default = words.label("voice_default") + (f": {voice_label(names[0])}" if names else "")
    named = [(voice_label(name), name) for name in names]
    return gr.Dropdown([(default, ""), *named, off])


def drawn(kind: str, sentence: str, fraction: float | None = None) -> str:
    """One line with a dot of colour; with a bar where the fraction is known."""
    bar = ""
    if fraction is not None:
        bar = f'<progress max="1" value="{fraction:.3f}"></progress>'
    return (
        f'<div class="state {kind}" role="status" aria-live="polite"><span class="dot"></span>'
        f"<span>{html.escape(sentence)}</span>{bar}</div>"
    )
