"""Manifests: what is read, what is skipped and named, what is refused."""

import json
from pathlib import Path

import pytest

from audiochat.errors import DataError
from audiochat.speech_data.manifest import read_manifest


def test_fields_and_their_defaults(speech_folder: Path) -> None:
    lines = read_manifest(speech_folder / "manifest.jsonl", speech_folder).lines
    assert len(lines) == 6
    first = lines[0]
    assert (first.text, first.spoken, first.set_name) == ("Clip 0.", "Clip 0.", "a")
    assert first.speaker == "s0"


def bad_lines(folder: Path, bad: list[str], good: int = 300) -> Path:
    row = json.dumps({"audio": "a/0.wav", "text": "Clip."})
    path = folder / "mixed.jsonl"
    path.write_text("\n".join([*bad, *[row] * good]) + "\n")
    return path


def test_bad_lines_are_named_and_counted(speech_folder: Path) -> None:
    missing = json.dumps({"audio": "a/none.wav", "text": "x"})
    path = bad_lines(speech_folder, ["{", missing, json.dumps({"audio": "a/0.wav", "text": " "})])
    manifest = read_manifest(path, speech_folder)
    assert len(manifest.lines) == 300
    assert len(manifest.problems) == 3
    assert manifest.problems[0].startswith(f"{path}:1: not JSON")
    assert "none.wav is missing" in manifest.problems[1]
    assert manifest.problems[2].endswith("no `text`")


def test_too_many_bad_lines_stop_the_run(speech_folder: Path) -> None:
    path = bad_lines(speech_folder, ["{"] * 4)
    with pytest.raises(DataError, match=r"4 of 304 lines .* cannot be used") as refused:
        read_manifest(path, speech_folder)
    assert all(f"{path}:{number}: not JSON" in str(refused.value) for number in range(1, 5))


def test_of_many_bad_lines_the_first_are_named(speech_folder: Path) -> None:
    path = bad_lines(speech_folder, ["{"] * 30)
    with pytest.raises(DataError, match=r"30 of 330 lines .* The first 20 of them:") as refused:
        read_manifest(path, speech_folder)
    assert str(refused.value).count("not JSON") == 20


def test_an_empty_or_missing_manifest_is_refused(speech_folder: Path) -> None:
    (speech_folder / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="it is empty"):
        read_manifest(speech_folder / "empty.jsonl", speech_folder)
    with pytest.raises(DataError, match="cannot be read"):
        read_manifest(speech_folder / "absent.jsonl", speech_folder)
