"""The default voice: espeak-ng, from the library and data inside the espeakng-loader package.

No system package is needed and nothing is fetched. espeak-ng is under the GPL-3; it is loaded at
run time and is no part of this package.
"""

import ctypes
import math
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np

from audiochat.audio import Waveform
from audiochat.errors import VoiceError
from audiochat.voices.base import (
    DEFAULT_STYLE,
    VoiceStyle,
    near_names,
    nothing_spoken,
    pronounceable,
    spoken,
)

DEFAULT_VOICE = "en-us"

MAX_SPEECH_S = 600
"""A script that espeak-ng can only spell takes up to a second a character."""

ACCENTS = {
    "en-us": "American",
    "en-gb": "British",
    "en-gb-x-rp": "British, Received Pronunciation",
    "en-gb-scotland": "Scottish",
    "en-gb-x-gbclan": "Lancashire",
    "en-gb-x-gbcwmd": "West Midlands",
    "en-029": "Caribbean",
    "en-us-nyc": "New York City",
}
"""espeak-ng's English accents. Its other languages can be asked for by their code, too."""

RECOMMENDED = (
    "en-us",
    "en-us+f3",
    "en-us+Annie",
    "en-us+Michael",
    "en-gb",
    "en-gb+f2",
    "en-gb-x-rp+f4",
    "en-gb-scotland+m3",
)

_WORDS_PER_MINUTE = 160  # espeak-ng's own 175 is brisk for something heard once

# Measured: with pitch and range moved together, the fundamental goes as the 0.83th power of what
# the scale promises (an octave in 50 steps), from 0.6 to 1.75 times; 60 steps make up for it.
_PITCH_STEPS_PER_OCTAVE = 60

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_IPA = 2
_FROM_CHARACTER = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_CONTINUE, _STOP = 0, 1
_MAX_PATH_BYTES = 120  # its buffer is 160 bytes, for the names of the files in it as well
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class _ListedVoice(ctypes.Structure):
    """The start of `espeak_VOICE` in espeak-ng's speak_lib.h, which is all that is read here."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),  # one byte of priority, then the language
        ("identifier", ctypes.c_char_p),
    )


class _Library:
    """espeak-ng's C library. Its state is the process's: there is one, behind one lock."""

    def __init__(self) -> None:
        """Load the library, and the names of its languages and variants.

        Raises:
            VoiceError: The library or its data cannot be loaded.
        """
        try:
            data = Path(espeakng_loader.get_data_path())
            self._c = ctypes.CDLL(espeakng_loader.get_library_path())
        except (OSError, RuntimeError) as error:
            raise _not_loaded(str(error)) from error
        self._c.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._c.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_ListedVoice))
        path = str(self._short(data)).encode()
        self.sample_rate: int = self._c.espeak_Initialize(_SYNCHRONOUS, 0, path, _DO_NOT_EXIT)
        if self.sample_rate <= 0:
            raise _not_loaded(f"its data in {data} cannot be read")
        # Some variants waver at random; it seeds that with the clock, and no sound would repeat.
        self._c.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._lock = threading.Lock()
        self._chunks: list[np.ndarray] = []
        self._room = 0
        self._on_sound = _CALLBACK(self._take)  # C keeps a pointer to it, so it must live on
        self._c.espeak_SetSynthCallback(self._on_sound)
        self._files = self._list_languages()
        self.languages = sorted(self._files)
        self.variants = sorted(path.name for path in (data / "voices" / "!v").iterdir())

    def _short(self, data: Path) -> Path:
        """The data's folder, or a link to it where espeak-ng would cut its path off."""
        if len(str(data).encode()) <= _MAX_PATH_BYTES:
            return data
        self._link_folder = tempfile.TemporaryDirectory()  # goes with the process
        link = Path(self._link_folder.name) / data.name
        link.symlink_to(data)
        return link

    def synthesize(self, text: str, voice: str, *, speed: float, pitch: float) -> np.ndarray:
        """Samples (N,) int16 of the text in a voice that `check` let pass.

        Raises:
            VoiceError: It would be longer than MAX_SPEECH_S, or espeak-ng refused.
        """
        steps = 50 + _PITCH_STEPS_PER_OCTAVE * math.log2(pitch)
        steps = min(max(steps, 0), 100)
        utf8 = text.encode("utf-8", "ignore")
        with self._lock:
            self._select(voice)
            self._c.espeak_SetParameter(_RATE, round(_WORDS_PER_MINUTE * speed), 0)
            self._c.espeak_SetParameter(_PITCH, round(steps), 0)
            # The range is not moved with the pitch, and would flatten a high voice.
            self._c.espeak_SetParameter(_RANGE, min(round(50 * 2 ** ((steps - 50) / 50)), 100), 0)
            self._chunks, self._room = [], MAX_SPEECH_S * self.sample_rate
            size = ctypes.c_size_t(len(utf8) + 1)
            failed = self._c.espeak_Synth(utf8, size, 0, _FROM_CHARACTER, 0, _UTF8, None, None)
            chunks, self._chunks = self._chunks, []
            full = self._room <= 0
        if failed:
            raise VoiceError(f"espeak-ng refused the text (its error {failed}). Try it in pieces.")
        if full:
            raise VoiceError(
                f"The text takes over {MAX_SPEECH_S // 60} minutes to say: give it in pieces."
            )
        return np.concatenate(chunks) if chunks else np.zeros(0, np.int16)

    def phonemes(self, text: str, language: str) -> str:
        """The text in the letters of the IPA, "_" between them: what `espeak-ng --ipa=1` prints."""
        buffer = ctypes.create_string_buffer(text.replace("\0", " ").encode("utf-8", "ignore"))
        rest = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses: list[str] = []
        with self._lock:
            self._select(language)
            while rest.value:
                mode = _IPA | ord("_") << 8
                clause = self._c.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, mode)
                clauses.append((clause or b"").decode("utf-8", "ignore").strip())
        return "".join(clauses)

    def check(self, voice: str) -> str:
        """The voice, language and variant as espeak-ng writes them.

        Raises:
            VoiceError: It has no such language or variant.
        """
        language, plus, variant = voice.partition("+")
        if language not in self.languages:
            near = near_names(language, self.languages)
            raise VoiceError(f"espeak-ng has no voice {voice!r}.{near} An example: en-gb+f2.")
        if plus and variant not in self.variants:  # espeak-ng would silently leave it out
            near = near_names(variant, self.variants)
            raise VoiceError(f"espeak-ng has no variant {variant!r}.{near} An example: en-gb+f2.")
        return voice

    def _select(self, voice: str) -> None:
        language, plus, variant = voice.partition("+")
        name = self._files[language] + (plus + variant).encode()
        if self._c.espeak_SetVoiceByName(name):
            raise VoiceError(f"espeak-ng cannot load its voice {voice!r}: try another one.")

    def _list_languages(self) -> dict[str, bytes]:
        """Language -> the name that selects it: "en-gb" itself selects nothing, its file does."""
        files: dict[str, bytes] = {}
        for pointer in self._c.espeak_ListVoices(None):
            if not pointer:
                break
            language = pointer.contents.languages[1:].decode()
            files.setdefault(language, pointer.contents.identifier.rpartition(b"/")[2])
        return files

    def _take(self, samples: Any, n_samples: int, _events: object) -> int:
        """Keep a piece of sound; espeak-ng calls it in the thread that holds the lock."""
        if n_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
            self._room -= n_samples
        return _CONTINUE if self._room > 0 else _STOP


@cache
def _library() -> _Library:
    """The library of this process."""
    return _Library()


def _not_loaded(why: str) -> VoiceError:
    return VoiceError(
        f"The voice espeak cannot be loaded: {why}. Install it again with "
        "`pip install --force-reinstall espeakng-loader`, or turn the voice off."
    )


class EspeakVoice:
    """espeak-ng as a Voice, at 22.05 kHz. Two threads that speak take turns."""

    name = "espeak"

    def __init__(self, voice: str = DEFAULT_VOICE) -> None:
        """Load the library, and take the voice used when a style names none.

        Raises:
            VoiceError: The library cannot be loaded, or it has no such voice.
        """
        self._library = _library()
        self._default = self._library.check(voice)

    def voices(self) -> list[str]:
        """The recommended voices, then the other accents, then the variants of the American one."""
        variants = [f"{DEFAULT_VOICE}+{variant}" for variant in self._library.variants]
        return list(dict.fromkeys([self._default, *RECOMMENDED, *ACCENTS, *variants]))

    def speak(self, text: str, style: VoiceStyle = DEFAULT_STYLE) -> Waveform:
        """Say the text; a pitch under 0.6 or over 1.75 is spoken as these.

        Raises:
            VoiceError: The text is too long, or the voice is unknown.
        """
        voice = self._library.check(style.voice) if style.voice else self._default
        said = pronounceable(text)
        if not said:
            return nothing_spoken(self._library.sample_rate)
        samples = self._library.synthesize(said, voice, speed=style.speed, pitch=style.pitch)
        return spoken(samples / np.float32(32_768), self._library.sample_rate, said)

    def close(self) -> None:
        """Nothing to give back: other voices may be using the library."""


def voice_label(voice: str) -> str:
    """A voice for people to read: "British, female 2" for "en-gb+f2"; others stay as they are."""
    language, _, variant = voice.partition("+")
    if language not in ACCENTS:
        return voice
    kind = {"f": "female ", "m": "male "}.get(variant[:1], "") if variant[1:].isdigit() else ""
    return ", ".join(filter(None, [ACCENTS[language], f"{kind}{variant[1:] if kind else variant}"]))


def phonemes(text: str, language: str) -> str:
    """The pronunciation of a text in the IPA, one "_" between two sounds, for phoneme models.

    Raises:
        VoiceError: The library cannot be loaded, or it has no such language.
    """
    library = _library()
    return library.phonemes(text, library.check(language))


def load(detail: str = "", *, accept_cpml: bool = False) -> EspeakVoice:
    """Load espeak-ng with the voice `detail`, such as "en-gb+f2"; it has no licence to accept."""
    return EspeakVoice(detail or DEFAULT_VOICE)
