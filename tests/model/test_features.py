"""Log-mel features: counts, padding, and that a tone lands in its band."""

import math

import pytest
import torch

from audiochat.audio import SAMPLE_RATE
from audiochat.model.features import HOP, LogMel, frame_count, mel_filterbank


def tone(hz: float, seconds: float = 0.5) -> torch.Tensor:
    at = torch.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return 0.3 * torch.sin(2 * math.pi * hz * at)[None]


@pytest.mark.parametrize("n_samples", [1, HOP - 1, HOP, HOP + 1, 10 * HOP, 10 * HOP + 7])
def test_one_frame_for_each_begun_hop(n_samples: int) -> None:
    frames, counts = LogMel(80)(torch.zeros(1, n_samples), torch.tensor([n_samples]))
    assert frames.shape[1] == int(counts) == frame_count(n_samples) == math.ceil(n_samples / HOP)


def test_padding_changes_nothing() -> None:
    log_mel, clip = LogMel(80), torch.randn(1, 5000) * 0.1
    padded = torch.cat([clip, torch.zeros(1, 3000)], 1)
    alone, counts = log_mel(clip, torch.tensor([5000]))
    inside, _ = log_mel(padded, torch.tensor([5000]))
    torch.testing.assert_close(inside[:, : int(counts)], alone)
    assert not inside[:, int(counts) :].any()


@pytest.mark.parametrize("hz", [200, 1000, 4000])
def test_a_tone_peaks_in_its_band(hz: float) -> None:
    raw = LogMel(80).raw(tone(hz))
    band = int(raw[0, 10].argmax())
    bins_hz = torch.linspace(0, SAMPLE_RATE / 2, mel_filterbank(80).shape[0])
    centre = float(bins_hz[int(mel_filterbank(80)[:, band].argmax())])
    assert abs(centre - hz) < 0.08 * hz + 35


def test_fit_makes_mean_zero() -> None:
    log_mel, clips = LogMel(80), torch.randn(2, 16000) * 0.1
    log_mel.fit(clips, torch.tensor([16000, 16000]))
    frames, _ = log_mel(clips, torch.tensor([16000, 16000]))
    assert abs(float(frames.mean())) < 0.01
