"""The video, looked at with ffprobe: streams, length, captions, colours; and ffmpeg's troubles."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audiochat.errors import DataError, MissingPartError
from audiochat.recording.captions import SPEAKERS
from audiochat.recording.timeline import Timeline, lay_out
from audiochat.recording.video import write_video
from audiochat.recording.video_frames import CAPTION_WIDTH, COLOURS, GROUND, draw_frames, wrapped
from tests.recording.samples import sample, typed

needs_ffmpeg = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="needs ffmpeg"
)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "an odd % name.mp4"
    write_video(sample(), path)
    return path


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return lay_out(sample())


def output(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def frame(video: Path, at_s: float) -> np.ndarray:
    """One picture (720, 1280, 3)."""
    how = ("-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    raw = output("ffmpeg", "-v", "error", "-ss", f"{at_s:.3f}", "-i", str(video), *how)
    return np.frombuffer(raw, np.uint8).reshape(720, 1280, 3).astype(int)


@needs_ffmpeg
def test_the_streams_are_what_players_take(video: Path, timeline: Timeline) -> None:
    told = output("ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", video)
    probed = json.loads(told)
    picture, sound, captions = probed["streams"]
    assert (picture["codec_name"], picture["pix_fmt"]) == ("h264", "yuv420p")
    assert (picture["width"], picture["height"]) == (1280, 720)
    assert (sound["codec_name"], sound["channels"]) == ("aac", 1)
    assert captions["codec_name"] == "mov_text"
    for stream in (picture, sound, probed["format"]):
        assert float(stream["duration"]) == pytest.approx(timeline.duration_s, abs=0.2)
    # The index comes before the data, so that it plays while it loads.
    data = video.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")


@needs_ffmpeg
def test_the_captions_are_a_track(video: Path, timeline: Timeline) -> None:
    text = output("ffmpeg", "-v", "error", "-i", str(video), "-map", "0:s", "-f", "srt", "-")
    blocks = text.decode().replace("\u200b", "").strip().split("\n\n")
    said = [" ".join(block.splitlines()[2:]) for block in blocks]
    assert said == [f"{SPEAKERS[cue.role]}: {cue.text}" for cue in timeline.cues]


@needs_ffmpeg
def test_each_voice_has_its_colour_and_its_words(video: Path, timeline: Timeline) -> None:
    for span in (timeline.spans[0], timeline.spans[1]):
        picture = frame(video, span.cues[0].start_s + 0.3)
        waves, caption = picture[130:370, 80:1200], picture[460:, 80:1200]
        own = np.array([int(COLOURS[span.role][i : i + 2], 16) for i in (1, 3, 5)])
        assert (np.abs(waves - own).max(axis=2) < 40).mean() > 0.02
        assert (caption.min(axis=2) > 200).mean() > 0.001
    quiet = frame(video, 0.2)[460:, 80:1200]
    assert (quiet.min(axis=2) > 200).mean() == 0


@needs_ffmpeg
def test_both_voices_are_heard(video: Path, timeline: Timeline) -> None:
    raw = output("ffmpeg", "-v", "error", "-i", str(video), "-ar", "8000", "-f", "s16le", "-")
    heard = np.frombuffer(raw, np.int16)
    for span in timeline.spans[:4]:
        part = heard[int(8_000 * (span.start_s + 0.1)) : int(8_000 * (span.end_s - 0.1))]
        assert bool(np.abs(part.astype(int)).max() > 3_000) is bool(span.sounds)


def test_without_ffmpeg_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPartError, match="needs the program ffmpeg, which is not installed"):
        write_video(sample(), tmp_path / "conversation.mp4")


def test_what_ffmpeg_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho first >&2; echo 'No codec here' >&2; exit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"ffmpeg failed \(No codec here\)"):
        write_video(sample(), tmp_path / "conversation.mp4")
    assert not (tmp_path / "conversation.mp4").exists()


def test_every_caption_has_its_picture(tmp_path: Path) -> None:
    recording = replace(typed("W" * 160, "x"), model="A model of a very long name indeed " * 5)
    timeline = lay_out(recording)
    draw_frames(recording, timeline, tmp_path)
    ground = tuple(int(GROUND[i : i + 2], 16) for i in (1, 3, 5))
    for number in range(len(timeline.cues)):
        with Image.open(tmp_path / f"{number:06d}.png") as picture:
            assert picture.size == (1280, 720)
            pixels = np.asarray(picture)
        # Words stay inside the picture.
        for edge in (pixels[:, :60], pixels[:, -60:], pixels[-20:]):
            assert (edge == ground).all()
    lines = (tmp_path / "frames.txt").read_text().splitlines()
    lengths = [float(line.split()[1]) for line in lines if line.startswith("duration")]
    assert sum(lengths[:-1]) == pytest.approx(timeline.duration_s, abs=0.01)


def test_lines_are_cut_at_words_and_long_words_inside() -> None:
    assert wrapped("a few words", 44) == ["a few words"]
    assert " ".join(wrapped("word " * 16 + "end", 44)) == "word " * 16 + "end"
    pieces = wrapped("W" * 80, 44)
    assert "".join(pieces) == "W" * 80
    assert len(pieces) == -(-80 * 44 // CAPTION_WIDTH)
