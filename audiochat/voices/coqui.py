"""Coqui TTS as the neural voice: a released model by name, or a checkpoint in a folder.

Importing this module imports torch and takes seconds: `audiochat.voices` does it when asked.
Weights are read as tensors only; what Coqui would read as a pickle is refused.
"""

import json
import logging
import os
import pickle
import re
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import torch
from TTS.api import TTS
from TTS.tts.utils.text.phonemizers import PHONEMIZERS, ESpeak, _register_phonemizers
from TTS.utils.manage import ModelManager

from audiochat.audio import Waveform
from audiochat.errors import VoiceError
from audiochat.voices import espeak
from audiochat.voices.base import (
    DEFAULT_STYLE,
    VoiceStyle,
    near_names,
    nothing_spoken,
    pronounceable,
    spoken,
)

NAME_PREFIX = "tts_models/"

_XTTS = "xtts"

_LICENCE = (
    "The weights of XTTS are under the Coqui Public Model License: no commercial use, of what they "
    "say either. Read https://tts-hub.github.io/cpml, and start with --accept-cpml if you accept."
)
_WARM_UP = "One, 2."  # the first number read takes seconds, as does the first use of a vocoder
_AGREED = "COQUI_TOS_AGREED"  # Coqui asks on the terminal unless this variable is "1"

_LOAD_ERRORS = (
    OSError,  # files, and everything that requests and the hub client raise
    RuntimeError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    tarfile.TarError,
)
_SPEAK_ERRORS = (RuntimeError, ValueError, LookupError, AttributeError, TypeError, AssertionError)

_log = logging.getLogger(__name__)


class _QuietHandler(logging.Handler):
    """Passes what Coqui warns of on to our log, for the curious: none of it asks for action."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.info("Coqui: %s", record.getMessage())


class _EmbeddedEspeak(ESpeak):  # type: ignore[misc]
    """Coqui's espeak phonemizer over the library of the voice espeak, where no program is."""

    def __init__(self, language: str, **_settings: object) -> None:
        # The parent's own constructor looks for the program.
        language = {"en": "en-us", "zh-cn": "cmn"}.get(language, language)
        super(ESpeak, self).__init__(language, keep_puncs=True)

    @classmethod
    def is_available(cls) -> bool:
        """Whether it works here: where espeakng-loader does, and that was just imported."""
        return True

    def is_supported_language(self, language: str) -> bool:
        """Whether espeak-ng has the language; if not, its error is better than Coqui's."""
        return bool(espeak.phonemes("a", language))

    def phonemize_espeak(self, text: str, separator: str = "|", *, tie: bool = False) -> str:
        """The pronunciation of a text without punctuation; Coqui never asks for ties."""
        # A foreign word is put between the codes of its language and of the text's.
        pronounced = re.sub(r"\(.+?\)", "", espeak.phonemes(text, self.language))
        return pronounced.replace("_", separator)

    def version(self) -> str:
        """Whose library it is."""
        return "espeakng-loader"


class CoquiVoice:
    """A Coqui TTS model as a Voice, at the model's own sample rate. It has no pitch to change."""

    def __init__(self, name: str, tts: TTS) -> None:
        """Take a loaded model, and move it to the GPU if there is one."""
        self.name = f"coqui:{name}"
        self._tts: TTS | None = tts.to("cuda" if torch.cuda.is_available() else "cpu")
        self._lock = threading.Lock()
        self._speakers: list[str] = list(tts.speakers or [])
        languages = list(tts.languages or [])
        self._language = "en" if "en" in languages else next(iter(languages), None)
        self._sample_rate: int = tts.synthesizer.output_sample_rate

    def voices(self) -> list[str]:
        """The model's speakers; empty for a model of a single one."""
        return list(self._speakers)

    def speak(self, text: str, style: VoiceStyle = DEFAULT_STYLE) -> Waveform:
        """Say the text, faster or slower where the model can (VITS, Glow-TTS, FastPitch, XTTS).

        Raises:
            VoiceError: The text is too long, the speaker is unknown, or the model failed.
        """
        speaker = self._speaker(style.voice)
        said = pronounceable(text)
        if not said:
            return nothing_spoken(self._sample_rate)
        try:
            with self._lock:
                samples = self._synthesize(said, speaker, style.speed)
        except _SPEAK_ERRORS as error:
            raise VoiceError(
                f"The voice {self.name} failed on {said[:40]!r} ({error}). It may know none of "
                "these letters: try another voice."
            ) from error
        return spoken(np.asarray(samples, np.float32).reshape(-1), self._sample_rate, said)

    def close(self) -> None:
        """Drop the model, when it has finished what it is saying."""
        with self._lock:
            self._tts = None

    def _speaker(self, voice: str) -> str | None:
        if voice and voice not in self._speakers:
            near = near_names(voice, self._speakers)
            count = len(self._speakers) or "only one"
            raise VoiceError(f"{self.name} has no speaker {voice!r}.{near} It has {count}.")
        return voice or next(iter(self._speakers), None)

    def _synthesize(self, text: str, speaker: str | None, speed: float) -> list[float]:
        if self._tts is None:
            raise VoiceError(f"The voice {self.name} is closed. Load it again.")
        model = self._tts.synthesizer.tts_model
        settings = {"speed": speed} if model.config.model == _XTTS else {}
        length_scale = getattr(model, "length_scale", None)
        if length_scale is not None:
            model.length_scale = length_scale / speed
        try:
            samples: list[float] = self._tts.tts(
                text, speaker=speaker, language=self._language, **settings
            )
        finally:
            if length_scale is not None:
                model.length_scale = length_scale
        return samples


def load(detail: str = "", *, accept_cpml: bool = False) -> CoquiVoice:
    """Load a released model (fetched at the first time) or a checkpoint of one's own.

    Args:
        detail: "tts_models/..." or a folder with one checkpoint (*.pth) and its config.json.
        accept_cpml: The person has accepted the non-commercial licence of XTTS's weights.

    Raises:
        VoiceError: The model is unknown, is not at hand and cannot be fetched, cannot be read, is
            read in an unsafe way, or needs a licence that was not accepted.
    """
    _log_quietly()
    _use_embedded_espeak()
    if detail.startswith(NAME_PREFIX):
        voice = CoquiVoice(detail, _load_released(detail, accept_cpml))
    elif detail and Path(detail).is_dir():
        voice = CoquiVoice(Path(detail).name, _load_folder(Path(detail), accept_cpml))
    else:
        raise VoiceError(
            f"Coqui has no model {detail!r}, and no folder has that name. Give a name such as "
            "coqui:tts_models/en/ljspeech/vits, or a folder with a checkpoint and its config.json."
        )
    voice.speak(_WARM_UP)
    return voice


def _load_released(name: str, accept_cpml: bool) -> TTS:
    """Fetch a released model if it is not at hand, and load it."""
    manager = ModelManager()
    known = manager.list_tts_models()
    if name not in known and not re.fullmatch(r"tts_models/[\w-]+/fairseq/vits", name):
        raise VoiceError(f"Coqui has no model {name!r}.{near_names(name, known)}")
    _check_kind(name.rpartition("/")[2].partition("_")[0], accept_cpml)
    try:
        return TTS(name, progress_bar=True)
    except OSError as error:
        raise VoiceError(
            f"The voice {name} is not on this machine and could not be fetched, for its hub "
            "(github.com or huggingface.co) cannot be reached. Connect once and start again, copy "
            "its files here and give their folder as coqui:FOLDER, or use the voice espeak."
        ) from error
    except _LOAD_ERRORS as error:
        raise VoiceError(
            f"The voice {name} cannot be read ({error}). If its download was cut off, delete its "
            f"folder under {manager.output_prefix} and start again."
        ) from error


def _load_folder(folder: Path, accept_cpml: bool) -> TTS:
    """Load a checkpoint of one's own."""
    config_path = folder / "config.json"
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
        kind, audio = config["model"], config["audio"]
        unsafe = audio.get("stats_path")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise VoiceError(
            f"{config_path} is no configuration of a Coqui model ({error}). Put the config.json "
            "of the checkpoint into the folder."
        ) from error
    _check_kind(kind, accept_cpml)
    if unsafe:
        raise VoiceError(
            f"{config_path} names statistics (stats_path), which Coqui reads as a pickle: such a "
            "file can run any program. Use a released model, or one trained without them."
        )
    checkpoint = folder if kind == _XTTS else _checkpoint(folder)
    try:
        return TTS(model_path=checkpoint, config_path=config_path, progress_bar=False)
    except _LOAD_ERRORS as error:
        raise VoiceError(
            f"The checkpoint {checkpoint} cannot be loaded ({str(error)[:200]}). Check that it is "
            "whole, holds tensors only, and that config.json is its own."
        ) from error


def _checkpoint(folder: Path) -> Path:
    """The one checkpoint of a folder, or the one with the usual name."""
    found = sorted(folder.glob("*.pth"))
    usual = [path for path in found if path.name in ("model.pth", "best_model.pth")]
    if len(found) != 1 and len(usual) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise VoiceError(
            f"{folder} must hold one checkpoint (*.pth), or one named model.pth; found: {names}."
        )
    return (usual or found)[0]


def _check_kind(kind: str, accept_cpml: bool) -> None:
    """Refuse Bark, and XTTS without its licence; Coqui would ask for that on the terminal."""
    if kind == "bark":
        raise VoiceError(
            "Bark's weights are read as a pickle, which can run any program, so it is not offered. "
            "Take another model, such as tts_models/en/ljspeech/vits."
        )
    if kind == _XTTS:
        if not accept_cpml:
            raise VoiceError(_LICENCE)
        os.environ[_AGREED] = "1"


def _use_embedded_espeak() -> None:
    """Give phoneme models espeak-ng's library where its program is not installed."""
    if not ESpeak.is_available():
        _register_phonemizers()  # Coqui's own table, which it would else fill over ours later
        PHONEMIZERS[ESpeak.name()] = _EmbeddedEspeak


def _log_quietly() -> None:
    """Keep Coqui's warnings off the terminal, where a reply is being written."""
    logger = logging.getLogger("TTS")
    logger.propagate = False
    if not any(isinstance(handler, _QuietHandler) for handler in logger.handlers):
        logger.addHandler(_QuietHandler())
