"""The table of engines: specs, names, and what importing it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import audiochat
from audiochat import voices
from audiochat.errors import VoiceError
from audiochat.voices import load_voice


def test_importing_the_table_imports_neither_torch_nor_coqui() -> None:
    code = (
        "import sys, audiochat.voices as v; v.load_voice('espeak');"
        "print(sorted({'torch', 'TTS', 'torchaudio', 'transformers'} & set(sys.modules)))"
    )
    root = Path(audiochat.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"


def test_specs() -> None:
    assert load_voice("off") is None
    for spec in ("espeak", "espeak:en-gb+f2"):
        voice = load_voice(spec)
        assert voice is not None
        assert voice.name == "espeak"
    assert voice.voices()[0] == "en-gb+f2"
    assert load_voice() is not None


@pytest.mark.parametrize(
    ("spec", "near"),
    [
        ("espek", "espeak"),
        ("coki:x", "coqui"),
        ("espeak:en-gv", "en-gb"),
        ("espeak:en-us+anie", "Annie"),
        ("espeak:en-us+f33", "f3"),
    ],
)
def test_an_unknown_voice_names_near_ones(spec: str, near: str) -> None:
    with pytest.raises(VoiceError, match=f"Did you mean.*{near}"):
        load_voice(spec)


@pytest.mark.parametrize(
    "spec", ["", "zzz", "espeak:../../etc", "espeak:en-us+../x", "espeak:+f3", "espeak:en-us+"]
)
def test_a_hopeless_spec_is_refused(spec: str) -> None:
    with pytest.raises(VoiceError):
        load_voice(spec)


def test_an_engine_that_does_not_import_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(voices.VOICES, "espeak", "audiochat.voices.no_such_engine:load")
    with pytest.raises(VoiceError, match=r"no_such_engine.*pip install -r requirements\.txt"):
        load_voice("espeak")
