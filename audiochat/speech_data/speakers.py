"""The engines that speak text lines, each with speakers drawn at random: voice, speed and pitch."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audiochat.audio import Waveform
from audiochat.errors import DataError, VoiceError
from audiochat.speech_data import flite, held_out_voices
from audiochat.speech_data.flite import FliteVoice
from audiochat.voices import load_voice
from audiochat.voices.base import Voice, VoiceStyle, near_names
from audiochat.voices.espeak import EspeakVoice

ESPEAK_ACCENTS = (
    "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-scotland",
    "en-029", "en-us-nyc",
)  # fmt: skip
ESPEAK_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Alex",
    "Alicia", "Andrea", "Andy", "Annie", "anikaRobot", "AnxiousAndy", "aunty", "belinda",
    "benjamin", "boris", "caleb", "david", "Demonic", "Denis", "Diogo", "ed", "edward",
    "edward2", "Gene", "Gene2", "grandma", "grandpa", "gustave", "Henrique", "Hugo", "iven",
    "iven2", "iven3", "iven4", "Jacky", "john", "kaukovalta", "klatt", "klatt2", "klatt3",
    "klatt4", "klatt5", "klatt6", "Lee", "linda", "marcelo", "Marco", "Mario", "max", "Michael",
    "michel", "miguel", "Mike", "norbert", "pablo", "paul", "pedro", "quincy", "Reed", "rob",
    "robert", "sandro", "shelby", "steph", "steph2", "steph3", "travis", "Tweaky", "victor",
    "zac",
)  # fmt: skip
HELD_OUT_ESPEAK, HELD_OUT_FLITE = held_out_voices.ESPEAK, held_out_voices.FLITE

_FLITE_PITCH_HZ = {"kal16": 105.0, "kal": 95.0, "slt": 165.0, "awb": 115.0, "rms": 100.0}
"""Each voice's own; the pitch is drawn around it."""

ENGINES = "espeak, espeak:VOICE, kal16, kal, slt, awb, coqui:FOLDER, coqui:tts_models/..."

CHARACTERS_A_SECOND = {"espeak": 13.8, "kal16": 14.5, "kal": 14.2, "slt": 13.7, "awb": 13.5}
"""Measured on 300 to 1,000 lines each (51 characters on average), pauses and quiet ends included;
plans are made with them."""
_OTHER_CHARACTERS_A_SECOND = 14.0  # the median of read speech in the human sets


@dataclass(frozen=True)
class Speaker:
    """A voice that keeps its speed and pitch, so that the pieces of a line fit together."""

    name: str
    say: Callable[[str], Waveform]


class Engine(Protocol):
    """A synthesiser with the voices that may be drawn from it."""

    def speaker(self, draw: random.Random) -> Speaker:
        """Draw a voice, its speed and its pitch."""
        ...


class _Espeak:
    def __init__(self, voice: str) -> None:
        self._only, self._espeak = voice, EspeakVoice()

    def speaker(self, draw: random.Random) -> Speaker:
        style = VoiceStyle(
            voice=self._only or draw_espeak_voice(draw),
            speed=draw.triangular(0.7, 1.45, 0.95),
            pitch=draw.triangular(0.6, 1.5, 1.0),
        )
        return Speaker(f"espeak/{style.voice}", lambda text: self._espeak.speak(text, style))


def draw_espeak_voice(draw: random.Random) -> str:
    """An accent with a variant of timbre, none of the held-out pairs."""
    while True:
        variant = draw.choice(ESPEAK_VARIANTS)
        name = draw.choice(ESPEAK_ACCENTS) + (f"+{variant}" if variant else "")
        if name not in HELD_OUT_ESPEAK:
            return name


class _Flite:
    def __init__(self, voice: str) -> None:
        self._name, self._voice = voice, FliteVoice(voice)

    def speaker(self, draw: random.Random) -> Speaker:
        prosody = {
            "duration_stretch": draw.triangular(0.72, 1.35, 1.0),
            "int_f0_target_mean": _FLITE_PITCH_HZ[self._name] * draw.triangular(0.75, 1.4, 1.0),
            "int_f0_target_stddev": draw.uniform(8, 30),
        }
        seed = draw.randrange(2**31)
        return Speaker(
            f"flite/{self._name}", lambda text: self._voice.speak(text, seed=seed, **prosody)
        )


class _Coqui:
    """A neural voice. It has no pitch to set, so its sound is played faster or slower as well."""

    def __init__(self, spec: str) -> None:
        import torch

        # One thread: the workers share the cores, and sums in another order differ in their bits.
        torch.set_num_threads(1)
        voice = load_voice(spec)
        assert voice is not None
        self._voice: Voice = voice

    def speaker(self, draw: random.Random) -> Speaker:
        import torch

        names = self._voice.voices()
        style = VoiceStyle(
            voice=draw.choice(names) if names else "", speed=draw.triangular(0.75, 1.35, 1.0)
        )
        pitch = draw.triangular(0.88, 1.14, 1.0)
        torch.manual_seed(draw.randrange(2**31))  # VITS and its kin draw the prosody

        def say(text: str) -> Waveform:
            said = self._voice.speak(text, style)
            return Waveform(said.samples, round(said.sample_rate * pitch))

        return Speaker(f"{self._voice.name}/{style.voice}".rstrip("/"), say)


def load_engine(spec: str) -> Engine:
    """Load an engine, as `check_engine` let it pass.

    Raises:
        VoiceError: it, or the voice named with it, cannot be loaded.
        MissingPartError: a program it needs is not installed.
    """
    name, _, detail = spec.partition(":")
    if name == "espeak":
        return _Espeak(detail)
    return _Coqui(spec) if name == "coqui" else _Flite(name)


def check_engine(spec: str) -> str:
    """The engine's name as it was given.

    Raises:
        DataError: there is none of this name, or its voice or folder is missing.
    """
    name, _, detail = spec.partition(":")
    if name == "espeak":
        try:
            EspeakVoice(detail or "en-us")
        except VoiceError as error:
            raise DataError(f"--hours {spec}: {error}") from error
    elif name == "coqui":
        if not detail.startswith("tts_models/") and not Path(detail).is_dir():
            raise DataError(
                f"--hours {spec}: there is no folder {detail or '(none named)'}. Give "
                "coqui:FOLDER with a checkpoint and its config.json, or a released model's name."
            )
    elif spec not in flite.VOICES:
        near = near_names(spec, ["espeak", "coqui", *flite.VOICES])
        raise DataError(f"--hours: there is no engine {spec!r}.{near} There are: {ENGINES}.")
    return spec


def check_installed(spec: str) -> None:
    """Find out before hours of work whether an engine's program is there.

    Raises:
        MissingPartError: it is not installed.
    """
    if spec in flite.VOICES:
        FliteVoice(spec)


def held_out(spec: str) -> bool:
    """Whether this voice is kept for tests: what it says must not be trained on."""
    return spec in HELD_OUT_FLITE or spec.removeprefix("espeak:") in HELD_OUT_ESPEAK


def characters_a_second(spec: str) -> float:
    """How fast an engine speaks on average, quiet ends and pauses included."""
    return CHARACTERS_A_SECOND.get(spec.partition(":")[0], _OTHER_CHARACTERS_A_SECOND)
