"""Streaming beside the whole clip, with an ear of random weights."""

from functools import partial
from pathlib import Path

import pytest
import torch

from audiochat.evaluation.asr import HeardClip, hear_all
from audiochat.evaluation.clips import Clip, read_clips
from audiochat.evaluation.metrics import count_errors
from audiochat.evaluation.streamed import Streamed, hear_streamed, report
from audiochat.model.alignment import Reading
from audiochat.model.config import EncoderConfig
from audiochat.model.conformer import Context
from audiochat.model.ear import Ear, Hearing, listen
from audiochat.model.streaming import StreamedHearing
from audiochat.model.units import Units
from tests.evaluation.test_clips import manifest_of

UNITS = Units.trained(["tone one and two"], 20)
CHUNK = Context(4, left=8)


@pytest.fixture(scope="module")
def ear() -> Ear:
    torch.manual_seed(0)
    return Ear(EncoderConfig(dim=32, n_layers=2, n_heads=2, n_units=UNITS.size)).eval()


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Clip, ...]:
    return read_clips(manifest_of(tmp_path, 2), tmp_path).clips


def test_every_clip_is_heard_in_chunks(ear: Ear, clips: tuple[Clip, ...]) -> None:
    found = hear_streamed(partial(StreamedHearing.begin, ear, UNITS, CHUNK), clips)
    expected = [listen(ear, UNITS, [clip.waveform], CHUNK)[0].text for clip in clips]
    assert [one.row.heard for one in found] == expected
    assert all(0 < one.tail_s <= one.row.took_s for one in found)


def test_the_end_is_read_by_the_search_given(ear: Ear, clips: tuple[Clip, ...]) -> None:
    def read(hearing: Hearing) -> Reading:
        return Reading(f"{len(hearing.log_probs)} frames", (), 1.0, ())

    found = hear_streamed(partial(StreamedHearing.begin, ear, UNITS, CHUNK), clips, read)
    assert [one.row.heard for one in found] == ["13 frames"] * 2


def test_the_cost_is_what_streaming_hears_worse(clips: tuple[Clip, ...]) -> None:
    whole = hear_all(lambda waveform: "tone 0", clips)
    errors = [count_errors(clip.line.spoken, "tone") for clip in clips]
    rows = [
        Streamed(HeardClip(clip, "tone", one, took_s=0.2), tail_s=tail_s)
        for clip, one, tail_s in zip(clips, errors, (0.01, 0.03), strict=True)
    ]
    found = report(rows, whole)
    # Of four words the whole has one wrong, the stream two.
    assert found["wer"] == 2 / 4
    assert found["wer_cost"] == pytest.approx(1 / 4)
    low, high = found["wer_cost_ci95"]
    assert low <= 1 / 4 <= high
    assert found["tail_ms"] == {"median": 20.0, "p95": 29.0}
    assert found["sets"]["tones"]["wer_cost"] == found["wer_cost"]
