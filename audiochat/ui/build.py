"""Puts the page together: what loads in the background, the layout, its events, the endpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from audiochat.audio import RECORDING_LIMITS, Waveform
from audiochat.backends.base import Backend, Progress
from audiochat.ui import texts, words
from audiochat.ui.answering import Answering, OnGpu
from audiochat.ui.api import add_chat_endpoint
from audiochat.ui.events import Events
from audiochat.ui.insight import add_insight
from audiochat.ui.model_loading import Loading, Models
from audiochat.ui.open_microphone import OpenMicrophones
from audiochat.ui.page import Example, lay_out
from audiochat.ui.saving import connect_saving
from audiochat.ui.settings_panel import connect_preview, connect_settings
from audiochat.ui.state_line import connect_state_line
from audiochat.ui.visitors import Visitors
from audiochat.voices.base import Voice

CLEAN_EVERY_S, KEEP_SOUNDS_S = 600, 7_200
"""The page says so: change "about.kept" in `words/` too."""

HERE = Path(__file__).parent
STYLES = ("style.css", "hands_free.css", "insight.css")
SCRIPTS = (
    "storage.js",
    "words.js",
    "player.js",
    "replays.js",
    "microphone.js",
    "hands_free.js",
    "upload.js",
    "page.js",
    "insight.js",
)
"""In this order: the later ones use the storage, the words and the player."""

ONLY_OWN = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"img-src 'self' data: blob:; form-action 'self'\">"
)
"""A model's reply and an opened conversation are Markdown: no picture of a stranger is fetched."""


@dataclass(frozen=True)
class PageOptions:
    """What a page is built of besides its models."""

    models: tuple[str, ...] = ("embedded",)
    """The names offered; the first is loaded at once."""

    examples: tuple[Example, ...] = ()

    on_gpu: OnGpu | None = None
    """Decorates the function that computes: `spaces.GPU` on ZeroGPU."""


def build_page(
    load_backend: Callable[[str, Progress], Backend],
    load_voice: Callable[[], Voice | None],
    options: PageOptions | None = None,
) -> tuple[gr.Blocks, Callable[[], None]]:
    """Build the page.

    Args:
        load_backend: gives the backend of a name, telling its progress.
        load_voice: gives the voice, or None for replies that are not spoken.
        options: what else the page offers.

    Returns:
        The page, and a function that starts loading its model and voice in the background. The
        first visit starts them too; a program calls it once the page is up, as importing a model's
        libraries would keep the page from coming up.
    """
    options = options or PageOptions()
    models = Models(load_backend, list(options.models))
    answering = Answering(models, Loading(lambda _: load_voice()), on_gpu=options.on_gpu)
    demo: gr.Blocks
    with gr.Blocks(
        title=texts.TITLE,
        delete_cache=(CLEAN_EVERY_S, KEEP_SOUNDS_S),
        analytics_enabled=False,
        fill_width=False,
    ) as demo:
        visitors = Visitors()

        def hear_ahead(tab: str, recording: Waveform) -> None:
            answering.hear_ahead(recording, visitors.session(tab).conversation.messages)

        microphones = OpenMicrophones(hear_ahead)
        page = lay_out(list(options.models), list(options.examples), microphones.listen)
        events = Events(page, answering, microphones, visitors, list(options.examples))
        events.connect(demo)
        connect_state_line(page, answering, connect_settings(demo, page.panel))
        connect_preview(page.panel, page.speech, answering)
        connect_saving(page, visitors)
        add_insight(page, answering, visitors)
        add_chat_endpoint(answering, options.models[0])
    demo.queue(api_open=False)

    def start_loading() -> None:
        answering.voice.start()
        models.get(options.models[0])

    return demo, start_loading


def launch_settings() -> dict[str, Any]:
    """Return what `launch` must be given for this page: look, script, limits, closed doors."""
    return {
        "theme": gr.themes.Soft(
            primary_hue="indigo",
            neutral_hue="slate",
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ).set(
            # Soft's own grey for minor text and its labels are too pale to read.
            body_text_color_subdued="*neutral_600",
            body_text_color_subdued_dark="*neutral_400",
            block_title_text_color="*primary_700",
            block_label_text_color="*primary_700",
            block_radius="14px",
            block_border_width="1px",
        ),
        "head": _head(),
        "i18n": words.translations(),
        "max_file_size": RECORDING_LIMITS.max_bytes,
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "footer_links": [],
    }


def _head() -> str:
    """The style and the scripts, inlined: Gradio rewrites the selectors of `css`."""
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in STYLES)
    scripts = [(HERE / name).read_text(encoding="utf-8") for name in SCRIPTS]
    inlined = "".join(f"<script>{script}</script>" for script in scripts)
    return f"{ONLY_OWN}<style>{style}</style>{words.inlined()}{inlined}"
