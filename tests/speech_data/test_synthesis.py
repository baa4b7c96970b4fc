"""Synthesis: the seed fixes the sound, held-out voices stay out, killed parts are redone."""

import json
from pathlib import Path

import numpy as np
import pytest

from audiochat.errors import DataError
from audiochat.speech_data.packed import PackedSpeech
from audiochat.speech_data.synthesis import (
    HELD_OUT_ESPEAK,
    SpokenLine,
    Synthesiser,
    plan_parts,
    read_text_lines,
    synthesize_part,
)

LINES = [SpokenLine(f"Line {n}.", f"This is line {n}.", "made") for n in ("one", "two", "three")]


def test_the_same_seed_gives_the_same_sound() -> None:
    (name, one), (again, two) = (Synthesiser("espeak", "7").speak("Hello there.") for _ in range(2))
    assert name == again
    np.testing.assert_array_equal(one, two)
    assert np.abs(one).max() > 1000


def test_held_out_voices_are_never_drawn() -> None:
    synthesiser = Synthesiser("espeak", "1")
    drawn = {synthesiser._draw_espeak() for _ in range(3000)}
    assert len(drawn) > 200
    assert not drawn & set(HELD_OUT_ESPEAK)


def test_a_held_out_voice_can_be_named_for_a_test_set() -> None:
    speaker, _ = Synthesiser(f"espeak:{HELD_OUT_ESPEAK[0]}", "1").speak("Hello.")
    assert speaker == f"espeak/{HELD_OUT_ESPEAK[0]}"


def test_a_part_is_spoken_once_and_an_unfinished_one_again(tmp_path: Path) -> None:
    (part,) = plan_parts(LINES, "espeak", 0.001, folder=tmp_path, seed=1)
    assert synthesize_part(part) == 0
    packed = PackedSpeech(part.folder)
    assert {clip.text for clip in packed} <= {line.text for line in LINES}
    assert not any(clip.human for clip in packed)
    before = (part.folder / "index.jsonl").stat().st_mtime_ns
    synthesize_part(part)
    assert (part.folder / "index.jsonl").stat().st_mtime_ns == before
    (part.folder / "index.jsonl").unlink()
    synthesize_part(part)
    assert len(PackedSpeech(part.folder)) == len(packed)


def test_evaluation_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "eval_questions.jsonl"
    path.write_text(json.dumps({"text": "who is it"}) + "\n")
    with pytest.raises(DataError, match="leave it out of training"):
        read_text_lines([path], cap=None, seed=1)


def test_lines_are_tidied_capped_and_shuffled_by_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"what is {n}"}) for n in range(50)))
    lines = read_text_lines([path], cap=10, seed=1)
    assert len(lines) == 10
    assert lines == read_text_lines([path], cap=10, seed=1)
    assert lines != read_text_lines([path], cap=10, seed=2)
    assert all(line.text.startswith("What is ") and line.text.endswith("?") for line in lines)
    assert all(line.spoken[8:-1].replace("-", "").isalpha() for line in lines)
