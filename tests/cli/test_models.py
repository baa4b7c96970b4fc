import json
from pathlib import Path

import pytest

from audiochat import backends, voices
from audiochat.__main__ import main
from audiochat.cli.models import ABOUT


def test_every_model_and_voice_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    names = [*backends.names(), *voices.names()]
    assert sorted(names) == sorted(ABOUT)
    assert all(f"  {name} " in out and ABOUT[name] in out for name in names)
    assert "en-us" in out


def test_what_is_not_fetched_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIOCHAT_CACHE", str(tmp_path))
    monkeypatch.setenv("TTS_HOME", str(tmp_path))
    assert main(["models", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["models"]["embedded"]["state"].startswith("fetched when first used (93 MB")
    assert found["voices"]["coqui"]["state"] == "weights are fetched when first used"


def test_what_was_fetched_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tts" / "tts_models--en--ljspeech--vits").mkdir(parents=True)
    monkeypatch.setenv("TTS_HOME", str(tmp_path))
    assert main(["models", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["voices"]["coqui"]["state"] == "at hand: tts_models/en/ljspeech/vits"
