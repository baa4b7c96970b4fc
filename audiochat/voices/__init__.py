"""The voices that read replies aloud: a table of engines, each loaded when it is asked for.

Importing this package imports neither torch nor Coqui.
"""

from importlib import import_module

from audiochat import torchaudio_guard
from audiochat.errors import VoiceError
from audiochat.voices.base import Voice, VoiceStyle, near_names

__all__ = ["VOICES", "Voice", "VoiceStyle", "engine_of", "load_voice", "names"]

torchaudio_guard.guard()  # before any engine here imports torchaudio

OFF = "off"

VOICES = {
    "espeak": "audiochat.voices.espeak:load",
    "coqui": "audiochat.voices.coqui:load",
}
"""Engine -> the function that loads it, as module:function."""


def names() -> list[str]:
    """The engines that `load_voice` knows, the default first, and "off"."""
    return [*VOICES, OFF]


def engine_of(spec: str) -> tuple[str, str]:
    """The engine that a setting names, and the rest of the setting; loads nothing.

    Raises:
        VoiceError: The engine is unknown.
    """
    engine, _, detail = spec.partition(":")
    if spec.startswith("tts_models/"):
        engine, detail = "coqui", spec
    if spec != OFF and engine not in VOICES:
        raise VoiceError(
            f"There is no voice {spec!r}.{near_names(engine, names())} "
            f"The engines are {', '.join(names())}; a Coqui model starts with tts_models/."
        )
    return engine, detail


def load_voice(spec: str = "espeak", *, accept_cpml: bool = False) -> Voice | None:
    """Load the voice that a setting names.

    Args:
        spec: "espeak", "espeak:en-gb+f3", "coqui:tts_models/en/ljspeech/vits" (or the name alone),
            "coqui:FOLDER" with a checkpoint and its config.json, or "off".
        accept_cpml: The person has accepted the non-commercial licence of XTTS's weights.

    Returns:
        The voice, or None for "off".

    Raises:
        VoiceError: The engine or the voice is unknown, or cannot be loaded here.
    """
    if spec == OFF:
        return None
    engine, detail = engine_of(spec)
    module_name, _, function_name = VOICES[engine].partition(":")
    try:
        load = getattr(import_module(module_name), function_name)
        voice: Voice = load(detail, accept_cpml=accept_cpml)
    except ImportError as error:
        raise VoiceError(
            f"The voice {engine!r} cannot be loaded, for a package is missing or does not fit: "
            f"{error}. Install what it needs with `pip install -r requirements.txt`."
        ) from error
    return voice
