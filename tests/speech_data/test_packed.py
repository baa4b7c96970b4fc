"""Packed speech: samples survive, bad clips are named, unfinished folders do not count."""

import json
from pathlib import Path

import numpy as np
import pytest

from audiochat.audio import decode, to_int16
from audiochat.cli.train import main
from audiochat.errors import DataError
from audiochat.speech_data.manifest import Manifest, read_manifest
from audiochat.speech_data.packed import PackedSpeech, PackedWriter, pack_manifest, packed_folders


def test_packing_keeps_samples_and_words(speech_folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(speech_folder / "manifest.jsonl", speech_folder)
    pack_manifest(manifest, tmp_path / "packed", name="m", workers=1)
    packed = PackedSpeech(tmp_path / "packed")
    assert [clip.text for clip in packed] == [line.text for line in manifest.lines]
    for index, line in enumerate(manifest.lines):
        np.testing.assert_array_equal(packed.samples(index), to_int16(decode(line.audio)))
    assert packed.hours * 3600 == pytest.approx(sum(clip.duration_s for clip in packed))


def test_an_undecodable_clip_stops_a_small_manifest(speech_folder: Path, tmp_path: Path) -> None:
    (speech_folder / "a/0.wav").write_bytes(b"not a sound")
    manifest = read_manifest(speech_folder / "manifest.jsonl", speech_folder)
    with pytest.raises(DataError, match=r"0\.wav"):
        pack_manifest(manifest, tmp_path / "packed", name="m", workers=1)
    with pytest.raises(DataError, match="no packed speech"):
        packed_folders(tmp_path / "packed")


def manifest_of(folder: Path, bad: list[dict[str, str]], good: int) -> Path:
    """Bad lines behind the first good one, then the other good ones."""
    row = {"audio": "a/2.wav", "text": "Clip."}
    path = folder / "mixed.jsonl"
    path.write_text("\n".join(map(json.dumps, [row, *bad, *[row] * (good - 1)])) + "\n")
    return path


def test_bad_clips_are_named_by_file_and_line_and_skipped(
    speech_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (speech_folder / "a/0.wav").write_bytes(b"not a sound")
    bad = [
        {"audio": "a/0.wav", "text": "Undecodable."},
        {"audio": "a/none.wav", "text": "Missing."},
        {"audio": "a/2.wav", "text": " "},
        {"audio": "a/2.wav", "text": "***"},
    ]
    path = manifest_of(speech_folder, bad, 400)
    arguments = ["pack", "--manifest", str(path), "--audio-root", str(speech_folder)]
    assert main([*arguments, "--out", str(tmp_path / "packed"), "--workers", "1"]) == 0
    named = sorted(record.getMessage() for record in caplog.records)
    assert [problem.split(": ")[0] for problem in named] == [f"{path}:{n}" for n in (2, 3, 4, 5)]
    for problem, why in zip(named, ("0.wav", "missing", "no `text`", "can be said"), strict=True):
        assert why in problem
    assert len(PackedSpeech(tmp_path / "packed")) == 400


def test_more_than_one_in_a_hundred_stops_before_an_index_is_written(
    speech_folder: Path, tmp_path: Path
) -> None:
    (speech_folder / "a/0.wav").write_bytes(b"not a sound")
    path = manifest_of(speech_folder, [{"audio": "a/0.wav", "text": "Bad."}] * 2, 190)
    manifest = read_manifest(path, speech_folder)
    with pytest.raises(DataError, match=rf"(?s)2 of 192 lines of .*{path.name}:2: .*0\.wav"):
        pack_manifest(manifest, tmp_path / "packed", name=str(path), workers=1)
    assert not (tmp_path / "packed" / "index.jsonl").exists()


def test_a_pack_that_fails_leaves_the_one_before(speech_folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(speech_folder / "manifest.jsonl", speech_folder)
    folder = tmp_path / "packed"
    pack_manifest(manifest, folder, name="m", workers=1)
    (folder / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (speech_folder / "a/0.wav").write_bytes(b"not a sound")
    with pytest.raises(DataError, match=r"0\.wav"):
        pack_manifest(manifest, folder, name="m", workers=1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    some = Manifest(manifest.lines[1:], ())
    pack_manifest(some, folder, name="m", workers=1)
    assert len(PackedSpeech(folder)) == len(manifest.lines) - 1
    assert (folder / "notes.txt").is_file()
    assert not (tmp_path / "packed.part").exists()


def test_a_folder_without_clips_is_none_and_a_bad_row_is_named(tmp_path: Path) -> None:
    PackedWriter(tmp_path).close()
    with pytest.raises(DataError, match="no packed speech"):
        packed_folders(tmp_path)
    (tmp_path / "index.jsonl").write_text("\n")  # as older versions wrote it
    assert len(PackedSpeech(tmp_path)) == 0
    for row in ("{", '{"text": "Hi."}', "[1]"):
        (tmp_path / "index.jsonl").write_text(f"\n{row}\n")
        with pytest.raises(DataError, match=r"index\.jsonl:2 is no clip"):
            PackedSpeech(tmp_path)
