import json
from pathlib import Path

import numpy as np
import pytest

from audiochat.audio import SAMPLE_RATE, Waveform, write_wav
from audiochat.errors import DataError
from audiochat.evaluation.clips import active_power, lay_noise, mix, read_clips, read_noises
from audiochat.speech_data.draws import Draws
from audiochat.speech_data.noise_bank import load_noise_bank


def tone(seconds: float = 1.0, hz: float = 300.0) -> np.ndarray:
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.1 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def manifest_of(folder: Path, n_clips: int) -> Path:
    """A manifest of `n_clips` tones."""
    (folder / "tones").mkdir()
    lines = []
    for index in range(n_clips):
        name = f"tones/{index:03}.wav"
        write_wav(Waveform(tone(hz=200 + index)), folder / name)
        lines.append(json.dumps({"audio": name, "text": f"tone {index}", "answer": ["a", "b"]}))
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_clips_keep_their_names_sets_and_answers(tmp_path: Path) -> None:
    found = read_clips(manifest_of(tmp_path, 3), tmp_path, limit=2)
    assert [clip.name for clip in found.clips] == ["tones/000.wav", "tones/001.wav"]
    assert {clip.line.set_name for clip in found.clips} == {"tones"}
    assert found.clips[0].line.extra["answer"] == ["a", "b"]
    assert not found.problems


def test_a_clip_that_cannot_be_heard_is_named(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 120)
    (tmp_path / "tones/007.wav").write_bytes(b"no sound")
    found = read_clips(manifest, tmp_path)
    assert len(found.clips) == 119
    (problem,) = found.problems
    assert problem.startswith(f"{manifest}:8: tones/007.wav: ")


def test_too_many_bad_clips_are_refused(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 20)
    (tmp_path / "tones/007.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match="tones/007"):
        read_clips(manifest, tmp_path)


@pytest.mark.parametrize("snr_db", [20.0, 5.0, 0.0])
def test_noise_is_as_loud_as_asked(snr_db: float) -> None:
    speech = np.concatenate([np.zeros(SAMPLE_RATE, np.float32), tone()])
    noise = np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    added = mix(speech, noise, snr_db) - speech
    # Silence does not count as speech: the tone alone has this power.
    assert active_power(speech) == pytest.approx(0.1**2 / 2, rel=1e-3)
    measured = 10 * np.log10(active_power(speech) / np.mean(added**2))
    assert measured == pytest.approx(snr_db, abs=0.05)


def test_noise_repeats(tmp_path: Path) -> None:
    clips = read_clips(manifest_of(tmp_path, 2), tmp_path).clips
    folder = tmp_path / "noise"
    folder.mkdir()
    write_wav(Waveform(np.random.default_rng(0).uniform(-0.1, 0.1, 4_000)), folder / "hiss.wav")
    quiet, noises = [clip.waveform for clip in clips], read_noises(folder)
    first, again = (list(lay_noise(quiet, noises, 10.0)) for _ in range(2))
    assert len(first) == len(clips)
    assert first[0] == again[0] != clips[0].waveform


def test_a_folder_without_noise_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--noise"):
        read_noises(tmp_path / "nowhere")


def test_rooms_are_no_noise_here_as_in_training(tmp_path: Path) -> None:
    for name in ("hall_rir.wav", "rir-office.wav", "street.wav"):
        write_wav(Waveform(tone()), tmp_path / name)
    assert len(read_noises(tmp_path)) == 1
    bank = load_noise_bank(tmp_path, Draws(0))
    assert (len(bank.noise), len(bank.rooms)) == (SAMPLE_RATE, 2)
