"""The layout of the page: every component, and nothing of what it does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from audiochat import prompts
from audiochat.audio import RECORDING_LIMITS, SAMPLE_RATE
from audiochat.ui import texts, words
from audiochat.ui.saving import lay_out_saving
from audiochat.ui.settings_panel import Controls, Panel, lay_out_settings

ANSWER_IT = ""
"""No task: a spoken turn is its own request."""
TASKS = (
    ("task_answer", ANSWER_IT),
    ("task_write", prompts.TRANSCRIBE),
    ("task_summarise", prompts.SUMMARISE),
    *(
        (f"task_{language.lower()}", prompts.translate(language))
        for language in ("French", "German", "Spanish")
    ),
)
"""What can be done with a recording: the key of its label, and what is asked."""


@dataclass(frozen=True)
class Example:
    """A clip that a visitor can ask with one press."""

    path: Path
    words: str


@dataclass(frozen=True)
class Page:
    """The components that events read and write."""

    visitor: gr.Textbox
    """The name of the browser's tab, by which its conversation is kept."""
    ticket: gr.State
    """Changes when a turn is to be answered: all buttons lead to one run of the model."""
    edited: gr.State
    state_line: gr.HTML
    chat: gr.Chatbot
    correction: gr.Row
    words: gr.Textbox
    correct: gr.Button
    mic: gr.Audio
    box: gr.Textbox
    upload: gr.UploadButton
    task: gr.Dropdown
    rival: gr.Dropdown
    compared: gr.HTML
    swap: gr.Button
    stop: gr.Button
    retry: gr.Button
    undo: gr.Button
    clear: gr.Button
    examples: list[gr.Button]
    load_again: gr.Button
    save: gr.Button
    load: gr.UploadButton
    saved: gr.File
    speech: gr.HTML
    talk: gr.HTML
    """Nothing of it is shown: it carries the open microphone's sound, and asks for its turns."""
    correcting: gr.HTML
    """Nothing of it is shown: it tells which words of an earlier recording were put right."""
    redraw: gr.Button
    """Pressed by the page itself, when it may show what is old."""
    turn: gr.Textbox
    """Whose turn ended at the open microphone, its name, and how many pieces of the reply before it
    were said if it was interrupted."""
    panel: Panel

    @property
    def controls(self) -> Controls:
        """The settings of a turn."""
        return self.panel.controls


def lay_out(models: list[str], examples: list[Example], listen: Callable[[Any], Any]) -> Page:
    """Place every component in the open Blocks; `listen` is given the open microphone's sound."""
    with gr.Row(elem_id="top"):
        gr.HTML(words.filled(texts.HEADER), elem_id="header")
        state_line = gr.HTML(texts.STARTING, elem_id="state-line")
        load_again = gr.Button(
            words.label("load_again"), size="sm", visible=False, elem_id="load-again"
        )
    placed: dict[str, Any] = {"state_line": state_line, "load_again": load_again, "chat": _chat()}
    gr.HTML(texts.CAPTIONS, elem_id="captions-line")
    with gr.Row(elem_id="beneath"):
        gr.HTML(words.filled(texts.VOICE_BAR), min_height=0)
        placed |= _actions()
    placed |= _comparison() | _correction()
    gr.HTML(texts.MICROPHONE_TROUBLE.format(max_s=RECORDING_LIMITS.max_s))
    placed |= _asking()
    placed["examples"] = _examples(examples)
    placed |= _wishes(models)
    placed["panel"] = lay_out_settings(models)
    placed |= lay_out_saving()
    with gr.Accordion(words.label("mic_test"), open=False, elem_id="mic-test-panel"):
        gr.HTML(words.filled(texts.MICROPHONE_TEST))
    with gr.Accordion(words.label("about"), open=True, elem_id="about"):
        gr.HTML(words.filled(texts.ABOUT), elem_classes="prose")
    gr.HTML(words.filled(texts.KEYS.format(languages=_languages())))
    return Page(
        visitor=gr.Textbox("", visible="hidden", elem_id="visitor"),
        ticket=gr.State(0),
        edited=gr.State(None),
        speech=_speech(),
        talk=_talk(listen),
        correcting=gr.HTML(
            value="",
            html_template="<span></span>",
            js_on_load="window.audiochat.insight.correct = (said) => trigger('click', said);",
            visible="hidden",
            elem_id="correcting",
        ),
        redraw=gr.Button("", visible="hidden", elem_id="redraw"),
        turn=gr.Textbox("", visible="hidden", elem_id="turn"),
        **placed,
    )


def _actions() -> dict[str, gr.Button]:
    """What can be done with the conversation so far."""
    with gr.Row(elem_id="actions"):
        return {
            "stop": gr.Button(
                words.label("stop"),
                variant="stop",
                interactive=False,
                size="sm",
                min_width=60,
                elem_id="stop",
            ),
            "retry": gr.Button(words.label("retry"), size="sm", min_width=60, elem_id="retry"),
            "undo": gr.Button(words.label("undo"), size="sm", min_width=60, elem_id="undo"),
            "clear": gr.Button(words.label("clear"), size="sm", min_width=60, elem_id="clear"),
        }


def _correction() -> dict[str, Any]:
    """Where the words that were heard are put right; shown after a spoken turn."""
    with gr.Row(visible=False, elem_id="correction") as row:
        heard = gr.Textbox(
            label=words.label("correct_words"),
            lines=1,
            max_lines=4,
            scale=5,
            elem_id="words",
        )
        correct = gr.Button(
            words.label("ask_again"), variant="primary", scale=1, min_width=120, elem_id="correct"
        )
    return {"correction": row, "words": heard, "correct": correct}


def _comparison() -> dict[str, Any]:
    """The same turn as two models answered it; shown where one is compared with another."""
    return {
        "compared": gr.HTML("", visible=False, elem_id="compared"),
        "swap": gr.Button(
            words.label("swap"), size="sm", visible=False, min_width=200, elem_id="swap"
        ),
    }


def _asking() -> dict[str, Any]:
    """The three ways to ask: aloud, in writing, by a file."""
    with gr.Row(elem_id="speaking"):
        mic = gr.Audio(
            sources=["microphone"],
            type="filepath",
            label=words.label("record"),
            show_label=False,
            elem_id="mic",
            # The browser makes the sound what the ear takes: a third of the bytes to send.
            waveform_options=gr.WaveformOptions(
                show_recording_waveform=True, sample_rate=SAMPLE_RATE
            ),
        )
        gr.HTML(words.filled(texts.HANDS_FREE))
    with gr.Row(elem_id="typing", equal_height=True):
        box = gr.Textbox(
            placeholder=words.label("type_hint"),
            label=words.label("type"),
            show_label=False,
            submit_btn=True,
            lines=1,
            max_lines=6,
            scale=5,
            elem_id="box",
        )
        upload = gr.UploadButton(
            words.label("upload"),
            file_types=["audio"],
            scale=1,
            min_width=160,
            elem_id="upload",
        )
    return {"mic": mic, "box": box, "upload": upload}


def _wishes(models: list[str]) -> dict[str, gr.Dropdown]:
    """What is to be done with a recording, and which other model answers too."""
    with gr.Row():
        task = gr.Dropdown(
            [(words.label(key), task) for key, task in TASKS],
            value=ANSWER_IT,
            label=words.label("task"),
            elem_id="task",
        )
        rival = gr.Dropdown(
            [(words.label("rival_none"), ""), *models],
            value="",
            label=words.label("rival"),
            elem_id="rival",
        )
    return {"task": task, "rival": rival}


def _chat() -> gr.Chatbot:
    return gr.Chatbot(
        label=words.label("conversation"),
        show_label=False,
        elem_id="chat",
        height="clamp(260px, 100dvh - 510px, 640px)",
        buttons=["copy"],
        editable="user",
        placeholder=texts.PLACEHOLDER.format(welcome=words.label("welcome")),
        allow_tags=False,
        latex_delimiters=[],
        feedback_options=None,
        layout="bubble",
    )


def _examples(examples: list[Example]) -> list[gr.Button]:
    if not examples:
        return []
    with gr.Row(elem_id="examples"):
        gr.HTML(words.filled(texts.EXAMPLES), elem_id="examples-label")
        return [
            gr.Button(f"▶ {example.words}", size="sm", min_width=120, elem_classes="example")
            for example in examples
        ]


def _languages() -> str:
    """The languages to choose from, each in its own words."""
    names = words.LANGUAGES.items()
    return "".join(f'<option value="{key}" lang="{key}">{name}</option>' for key, name in names)


def _speech() -> gr.HTML:
    """The pieces of the spoken reply, handed to the page's own player; nothing of it is shown."""
    return gr.HTML(
        value="",
        html_template="<span></span>",
        js_on_load="watch('value', () => window.audiochat.player.take(props.value));",
        visible="hidden",
        elem_id="speech",
    )


def _talk(follow: Callable[[Any], Any]) -> gr.HTML:
    """The open microphone's way to this process: sound by `follow`, turns by a click."""

    def listen(sent: Any) -> Any:  # Gradio marks the function, which a bound method forbids
        return follow(sent)

    return gr.HTML(
        value="",
        html_template="<span></span>",
        js_on_load="""
            window.audiochat.talk.server = server;
            window.audiochat.talk.ask = () => trigger('click');
            watch('value', () => window.audiochat.talk.taken());
        """,
        server_functions=[listen],
        visible="hidden",
        elem_id="talk-way",
    )
