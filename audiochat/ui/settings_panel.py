"""The settings panel: its components, what they say of a turn, and how they stay in the browser."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr
from gradio.events import Dependency

from audiochat.errors import AudioChatError
from audiochat.prompts import DEFAULT_SYSTEM_PROMPT, PRESETS
from audiochat.sampling import MAX_SEED, Sampling
from audiochat.ui import render, texts, words
from audiochat.ui.answering import Answering, Settings
from audiochat.ui.wiring import QUIET
from audiochat.voices.base import FACTOR_RANGE, VoiceStyle

VOICE_OFF = "off"
ANY_SEED = -1
"""Gradio shows an empty number as 0, which is a seed of its own."""

LONGEST_PROMPT = 4_000
"""Characters of a system prompt that are kept in the browser."""

STORAGE_KEY, VOICE_KEY = "audiochat.settings", "audiochat.voice"
_OWN_WORDS = "own words"
PRESET_KEYS = {
    "Short and factual": "preset_factual",
    "Friendly companion": "preset_friendly",
    "English teacher": "preset_teacher",
    "Storyteller": "preset_storyteller",
    "Plain assistant": "preset_plain",
    _OWN_WORDS: "preset_own",
}
"""The label of each preset, and of a prompt that is none of them."""


@dataclass(frozen=True)
class Controls:
    """The settings of a turn, in the order in which `settings_of` takes them."""

    model: gr.Dropdown
    system_prompt: gr.Textbox
    temperature: gr.Slider
    top_p: gr.Slider
    repetition_penalty: gr.Slider
    seed: gr.Number
    max_new_tokens: gr.Slider
    voice: gr.Dropdown
    speed: gr.Slider
    pitch: gr.Slider

    def all(self) -> list[Any]:
        """Every one of them, in that order."""
        return [getattr(self, field.name) for field in fields(self)]

    def kept(self) -> list[Any]:
        """Those that stay in the browser; which voices there are is known only later."""
        return [control for control in self.all() if control is not self.voice]


@dataclass(frozen=True)
class Panel:
    """The settings, and the button beside them."""

    controls: Controls
    preset: gr.Dropdown
    preview: gr.Button
    voice_kept: gr.BrowserState
    """The voice chosen last; it comes back once the names of the voices are known."""


def settings_of(
    model: str,
    system_prompt: str,
    temperature: float,
    top_p: float,
    repetition_penalty: float,
    *rest: Any,
) -> Settings:
    """Read the settings panel, given in the order of `Controls`.

    Raises:
        AudioChatError: a value is out of range.
    """
    seed, max_new_tokens, voice, speed, pitch = rest
    sampling = Sampling(
        temperature=temperature,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        seed=None if seed is None or seed == ANY_SEED else int(seed),
        max_new_tokens=int(max_new_tokens),
    )
    style = None if voice == VOICE_OFF else VoiceStyle(voice or "", speed, pitch)
    return Settings(model, system_prompt, sampling, style)


def lay_out_settings(models: list[str]) -> Panel:
    """Place the panel in the open Blocks."""
    low, high = FACTOR_RANGE
    with gr.Accordion(words.label("settings"), open=False, elem_id="settings"):
        with gr.Row():
            model = gr.Dropdown(models, value=models[0], label=words.label("model"))
            voice = gr.Dropdown(
                [(words.label("voice_default"), ""), (words.label("voice_off"), VOICE_OFF)],
                value="",
                label=words.label("voice"),
            )
        with gr.Row(equal_height=True):
            speed = gr.Slider(low, high, 1.0, step=0.05, label=words.label("speed"))
            pitch = gr.Slider(low, high, 1.0, step=0.05, label=words.label("pitch"))
            preview = gr.Button(words.label("preview"), size="sm", min_width=120, elem_id="preview")
        preset = gr.Dropdown(
            [(words.label(key), name) for name, key in PRESET_KEYS.items()],
            value=next(iter(PRESETS)),
            label=words.label("preset"),
        )
        system_prompt = gr.Textbox(
            DEFAULT_SYSTEM_PROMPT, label=words.label("system_prompt"), lines=2
        )
        drawing = _drawing()
        gr.HTML(words.filled(texts.SETTINGS_ASIDE))
    controls = Controls(model, system_prompt, voice=voice, speed=speed, pitch=pitch, **drawing)
    return Panel(controls, preset, preview, _stored("", VOICE_KEY))


def _drawing() -> dict[str, Any]:
    """Place what says how the model draws its words."""
    default = Sampling()
    with gr.Row():
        temperature = gr.Slider(
            0.0, 2.0, default.temperature, step=0.05, label=words.label("temperature")
        )
        top_p = gr.Slider(0.05, 1.0, default.top_p, step=0.05, label=words.label("top_p"))
        repetition_penalty = gr.Slider(
            1.0, 2.0, default.repetition_penalty, step=0.05, label=words.label("repetition_penalty")
        )
    with gr.Row():
        seed = gr.Number(
            ANY_SEED, label=words.label("seed"), precision=0, minimum=ANY_SEED, maximum=MAX_SEED
        )
        max_new_tokens = gr.Slider(
            16, 1024, default.max_new_tokens, step=16, label=words.label("max_new_tokens")
        )
    return {
        "temperature": temperature,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
        "seed": seed,
        "max_new_tokens": max_new_tokens,
    }


def connect_settings(demo: gr.Blocks, panel: Panel) -> Dependency:
    """Let presets write the system prompt, and let the settings come back with the visitor.

    Returns:
        The event that brings them back: after it the controls hold what the visitor chose.
    """
    prompt = panel.controls.system_prompt
    panel.preset.input(
        lambda name: PRESETS.get(name, gr.skip()), panel.preset, prompt, queue=False, **QUIET
    )
    prompt.change(preset_of, prompt, panel.preset, queue=False, **QUIET)
    stored = _stored(None, STORAGE_KEY)
    kept = panel.controls.kept()
    gr.on(
        [control.change for control in kept],
        lambda *values: list(values),
        kept,
        stored,
        queue=False,
        trigger_mode="always_last",
        **QUIET,
    )
    back = demo.load(restored(kept), stored, kept, queue=False, **QUIET)
    voice = panel.controls.voice
    voice.input(lambda name: name, voice, panel.voice_kept, queue=False, **QUIET)
    demo.load(voice_off_again, panel.voice_kept, voice, queue=False, **QUIET)
    return back


def _stored(value: Any, key: str) -> gr.BrowserState:
    # Not a secret: the key only keeps what is stored readable after the program was restarted.
    return gr.BrowserState(value, storage_key=key, secret=key)


def voice_off_again(kept: Any) -> Any:
    """What the voice's control is set to while the voices are still loading."""
    return VOICE_OFF if kept == VOICE_OFF else gr.skip()


def voice_again(names: Iterable[str], kept: Any) -> Any:
    """What the control is set to once they are known: the voice chosen in an earlier visit."""
    return kept if isinstance(kept, str) and kept in (VOICE_OFF, *names) else gr.skip()


def connect_preview(panel: Panel, player: gr.HTML, answering: Answering) -> None:
    """Let the button say a sentence in the voice chosen, by the page's player."""

    def preview(*controls: Any) -> str:
        try:
            speech = answering.preview(settings_of(*controls))
        except AudioChatError as error:
            gr.Warning(str(error))
            return ""
        return "\n".join([str(time.time_ns()), render.sound_line(speech)])

    panel.preview.click(
        preview,
        panel.controls.all(),
        player,
        concurrency_id="preview",
        **QUIET,
    )


def preset_of(prompt: str) -> str:
    """The name of the preset with these words."""
    return next((name for name, words in PRESETS.items() if words == prompt), _OWN_WORDS)


def restored(kept: list[Any]) -> Any:
    """A function from what the browser stored to the values of these controls.

    What is no value of a control (an older page's, or meddled with) leaves it as it is.
    """

    def restore(stored: Any) -> list[Any]:
        values = stored if isinstance(stored, list) and len(stored) == len(kept) else []
        pairs: Iterable[tuple[Any, Any]] = zip(kept, values, strict=False)
        usable = [value if _fits(control, value) else gr.skip() for control, value in pairs]
        return usable or [gr.skip() for _ in kept]

    return restore


def _fits(control: Any, value: Any) -> bool:
    if isinstance(control, gr.Textbox):
        return isinstance(value, str) and len(value) <= LONGEST_PROMPT
    if isinstance(control, gr.Dropdown):
        return value in [choice for _, choice in control.choices]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and control.minimum <= value <= control.maximum
