"""New clips from the pieces of old ones: cut in the quiet, every word with its sound."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from audiochat.__main__ import main
from audiochat.audio import SAMPLE_RATE
from audiochat.errors import DataError
from audiochat.model.alignment import HeardWord
from audiochat.model.checkpoint import TrainedParts, load_parts
from audiochat.speech_data.manifest import ManifestLine
from audiochat.speech_data.packed import PackedSpeech, PackedWriter, packed_folders
from audiochat.speech_data.synthesis import Synthesiser
from audiochat.training.splicing import (
    MAX_CLIP_S,
    SHORTEST_S,
    Piece,
    cut,
    joined_sound,
    joined_words,
    pieces_of,
    rows,
)
from tests.conftest import ROOT

WEIGHTS = ROOT / "assets/embedded"
HALVES = [
    ("The weather is very nice", "and we will go to the beach."),
    ("My brother has a dog", "but my sister wants a horse."),
    ("In the morning I drink coffee", "and in the evening I drink tea."),
]
PAUSE_S = 0.4
QUIETEST = 0.2
"""A cut is quieter than this share of its clip's loud parts."""


def loudest(samples: np.ndarray) -> float:
    """The root mean square of the loudest tenth of a second."""
    blocks = samples[: len(samples) // 1600 * 1600].reshape(-1, 1600).astype(float)
    return float(np.sqrt((blocks**2).mean(1)).max())


@pytest.fixture(scope="module")
def parts() -> TrainedParts:
    return load_parts(WEIGHTS)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """Three clips of two halves with a pause between, and the sample where each pause begins."""
    folder = tmp_path_factory.mktemp("spoken")
    writer, pauses = PackedWriter(folder), []
    synthesiser = Synthesiser("espeak:en-us", 1)
    for halves in HALVES:
        first, second = (synthesiser.speak(half)[1] for half in halves)
        quiet = np.zeros(int(PAUSE_S * SAMPLE_RATE), np.int16)
        about = {"speaker": "somebody", "human": True}
        line = ManifestLine(Path(), " ".join(halves), " ".join(halves), "made", about)
        writer.add(np.concatenate((first, quiet, second)), line)
        pauses.append(len(first))
    writer.close()
    return folder, pauses


def test_a_clip_is_cut_in_its_pause_and_between_the_same_words(
    parts: TrainedParts, spoken: tuple[Path, list[int]]
) -> None:
    folder, pauses = spoken
    sources, n_in_pause = packed_folders(folder), 0
    for clip, (pieces, pause) in enumerate(
        zip(pieces_of(parts.ear, parts.units, sources), pauses, strict=True)
    ):
        # Nothing is lost: the pieces are the clip, and their words its words.
        assert pieces[0].start == 0
        assert pieces[-1].stop == sources[0][clip].samples
        assert [one.stop for one in pieces[:-1]] == [one.start for one in pieces[1:]]
        assert [word for one in pieces for word in one.words] == sources[0][clip].spoken.split()
        assert all(one.stop - one.start >= SHORTEST_S * SAMPLE_RATE for one in pieces)
        second = HALVES[clip][1].split()[0]
        n_in_pause += second in [one.words[0] for one in pieces[1:]]
        for one in pieces[1:]:
            around = sources[0].samples(clip)[one.start - 80 : one.start + 80].astype(float)
            assert np.sqrt(np.mean(around**2)) < QUIETEST * loudest(sources[0].samples(clip))
            if one.words[0] == second:
                # The engine's own quiet at an end of a half belongs to the pause too.
                loud = np.flatnonzero(np.abs(sources[0].samples(clip)) > 200)
                assert loud[loud < pause].max() < one.start < loud[loud > pause].min()
    # A cut shortly before the pause takes its place: a word alone is no piece.
    assert n_in_pause >= len(HALVES) - 1


def test_a_clip_that_cannot_hold_its_words_has_no_pieces(
    parts: TrainedParts, tmp_path: Path
) -> None:
    writer = PackedWriter(tmp_path)
    words = "far too many words for so short a sound " * 4
    writer.add(np.ones(SAMPLE_RATE, np.int16), ManifestLine(Path(), words, words, "made"))
    writer.close()
    assert list(pieces_of(parts.ear, parts.units, packed_folders(tmp_path))) == [[]]


def heard(*frames: tuple[int, int], confidence: float = 0.9) -> list[HeardWord]:
    return [HeardWord("word", confidence, first, last) for first, last in frames]


def test_it_is_cut_only_where_it_is_quiet_and_the_words_are_sure() -> None:
    samples = (np.sin(np.arange(3 * SAMPLE_RATE) * 0.3) * 8000).astype(np.int16)
    samples[SAMPLE_RATE : SAMPLE_RATE + 2000] = 0
    words = heard((2, 11), (15, 20), (24, 30))  # frames of 80 ms: the quiet is in the 13th, 14th
    first, second = cut(samples, words, 1280)
    assert SAMPLE_RATE < first < SAMPLE_RATE + 2000
    assert second == 0
    assert cut(samples, heard((2, 11), (15, 20), confidence=0.2), 1280) == [0]
    assert cut(samples[:0], heard((0, 0), (0, 0)), 1280) == [0]


def test_a_quiet_place_of_two_gaps_is_not_cut() -> None:
    """Whether it lies before the short word or behind it, the ear cannot tell."""
    samples = (np.sin(np.arange(3 * SAMPLE_RATE) * 0.3) * 8000).astype(np.int16)
    samples[SAMPLE_RATE : SAMPLE_RATE + 600] = 0
    assert cut(samples, heard((2, 11), (12, 12), (18, 24)), 1280) == [0, 0]


def test_words_are_written_as_in_one_line() -> None:
    lower = frozenset({"the", "a", "cat"})
    said = joined_words([("The", "cat"), ("The", "dog."), ("a", "Cat"), ("Berlin,",)], lower)
    assert said == "The cat the dog. A Cat Berlin."


def test_joined_parts_keep_their_sound_and_have_no_edge() -> None:
    parts = [np.full(4000, level, np.int16) for level in (9000, -9000)]
    sound = joined_sound(parts)
    assert len(sound) == 8000
    assert np.abs(np.diff(sound.astype(int))).max() < 9000 / 50
    np.testing.assert_array_equal(sound[200:3800], parts[0][200:3800])


def test_every_piece_of_a_voice_is_used_as_often_and_no_row_is_too_long() -> None:
    pieces = [Piece(0, n, 0, (n % 5 + 1) * SAMPLE_RATE, ("word",)) for n in range(40)]
    made = list(rows(pieces, [4.0, 9.0, 16.0], 3, random.Random(1)))
    uses = [sum(piece in row for row in made) for piece in pieces]
    assert min(uses) >= 2  # the last row of a pass may be a piece alone, which is an old clip
    assert max(uses) == 3
    lengths = [sum(one.stop - one.start for one in row) / SAMPLE_RATE for row in made]
    assert max(lengths) <= MAX_CLIP_S
    assert len({row[0].clip for row in made}) > len(pieces) / 4


def test_the_command_makes_a_packed_folder_that_trains(
    spoken: tuple[Path, list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = spoken
    out = tmp_path / "spliced"
    arguments = ["train", "splice", "--speech", str(folder), "--weights", str(WEIGHTS)]
    assert main([*arguments, "--out", str(out), "--times", "4"]) == 0
    made = PackedSpeech(out)
    assert f"{len(made)} new clips, {made.hours:.2f} hours" in capsys.readouterr().out
    old = {" ".join(halves) for halves in HALVES}
    assert len({clip.spoken for clip in made} - old) > 3
    assert {(clip.set_name, clip.human) for clip in made} == {("spliced", True)}
    assert all(clip.spoken[0].isupper() and clip.spoken[-1] == "." for clip in made)
    assert all(clip.phones for clip in made)
    run = ["train", "ctc", "--recipe", "tiny", "--steps", "1", "--speech", str(folder), str(out)]
    assert main([*run, "--set-weight", "spliced=0.2", "--out", str(tmp_path / "run")]) == 0


def test_a_voice_kept_for_tests_is_not_spliced(
    spoken: tuple[Path, list[int]], tmp_path: Path
) -> None:
    folder, _ = spoken
    row = json.loads((folder / "index.jsonl").read_text().splitlines()[0])
    (tmp_path / "index.jsonl").write_text(json.dumps(row | {"speaker": "flite/rms"}) + "\n")
    (tmp_path / "audio-000.i16").write_bytes((folder / "audio-000.i16").read_bytes())
    parts = load_parts(WEIGHTS)
    with pytest.raises(DataError, match="kept for tests"):
        next(pieces_of(parts.ear, parts.units, packed_folders(tmp_path)))
