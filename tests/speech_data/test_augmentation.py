"""Augmentation: each effect does what it says, and the same step does the same again."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from audiochat.audio import SAMPLE_RATE, Waveform, write_wav
from audiochat.errors import DataError
from audiochat.speech_data import channels, codecs
from audiochat.speech_data.augmentation import STRONG, Augmentation, AugmentationConfig
from audiochat.speech_data.draws import Draws
from audiochat.speech_data.noise_bank import NoiseBank

OFF = AugmentationConfig(
    speed=(1.0, 1.0),
    gain_db=(0.0, 0.0),
    warp=(1.0, 1.0),
    **dict.fromkeys(
        ("pad", "room", "noise", "wordless", "band_limit", "tilt", "clip", "mu_law", "codec"), 0.0
    ),
)
COUNTS = torch.tensor([16000, 12000, 8000])


def clips() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    samples = torch.randn(3, 16000) * 0.1
    return samples * (torch.arange(16000) < COUNTS[:, None]), COUNTS.clone()


def changed_by(seed: int = 1, **settings: object) -> tuple[Tensor, Tensor]:
    """The clips, with only these effects."""
    config = replace(OFF, **settings)  # type: ignore[arg-type]
    return Augmentation(config, noise_folder=None, seed=seed).samples(*clips())


def fit(samples: Tensor, plain: Tensor) -> Tensor:
    """(B,) cosine of the angle between clips: 1 where only the level changed."""
    return torch.nn.functional.cosine_similarity(samples, plain, dim=1)


def band_db(samples: Tensor, low_hz: float, high_hz: float) -> float:
    """Mean power of a band, in dB."""
    power = torch.fft.rfft(samples[0]).abs().square()
    hz = torch.linspace(0, SAMPLE_RATE / 2, len(power))
    return float(10 * power[(hz >= low_hz) & (hz < high_hz)].mean().log10())


def test_all_off_only_sets_the_level() -> None:
    samples, counts = clips()
    changed, n_changed = changed_by()
    assert torch.equal(n_changed, counts)
    assert float(fit(changed, samples).min()) > 0.999
    assert float(channels.active_power(changed).sqrt().mean()) == pytest.approx(0.1, rel=0.02)


def test_the_batch_given_is_left_as_it_is() -> None:
    samples, counts = clips()
    before = samples.clone()
    config = replace(STRONG, speed=(1.0, 1.0), noise=1.0, mu_law=1.0, clip=1.0)
    Augmentation(config, noise_folder=None, seed=1).samples(samples, counts)
    assert torch.equal(samples, before)


def test_the_same_step_gives_the_same_batch_whatever_came_before() -> None:
    augmentation = Augmentation(AugmentationConfig(), noise_folder=None, seed=3, until=STRONG)
    others = Augmentation(AugmentationConfig(), noise_folder=None, seed=3, until=STRONG)
    others.begin(4, 0.9)
    others.samples(*clips())
    for one in (augmentation, others):
        one.begin(7, 0.5)
    (one, n_one), (two, n_two) = augmentation.samples(*clips()), others.samples(*clips())
    assert torch.equal(one, two)
    assert torch.equal(n_one, n_two)
    others.begin(8, 0.5)
    assert not torch.equal(others.samples(*clips())[0][:, :8000], one[:, :8000])


def test_strength_grows_with_the_share_of_the_run() -> None:
    mild = AugmentationConfig()
    augmentation = Augmentation(mild, noise_folder=None, seed=1, until=STRONG)
    assert augmentation.config == mild
    augmentation.begin(0, 0.5)
    assert augmentation.config.noise == pytest.approx((mild.noise + STRONG.noise) / 2)
    assert augmentation.config.snr_db == pytest.approx((1.5, 30.0))
    assert augmentation.config.mask_bands == 11
    augmentation.begin(1, 1.0)
    assert augmentation.config == STRONG
    augmentation.begin(2)
    assert augmentation.config == mild


def test_settings_that_are_none_are_named() -> None:
    with pytest.raises(DataError, match=r"augmentation\.noise 1\.5 must be from 0 to 1"):
        AugmentationConfig(noise=1.5)
    with pytest.raises(DataError, match=r"augmentation\.snr_db .* must be \(low, high\)"):
        AugmentationConfig(snr_db=(30.0, -5.0))


@pytest.mark.parametrize("ratio_db", [-5.0, 0.0, 10.0, 30.0])
def test_noise_has_the_ratio_asked_for(ratio_db: float) -> None:
    plain, _ = changed_by()
    noisy, counts = changed_by(noise=1.0, snr_db=(ratio_db, ratio_db), gain_db=(-30.0, -30.0))
    noise = noisy - plain * 10 ** (-30 / 20)
    for clip, speech, count in zip(noise, plain, counts.tolist(), strict=True):
        power = clip[:count].square().mean()
        loudness = speech[:count].square().mean() * 10**-3
        assert float(10 * torch.log10(loudness / power)) == pytest.approx(ratio_db, abs=1.0)


def test_the_ratio_is_to_the_speech_without_its_pauses() -> None:
    samples, _ = clips()
    halting = torch.cat([samples[:1], torch.zeros(1, 48000)], dim=1)
    power = channels.active_power(halting)
    assert float(power) == pytest.approx(float(channels.active_power(samples[:1])), rel=0.01)


def test_noise_is_cut_from_the_recordings_and_short_ones_repeat(tmp_path: Path) -> None:
    tone = torch.sin(torch.arange(4000) * 2 * math.pi * 1000 / SAMPLE_RATE) * 0.5
    write_wav(Waveform(tone.numpy()), tmp_path / "tone.wav")
    config = replace(OFF, noise=1.0, snr_db=(-20.0, -20.0), gain_db=(-30.0, -30.0))
    noisy, _ = Augmentation(config, noise_folder=tmp_path, seed=1).samples(*clips())
    assert band_db(noisy, 990, 1010) > band_db(noisy, 2000, 8000) + 30


def test_a_room_adds_an_echo_behind_the_sound(tmp_path: Path) -> None:
    click = torch.zeros(2, 16000)
    click[:, 4000] = 1.0
    augmentation = Augmentation(replace(OFF, room=1.0), noise_folder=None, seed=1)
    heard, _ = augmentation.samples(click, torch.tensor([16000, 16000]))
    assert not heard[:, :3999].abs().max() > 1e-3
    assert (heard[:, 4001:6000].abs().sum(1) > 0.01).all()
    echo = torch.zeros(3000)
    echo[0], echo[2000] = 1.0, 0.5
    write_wav(Waveform(echo.numpy()), tmp_path / "hall_rir.wav")
    augmentation = Augmentation(replace(OFF, room=1.0), noise_folder=tmp_path, seed=1)
    recorded = augmentation._bank.rooms
    torch.testing.assert_close(recorded.norm(dim=1), torch.ones(1))
    heard = channels.filtered(click[:1], recorded)
    assert float(heard[0, 6000] / heard[0, 4000]) == pytest.approx(0.5, abs=0.01)


def test_simulated_rooms_decay_as_long_as_they_should() -> None:
    noise = torch.randn(1, channels.ROOM_SAMPLES)
    room = channels.simulated_rooms(noise, torch.tensor([0.4]), torch.tensor([0.0]))[0]
    assert float(room[0] ** 2 / room[1:].square().sum()) == pytest.approx(1.0, rel=1e-3)
    early, late = room[800:1600].square().mean(), room[4000:4800].square().mean()
    # 0.2 s of 60 dB in 0.4 s.
    assert float(10 * torch.log10(early / late)) == pytest.approx(30.0, abs=2.0)


def through(low_hz: float, high_hz: float, tilt_db: float, bump: tuple[float, float]) -> Tensor:
    samples, _ = clips()
    return channels.through_bands(
        samples[:1],
        low_hz=torch.tensor([low_hz]),
        high_hz=torch.tensor([high_hz]),
        tilt_db=torch.tensor([tilt_db]),
        bump=torch.tensor([bump]),
    )


def test_a_band_limit_takes_the_rest_away() -> None:
    heard = through(300.0, 3400.0, 0.0, (1000.0, 0.0))
    inside = band_db(heard, 600, 3000)
    assert band_db(heard, 0, 100) < inside - 30
    assert band_db(heard, 4200, 8000) < inside - 40
    changed, _ = changed_by(band_limit=1.0)
    assert float(fit(changed, clips()[0]).max()) < 0.999


def test_a_tilt_and_a_resonance_have_their_decibels() -> None:
    tilted = through(-200.0, 8500.0, 3.0, (1000.0, 0.0))
    rise_db = band_db(tilted, 3900, 4100) - band_db(tilted, 975, 1025)
    plain = clips()[0][:1]
    before_db = band_db(plain, 3900, 4100) - band_db(plain, 975, 1025)
    assert rise_db - before_db == pytest.approx(6.0, abs=0.5)
    rung = through(-200.0, 8500.0, 0.0, (2000.0, 9.0))
    gain_db = band_db(rung, 1950, 2050) - band_db(plain, 1950, 2050)
    assert gain_db == pytest.approx(9.0, abs=0.5)
    changed, _ = changed_by(tilt=1.0, tilt_db=(3.0, 3.0))
    assert float(fit(changed, clips()[0]).max()) < 0.95


def test_clipping_meets_the_share_of_samples_asked_for() -> None:
    samples, counts = clips()
    share = torch.tensor([0.01, 0.05, 0.1])
    cut = channels.clipped(samples, counts, share=share, hard=torch.tensor([True] * 3))
    at_limit = (cut.abs() >= cut.abs().amax(1, keepdim=True) * 0.9999).sum(1) / counts
    torch.testing.assert_close(at_limit, share, atol=1e-3, rtol=0)
    soft = channels.clipped(samples, counts, share=share, hard=torch.tensor([False] * 3))
    assert (soft.abs().amax(1) < cut.abs().amax(1)).all()
    assert float(fit(soft, samples).min()) > 0.9
    assert torch.equal(changed_by(clip=1.0)[0] == 0, samples == 0)


def test_mu_law_leaves_256_levels_finer_near_zero() -> None:
    ramp = torch.linspace(-1, 1, 20001)
    coded = channels.mu_law(ramp)
    levels = coded.unique()
    assert len(levels) == 256
    steps = levels.diff()
    assert float(steps[127]) < float(steps[-1]) / 50
    assert float((coded - ramp).abs().max()) < 0.03


def test_a_telephone_line_has_nothing_above_four_kilohertz() -> None:
    samples, _ = clips()
    heard = channels.telephone(samples, peak=torch.tensor([0.5, 0.5, 0.5]))
    assert heard.shape == samples.shape
    assert band_db(heard, 4100, 8000) < band_db(heard, 500, 3800) - 25
    low = torch.fft.irfft(torch.fft.rfft(samples)[:, :3900], 16000)
    assert float(fit(heard, low).min()) > 0.97
    assert float(fit(changed_by(mu_law=1.0)[0], low).min()) > 0.9


def test_padding_lengthens_each_clip_by_its_own_silence() -> None:
    samples, counts = clips()
    padded, n_padded = changed_by(pad=1.0, pad_s=(0.1, 0.5))
    more = n_padded - counts
    assert len(set(more.tolist())) == 3
    assert (more >= 2 * 1600 - 2).all()
    assert (more <= 2 * 8000).all()
    assert padded.shape[1] >= int(n_padded.max())
    for row, plain, count in zip(padded, samples, counts.tolist(), strict=True):
        sound = torch.nonzero(row)[:, 0]
        assert int(sound[0]) >= 1598
        kept = row[int(sound[0]) : int(sound[0]) + count][None]
        start = int(torch.nonzero(plain)[0, 0])
        assert float(fit(kept, plain[start : start + count][None])) > 0.99


def test_past_the_end_stays_silent() -> None:
    config = replace(STRONG, noise=1.0, room=1.0, codec=0.0)
    changed, counts = Augmentation(config, noise_folder=None, seed=2).samples(*clips())
    for row, count in zip(changed, counts.tolist(), strict=True):
        assert not row[count:].any()
        assert row[:count].any()
    assert float(changed.abs().max()) <= 1.0


def vowel() -> Tensor:
    """(1, N) a buzz with two formants: codecs are made for speech, and change noise much."""
    at_s = torch.arange(16000) / SAMPLE_RATE
    tones = [
        torch.sin(2 * math.pi * 120 * k * at_s) / (1 + ((120 * k - 700) / 300) ** 2)
        for k in range(1, 25)
    ]
    return (torch.stack(tones).sum(0) * 0.2)[None]


@pytest.mark.parametrize("codec", sorted(codecs.CODECS))
@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_codecs_change_a_clip_but_keep_it_in_place(codec: str, quality: float) -> None:
    if codec not in codecs.usable_codecs():
        pytest.skip(f"this libsndfile writes no {codec}")
    plain = vowel()
    coded = torch.from_numpy(codecs.through_codec(plain[0].numpy(), codec, quality))[None]
    assert coded.shape == plain.shape
    assert 0.8 < float(fit(coded, plain)) < 0.9999999
    assert not torch.equal(coded, plain)


def test_coded_clips_keep_their_level() -> None:
    config = replace(OFF, codec=1.0)
    augmentation = Augmentation(config, noise_folder=None, seed=1)
    coded, n_samples = augmentation.samples(vowel(), torch.tensor([16000]))
    assert int(n_samples) == 16000
    assert float(coded.square().mean().sqrt()) == pytest.approx(0.1, rel=0.1)


def test_a_codec_that_is_not_there_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = replace(codecs.CODECS["opus"], kind="NO_SUCH_KIND")
    monkeypatch.setattr(codecs, "CODECS", {"odd": unknown})
    codecs.usable_codecs.cache_clear()
    with caplog.at_level("INFO"):
        changed, _ = changed_by(codec=1.0)
    codecs.usable_codecs.cache_clear()
    assert "writes no odd" in caplog.text
    assert float(fit(changed, clips()[0]).min()) > 0.999


def test_fast_sizes_hold_the_clip_without_much_more() -> None:
    for length in (1, 7, 1000, 65536, 65537, 83680, 2**17 - 1):
        size = channels.fast_size(length)
        assert length <= size <= max(8, 1.26 * length)


def test_warp_moves_a_peak_along_the_bands() -> None:
    frames = torch.zeros(1, 4, 80)
    frames[:, :, 40] = 1.0
    config = AugmentationConfig(warp=(1.25, 1.25))
    warped = Augmentation(config, noise_folder=None, seed=1).warp(frames)
    assert int(warped[0, 0].argmax()) == 32


@pytest.mark.parametrize("n_masks", [0, 1, 2, 5])
def test_masks_stay_within_their_share(n_masks: int) -> None:
    frames = torch.ones(8, 200, 80)
    config = AugmentationConfig(n_masks=n_masks, mask_share=0.1, mask_bands=10)
    masked = Augmentation(config, noise_folder=None, seed=1).mask(frames, torch.full((8,), 200))
    whole_frames, whole_bands = ((masked == 0).all(dim).sum(1) for dim in (2, 1))
    for counts, widest in ((whole_frames, 0.1 * 200), (whole_bands, 10)):
        # Each is half as wide at the mean, and may lie upon another.
        assert float(counts.float().mean()) >= 0.3 * widest * min(1, n_masks)
        assert int(counts.max()) <= n_masks * (widest + 1)


def test_effects_run_where_the_samples_are() -> None:
    # The meta device refuses to meet tensors of the CPU, as a GPU would.
    augmentation = Augmentation(STRONG, noise_folder=None, seed=1)
    rows = torch.zeros(2, 100, 80, device="meta")
    samples, each = torch.zeros(2, 16000, device="meta"), torch.zeros(2, device="meta")
    tail = torch.zeros(2, channels.ROOM_SAMPLES, device="meta")
    bump = torch.zeros(2, 2, device="meta")
    done = [
        augmentation.warp(rows),
        augmentation.mask(rows, each),
        augmentation._in_rooms(samples),
        augmentation._in_channels(samples),
        augmentation._on_the_telephone(samples),
        augmentation._at_another_speed(samples, each)[0],
        channels.filtered(samples, channels.simulated_rooms(tail, each, each)),
        channels.through_bands(samples, low_hz=each, high_hz=each, tilt_db=each, bump=bump),
        channels.active_power(samples),
    ]
    assert all(result.device.type == "meta" for result in done)


def test_an_empty_or_missing_noise_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no noise"):
        Augmentation(AugmentationConfig(), noise_folder=tmp_path, seed=1)
    with pytest.raises(DataError, match="cannot be read"):
        Augmentation(AugmentationConfig(), noise_folder=tmp_path / "none", seed=1)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"bad\.wav cannot be read"):
        Augmentation(AugmentationConfig(), noise_folder=tmp_path, seed=1)


def test_wordless_clips_keep_nothing_of_the_speech() -> None:
    augmentation = Augmentation(OFF, noise_folder=None, seed=3)
    samples, counts = clips()
    wordless = torch.tensor([False, True, False])
    changed, n_changed = augmentation.samples(samples.clone(), counts, wordless)
    assert torch.equal(n_changed, counts)
    fits = fit(changed, samples)
    assert float(fits[[0, 2]].min()) > 0.999
    assert abs(float(fits[1])) < 0.05
    assert float(changed[1].abs().max()) > 0  # noise it is, and not silence


def test_so_many_clips_lose_their_speech_as_the_setting_says() -> None:
    augmentation = Augmentation(replace(OFF, wordless=0.25), noise_folder=None, seed=3)
    augmentation.begin(1)
    share = augmentation.wordless(4000).float().mean()
    assert float(share) == pytest.approx(0.25, abs=0.03)


def test_a_cut_of_short_noise_does_not_depend_on_longer_ones_before_it() -> None:
    bank = NoiseBank(torch.arange(100.0), torch.zeros(0, 8))
    cpu = torch.device("cpu")
    before = bank.cuts(40, 6, Draws(1), cpu)
    assert bank.cuts(250, 2, Draws(2), cpu).shape == (2, 250)
    torch.testing.assert_close(bank.cuts(40, 6, Draws(1), cpu), before)
