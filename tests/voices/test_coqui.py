"""The Coqui voice on tiny random VITS models made here, and its refusals; nothing is fetched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from TTS.tts.configs.shared_configs import BaseAudioConfig
from TTS.tts.configs.vits_config import VitsArgs, VitsConfig
from TTS.tts.models.vits import Vits
from TTS.utils.manage import ModelManager

from audiochat.errors import VoiceError
from audiochat.voices import VoiceStyle, coqui, load_voice
from audiochat.voices.coqui import CoquiVoice

SENTENCE = "This is a short sentence."
SAMPLE_RATE = 16_000


def tiny_vits(folder: Path, *, settings: dict[str, Any], args: dict[str, Any]) -> Path:
    """Save a random VITS of half a million parameters that says each letter for five frames."""
    torch.manual_seed(0)
    vits_args = VitsArgs(
        hidden_channels=32,
        hidden_channels_ffn_text_encoder=32,
        num_layers_text_encoder=1,
        num_layers_posterior_encoder=1,
        num_layers_flow=1,
        upsample_initial_channel_decoder=32,
        use_sdp=False,
        init_discriminator=False,
        **args,
    )
    # Random weights are too quiet for Coqui's own trimming of silence.
    audio = BaseAudioConfig(
        sample_rate=SAMPLE_RATE, hop_length=256, win_length=1024, fft_size=1024,
        num_mels=80, mel_fmin=0, mel_fmax=None, do_trim_silence=False,
    )  # fmt: skip
    config = VitsConfig(
        audio=audio, model_args=vits_args, text_cleaner="english_cleaners", **settings
    )
    model = Vits(config)
    model.duration_predictor.proj.bias.data.fill_(1.5)
    folder.mkdir()
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    model.config.save_json(folder / "config.json")
    return folder


LETTERS = {"use_phonemes": False, "phonemizer": None, "phoneme_language": None}
PHONEMES = {"use_phonemes": True, "phonemizer": "espeak", "phoneme_language": "en-us"}


@pytest.fixture(scope="module")
def vits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coqui") / "letters"
    return tiny_vits(folder, settings=LETTERS, args={})


@pytest.fixture(scope="module")
def voice(vits_folder: Path) -> CoquiVoice:
    voice = load_voice(f"coqui:{vits_folder}")
    assert isinstance(voice, CoquiVoice)
    return voice


def damaged(folder: Path, copy: Path, **changes: Any) -> Path:
    """A copy of a model's folder with changes to its configuration."""
    copy.mkdir()
    (copy / "model.pth").write_bytes((folder / "model.pth").read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | changes))
    return copy


def test_it_speaks_at_the_models_rate(voice: CoquiVoice) -> None:
    waveform = voice.speak(SENTENCE)
    assert waveform.sample_rate == SAMPLE_RATE
    assert waveform.samples.dtype == np.float32
    assert waveform.duration_s > 1.0
    assert waveform.rms_db > -80
    assert voice.speak(f"{SENTENCE} {SENTENCE}").duration_s > 1.8 * waveform.duration_s
    assert voice.voices() == []


def test_speed_is_the_factor_of_the_length(voice: CoquiVoice) -> None:
    plain = voice.speak(SENTENCE).duration_s
    assert voice.speak(SENTENCE, VoiceStyle(speed=2.0)).duration_s < 0.75 * plain
    assert voice.speak(SENTENCE, VoiceStyle(speed=0.5)).duration_s > 1.5 * plain
    assert voice.speak(SENTENCE).duration_s == pytest.approx(plain, rel=0.05)


def test_a_text_with_nothing_to_say_is_a_moment_of_silence(voice: CoquiVoice) -> None:
    assert voice.speak("🎉 ...").duration_s < 0.1


def test_it_writes_nothing_on_the_terminal(
    vits_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    voice = load_voice(f"coqui:{vits_folder}")
    assert voice is not None
    voice.speak("Numbers 12 and names; Zürich, 你好.")
    assert capfd.readouterr() == ("", "")


def test_a_failing_model_is_a_voice_error(
    voice: CoquiVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_settings: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(voice._tts, "tts", fail)
    with pytest.raises(VoiceError, match=r"out of memory.*another voice"):
        voice.speak(SENTENCE)


def test_a_closed_voice_says_so(vits_folder: Path) -> None:
    voice = load_voice(f"coqui:{vits_folder}")
    assert voice is not None
    voice.close()
    with pytest.raises(VoiceError, match="closed"):
        voice.speak(SENTENCE)


def test_one_speaker_has_no_others(voice: CoquiVoice) -> None:
    with pytest.raises(VoiceError, match="only one"):
        voice.speak(SENTENCE, VoiceStyle(voice="bob"))


def test_speakers_are_chosen_by_name(tmp_path: Path) -> None:
    speakers = tmp_path / "speakers.json"
    speakers.write_text(json.dumps({"alice": 0, "robert": 1}))
    chosen = {"use_speaker_embedding": True, "speakers_file": str(speakers)}
    folder = tiny_vits(tmp_path / "two", settings=LETTERS | chosen, args=chosen)
    voice = load_voice(f"coqui:{folder}")
    assert voice is not None
    assert voice.voices() == ["alice", "robert"]
    assert voice.speak(SENTENCE, VoiceStyle(voice="robert")).duration_s > 1.0
    assert voice.speak(SENTENCE).duration_s > 1.0
    with pytest.raises(VoiceError, match="Did you mean robert"):
        voice.speak(SENTENCE, VoiceStyle(voice="rober"))


def test_phoneme_models_speak_without_an_espeak_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coqui.ESpeak, "is_available", classmethod(lambda _: False))
    monkeypatch.setitem(coqui.PHONEMIZERS, "espeak", coqui.ESpeak)
    coqui._use_embedded_espeak()
    folder = tiny_vits(tmp_path / "phonemes", settings=PHONEMES, args={})
    voice = load_voice(f"coqui:{folder}")
    assert isinstance(voice, CoquiVoice)
    assert voice.speak(SENTENCE).duration_s > 1.0
    assert voice._tts is not None
    phonemizer = voice._tts.synthesizer.tts_model.tokenizer.phonemizer
    assert phonemizer.phonemize("Hello, world!", separator="") == (
        "həl\u02c8oʊ, w\u02c8\u025c\u02d0ld!"
    )


def test_no_released_model_asks_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coqui reads an answer for models with terms; each of them must be refused before."""
    monkeypatch.delenv("COQUI_TOS_AGREED", raising=False)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    manager = ModelManager()
    with_terms = [
        name
        for name in manager.list_tts_models()
        if manager._set_model_item(name)[0].get("tos_required")
    ]
    assert with_terms
    for name in with_terms:
        with pytest.raises(VoiceError, match=r"no commercial use.*--accept-cpml"):
            load_voice(name)
    assert "COQUI_TOS_AGREED" not in os.environ


def test_xtts_is_fetched_once_its_licence_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COQUI_TOS_AGREED", "")
    fetched: list[tuple[str, str]] = []

    def fetch(_: ModelManager, name: str) -> None:
        fetched.append((name, os.environ["COQUI_TOS_AGREED"]))
        raise ConnectionError("no route to host")

    monkeypatch.setattr(ModelManager, "download_model", fetch)
    name = "tts_models/multilingual/multi-dataset/xtts_v2"
    with pytest.raises(VoiceError, match="could not be fetched"):
        load_voice(name, accept_cpml=True)
    assert fetched == [(name, "1")]


@pytest.mark.parametrize("spec", ["tts_models/en/ljspeech/vits", "tts_models/eng/fairseq/vits"])
def test_no_hub_in_reach_is_said_in_plain_words(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTS_HOME", str(tmp_path))
    with pytest.raises(VoiceError, match=r"hub .* cannot be reached.*coqui:FOLDER"):
        load_voice(spec)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("tts_models/en/ljspeech/vitz", "Did you mean tts_models/en/ljspeech/vits"),
        ("tts_models/multilingual/multi-dataset/bark", "pickle"),
        ("coqui:nowhere", "no folder has that name"),
        ("coqui:", "Give a name"),
    ],
)
def test_what_is_not_offered_is_refused(spec: str, why: str) -> None:
    with pytest.raises(VoiceError, match=why):
        load_voice(spec)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "bark"}, "pickle"),
        ({"model": "xtts"}, "--accept-cpml"),
        ({"model": "no_such_model"}, "cannot be loaded"),
        ({"audio": {"stats_path": "scale_stats.npy"}}, "stats_path"),
        ({"audio": None}, "no configuration"),
    ],
)
def test_a_folder_that_is_not_safe_or_not_whole_is_refused(
    vits_folder: Path, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    folder = damaged(vits_folder, tmp_path / "changed", **changes)
    with pytest.raises(VoiceError, match=why):
        load_voice(f"coqui:{folder}")


class Trap:
    """A pickle that would make a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_is_never_run(vits_folder: Path, tmp_path: Path) -> None:
    folder = damaged(vits_folder, tmp_path / "trap")
    sprung = tmp_path / "sprung"
    torch.save({"model": Trap(sprung)}, folder / "model.pth")
    with pytest.raises(VoiceError, match="tensors only"):
        load_voice(f"coqui:{folder}")
    assert not sprung.exists()


def test_a_folder_needs_one_checkpoint_and_its_configuration(
    vits_folder: Path, tmp_path: Path
) -> None:
    folder = damaged(vits_folder, tmp_path / "parts")
    (folder / "model.pth").rename(folder / "a.pth")
    assert coqui._checkpoint(folder).name == "a.pth"
    (folder / "b.pth").touch()
    with pytest.raises(VoiceError, match=r"a\.pth, b\.pth"):
        load_voice(f"coqui:{folder}")
    (folder / "config.json").unlink()
    with pytest.raises(VoiceError, match=r"config\.json"):
        load_voice(f"coqui:{folder}")
