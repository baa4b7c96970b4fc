"""Small speech made on the spot."""

import json
from pathlib import Path

import numpy as np
import pytest

from audiochat.audio import Waveform, write_wav
from audiochat.errors import MissingPartError
from audiochat.speech_data.flite import FliteVoice


def _has_flite() -> bool:
    try:
        FliteVoice("kal16")
    except MissingPartError:
        return False
    return True


needs_flite = pytest.mark.skipif(not _has_flite(), reason="flite is not installed")


@pytest.fixture
def speech_folder(tmp_path: Path) -> Path:
    """Six clips of noise under two folders, with a manifest of them."""
    rows = []
    draw = np.random.default_rng(0)
    for number in range(6):
        name = f"{'ab'[number % 2]}/{number}.wav"
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        samples = (draw.standard_normal(8000 + 1600 * number) * 0.1).astype(np.float32)
        write_wav(Waveform(samples), path)
        rows.append({"audio": name, "text": f"Clip {number}.", "speaker": f"s{number % 3}"})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return tmp_path
