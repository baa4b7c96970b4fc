import json
from pathlib import Path

import pytest

from audiochat.audio import Waveform
from audiochat.evaluation.asr import HeardClip, hear_all, report
from audiochat.evaluation.clips import Clip, read_clips
from tests.evaluation.test_clips import manifest_of


@pytest.fixture
def rows(tmp_path: Path) -> list[HeardClip]:
    """Four clips of two words; the second and the third are misheard by a word each."""
    manifest = manifest_of(tmp_path, 4)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line, accent, name in zip(lines, ["here", "here", "there", ""], "aabb", strict=True):
        line |= {"accent": accent, "set": name}
    manifest.write_text("\n".join(map(json.dumps, lines)))
    words = iter(["Tone 0.", "stone 1", "tone", "tone 3"])
    return hear_all(lambda waveform: next(words), read_clips(manifest, tmp_path).clips)


def test_rates_are_given_whole_by_set_and_by_speaker(rows: list[HeardClip]) -> None:
    found = report(rows, skipped=1)
    assert found["overall"]["wer"] == 2 / 8
    assert found["overall"]["words"] == 8
    assert found["overall"]["clips"] == 4
    assert found["overall"]["skipped"] == 1
    assert found["overall"]["audio_s"] == pytest.approx(4.0)
    assert found["sets"]["a"]["wer"] == found["sets"]["b"]["wer"] == 1 / 4
    assert found["groups"]["accent"]["there"]["wer"] == 1 / 2
    assert found["groups"]["age"] == {}


def test_a_row_says_what_was_heard(rows: list[HeardClip]) -> None:
    assert report(rows, skipped=0)["rows"][1] == {
        "audio": "tones/001.wav",
        "text": "tone 1",
        "heard": "stone 1",
        "errors": 1,
        "words": 2,
    }


def test_a_row_has_the_text_as_written_and_as_spoken(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 1)
    line = json.loads(manifest.read_text()) | {"text": "Tone 0.", "spoken": "tone zero"}
    manifest.write_text(json.dumps(line))
    (row,) = report(hear_all(lambda _: "tone", read_clips(manifest, tmp_path).clips), 0)["rows"]
    assert (row["text"], row["spoken"]) == ("Tone 0.", "tone zero")
    assert row["errors"] == 1


def test_only_hearing_is_timed(rows: list[HeardClip]) -> None:
    assert all(0 <= row.took_s < 0.5 for row in rows)


def test_every_clip_is_heard_as_it_is(tmp_path: Path) -> None:
    clips = read_clips(manifest_of(tmp_path, 2), tmp_path).clips
    given: list[Waveform] = []
    hear_all(lambda waveform: given.append(waveform) or "", clips)  # type: ignore[func-returns-value]
    assert given == [clip.waveform for clip in clips]
    assert all(isinstance(clip, Clip) for clip in clips)
