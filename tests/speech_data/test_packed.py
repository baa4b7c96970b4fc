"""Packed speech: samples survive, unfinished folders do not count."""

from pathlib import Path

import numpy as np
import pytest

from audiochat.audio import decode, to_int16
from audiochat.errors import DataError
from audiochat.speech_data.manifest import read_manifest
from audiochat.speech_data.packed import PackedSpeech, pack_manifest, packed_folders


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
