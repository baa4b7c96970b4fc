"""Decoding is bounded and friendly; a Waveform is a value; resampling does not alias."""

import copy
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiochat import audio_decoding
from audiochat.audio import (
    RECORDING_LIMITS,
    SAMPLE_RATE,
    TURN_LIMITS,
    AudioLimits,
    Waveform,
    concatenate,
    decode,
    encode_wav,
    resample,
    to_int16,
    waveform_from_pcm,
    write_wav,
)
from audiochat.errors import AudioError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def tone(hz: float = 440.0, seconds: float = 0.5, rate: int = SAMPLE_RATE) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return (0.25 * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def sound_file(samples: np.ndarray, rate: int, kind: str = "WAV", subtype: str = "PCM_16") -> bytes:
    buffer = BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def level_at(samples: np.ndarray, hz: float, rate: int = SAMPLE_RATE) -> float:
    """Level in dB of the strongest component within 30 Hz of `hz`."""
    window = np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(samples * window)) * 2 / window.sum()
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    return 20 * float(np.log10(spectrum[np.abs(frequencies - hz) < 30].max() + 1e-12))


# What can be read


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_every_rate_becomes_16_khz_of_the_same_length_and_pitch(rate):
    waveform = decode(sound_file(tone(rate=rate), rate))
    assert waveform.sample_rate == SAMPLE_RATE
    assert waveform.samples.dtype == np.float32
    assert waveform.duration_s == pytest.approx(0.5, abs=0.001)
    assert level_at(waveform.samples, 440) == pytest.approx(-12.0, abs=0.5)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAV", "ULAW"),
        ("WAVEX", "PCM_16"),
        ("RF64", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_every_kind_of_file_is_read(kind, subtype):
    waveform = decode(sound_file(tone(rate=48_000), 48_000, kind, subtype))
    # MP3 pads the ends by up to two frames of 24 ms.
    assert waveform.duration_s == pytest.approx(0.5, abs=0.06)
    assert level_at(waveform.samples, 440) == pytest.approx(-12.0, abs=1.0)


@pytest.mark.parametrize("n_channels", [1, 2, 8])
def test_channels_are_averaged(n_channels):
    channels = np.zeros((8_000, n_channels), np.float32)
    channels[:, 0] = tone()
    waveform = decode(sound_file(channels, SAMPLE_RATE, subtype="FLOAT"))
    np.testing.assert_allclose(waveform.samples, tone() / n_channels, atol=1e-6)


def test_the_content_decides_not_the_name(tmp_path):
    path = tmp_path / "actually-flac.wav"
    path.write_bytes(sound_file(tone(), SAMPLE_RATE, "FLAC"))
    assert decode(path) == decode(str(path)) == decode(path.read_bytes())


def test_a_wav_of_unknown_length_is_read_to_its_end():
    # Recorders that write to a pipe leave the greatest number as the length of the data.
    data = bytearray(encode_wav(Waveform(tone())))
    struct.pack_into("<I", data, 4, 0xFFFFFFFF)
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    assert decode(bytes(data)) == decode(encode_wav(Waveform(tone())))


def test_a_cut_off_wav_gives_what_is_there():
    data = sound_file(tone(), SAMPLE_RATE)
    assert decode(data[: len(data) // 2 + 22]).duration_s == pytest.approx(0.25, abs=0.01)


def test_decoding_in_blocks_equals_decoding_at_once(monkeypatch):
    data = sound_file(tone(rate=44_100), 44_100)
    whole = decode(data)
    monkeypatch.setattr(audio_decoding, "BLOCK_FRAMES", 1_000)
    np.testing.assert_allclose(decode(data).samples, whole.samples, atol=1e-6)


def test_float_sound_beyond_full_scale_is_scaled_not_clipped():
    waveform = decode(sound_file(tone() * 20, SAMPLE_RATE, subtype="FLOAT"))
    np.testing.assert_allclose(waveform.samples, tone() / np.abs(tone()).max(), atol=1e-5)


# What cannot be used


def forged_flac(rate: int) -> bytes:
    """A FLAC file whose header claims another sample rate (20 bits at byte 18)."""
    data = bytearray(sound_file(tone(), SAMPLE_RATE, "FLAC"))
    data[18], data[19] = rate >> 12, rate >> 4 & 0xFF
    data[20] = (rate & 0xF) << 4 | data[20] & 0xF
    return bytes(data)


def flac_bomb(seconds: int) -> bytes:
    """Silence: an hour takes 180 kB and unpacks to 230 MB."""
    buffer = BytesIO()
    silence = np.zeros(60 * SAMPLE_RATE, np.int16)
    with soundfile.SoundFile(buffer, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as file:
        for _ in range(seconds // 60):
            file.write(silence)
    return buffer.getvalue()


def wide_flac() -> bytes:
    """20 s of 8 channels at 192 kHz: some 130 kB that unpack to 123 MB."""
    buffer = BytesIO()
    with soundfile.SoundFile(buffer, "w", 192_000, 8, "PCM_16", format="FLAC") as file:
        for _ in range(20):
            file.write(np.zeros((192_000, 8), np.int16))
    return buffer.getvalue()


def with_value(value: float) -> bytes:
    samples = tone()
    samples[4_000] = value
    return sound_file(samples, SAMPLE_RATE, subtype="FLOAT")


HOSTILE = {
    "empty": (b"", "empty", "another file"),
    "text named wav": (b"RIFFLES are chips, and not a sound.", "text", "Send WAV"),
    "playlist": (b"#EXTM3U\nhttp://example.com/a.ts\n", "text", "Send WAV"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "not a sound file", "Send WAV"),
    "header only": (sound_file(np.zeros(0), SAMPLE_RATE), "no sound", "Record again"),
    "torn header": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "damaged", "Record it again"),
    "broken flac": (b"fLaC" + os.urandom(3_000), "damaged", "Record it again"),
    "broken ogg": (b"OggS" + os.urandom(3_000), "damaged", "Record it again"),
    "one sample": (sound_file(np.ones(1) / 2, SAMPLE_RATE), "at least 0.2 s", "longer"),
    "too short": (sound_file(tone(seconds=0.1), SAMPLE_RATE), "lasts 0.1 s", "longer"),
    "digital silence": (sound_file(np.zeros(16_000), SAMPLE_RATE), "silent", "microphone"),
    "muted": (sound_file(tone() / 1_000, SAMPLE_RATE, subtype="FLOAT"), "silent", "not muted"),
    "not a number": (with_value(np.nan), "NaN", "16-bit"),
    "infinite": (with_value(-np.inf), "NaN", "16-bit"),
    "nine channels": (sound_file(np.ones((9_000, 9)) / 2, 16_000), "9 channels", "mono"),
    "655 kHz": (forged_flac(655_350), "655350 Hz", "48000"),
    "1 Hz": (forged_flac(1), "1 Hz", "48000"),
    "flac bomb": (flac_bomb(180), "longer than 120 s", "shorter"),
    "too long": (sound_file(tone(seconds=121), SAMPLE_RATE), "longer than 120 s", "shorter"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_sound_is_one_error_that_says_what_and_what_to_do(name, tmp_path):
    data, what, remedy = HOSTILE[name]
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(AudioError) as caught:
            decode(source)
        assert what in str(caught.value)
        assert remedy in str(caught.value)


def test_a_sound_that_unpacks_to_too_much_is_refused():
    limits = AudioLimits(max_bytes=10**6, max_s=60, max_decoded_bytes=16 * 2**20)
    with pytest.raises(AudioError, match="unpacks to more than 16 MB"):
        decode(wide_flac(), limits)


@pytest.mark.parametrize("limits", [TURN_LIMITS, RECORDING_LIMITS])
def test_a_file_of_too_many_bytes_is_not_even_read(limits, tmp_path):
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(limits.max_bytes + 1)
    with pytest.raises(AudioError, match=r"at most (25|120) MB"):
        decode(path, limits)


@pytest.mark.parametrize("name", ["absent.wav", ".", "pipe"])
def test_what_is_no_plain_file_is_refused_at_once(name, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AudioError, match=r"cannot be read|not a file"):
        decode(tmp_path / name)


@pytest.mark.parametrize("name", ["absent.wav", "folder"])
def test_a_refusal_names_the_file_but_not_where_it_lies(name, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(AudioError, match=f"^{name} ") as refused:
        decode(tmp_path / name)
    assert str(tmp_path) not in str(refused.value)


def test_random_damage_gives_a_sound_or_the_error_and_nothing_else():
    rng = np.random.default_rng(0)
    kinds = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
    for kind, subtype in kinds:
        good = sound_file(tone(rate=48_000), 48_000, kind, subtype)
        for _ in range(25):
            data = bytearray(good)
            for place in rng.integers(0, len(data), size=20):
                data[place] = rng.integers(0, 256)
            try:
                waveform = decode(bytes(data))
            except AudioError:
                continue
            assert np.isfinite(waveform.samples).all()
            assert np.abs(waveform.samples).max() <= 1.0


BOMBS_SCRIPT = """
import json, re, sys, time
from pathlib import Path
from audiochat.audio import decode
from audiochat.errors import AudioError
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        decode(path)
    except AudioError as error:
        text = str(error)
    seconds = time.process_time() - start
    # Not ru_maxrss: that starts at the peak of the process that began this one.
    peak_mb = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    print(json.dumps([text, seconds, peak_mb]))
"""


def test_bombs_cost_little_time_and_memory(tmp_path):
    text = b"RIFFLES are chips, and not a sound."
    bombs = [flac_bomb(3_600), wide_flac(), forged_flac(655_350), with_value(np.nan), text, b""]
    paths = [tmp_path / f"{index}.wav" for index in range(len(bombs))]
    for path, data in zip(paths, bombs, strict=True):
        path.write_bytes(data)
    command = [sys.executable, "-c", BOMBS_SCRIPT, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(bombs), done.stderr
    for text, seconds, peak_mb in rows:
        assert text
        assert seconds < 2.0
        assert peak_mb < 300


# ffmpeg


def by_ffmpeg(tmp_path: Path, name: str, rate: int = 48_000) -> bytes:
    source, target = tmp_path / "source.wav", tmp_path / name
    stereo = np.stack([tone(rate=rate, seconds=1), tone(rate=rate, seconds=1)], axis=1)
    soundfile.write(source, stereo, rate)
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-c:a"]
    codec = "libopus" if name.endswith("webm") else "aac"
    subprocess.run([*command, codec, str(target)], check=True)
    return target.read_bytes()


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.webm", "a.m4a", "a.mp4", "a.aac"])
def test_browser_and_phone_recordings_are_read_through_ffmpeg(name, tmp_path):
    waveform = decode(by_ffmpeg(tmp_path, name))
    assert waveform.duration_s == pytest.approx(1.0, abs=0.1)
    # Short fades where the codecs begin and end.
    assert level_at(waveform.samples, 440) == pytest.approx(-12.0, abs=1.5)


@needs_ffmpeg
def test_what_ffmpeg_reads_is_bounded_too(tmp_path):
    limits = AudioLimits(max_bytes=10**6, max_s=0.5, max_decoded_bytes=10**7)
    with pytest.raises(AudioError, match=r"longer than 0\.5 s"):
        decode(by_ffmpeg(tmp_path, "a.webm"), limits)
    with pytest.raises(AudioError, match="looks like WebM but is damaged"):
        decode(b"\x1a\x45\xdf\xa3" + os.urandom(2_000))


@pytest.mark.parametrize("head", [b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x20ftypM4A ", b"\xff\xf1"])
def test_without_ffmpeg_the_error_names_it(head, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AudioError, match="Install ffmpeg"):
        decode(head + bytes(100))


def test_an_ffmpeg_that_hangs_is_killed_with_its_children(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/child\nwait\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(audio_decoding, "FFMPEG_TIMEOUT_S", 1.0)
    start = time.monotonic()
    with pytest.raises(AudioError, match="WebM"):
        decode(b"\x1a\x45\xdf\xa3" + bytes(100))
    assert time.monotonic() - start < 20
    child = int((tmp_path / "child").read_text())
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


# PCM


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("n_channels", [0, 1, 2])
def test_pcm_of_every_type_gives_the_same_sound(dtype, n_channels):
    samples = tone().astype(np.float64)
    if dtype == "uint8":
        samples = samples * 128 + 128
    elif not dtype.startswith("float"):
        samples = samples * -float(np.iinfo(dtype).min)
    pcm = samples.astype(dtype)
    if n_channels:
        pcm = np.repeat(pcm[:, None], n_channels, axis=1)
    waveform = waveform_from_pcm(pcm, SAMPLE_RATE)
    np.testing.assert_allclose(waveform.samples, tone(), atol=1.01 / 128)


@pytest.mark.parametrize(
    ("samples", "rate", "what"),
    [
        (np.zeros((2, 8_000), np.int16), SAMPLE_RATE, "8000 channels"),
        (np.zeros((1, 2, 3)), SAMPLE_RATE, "must be"),
        (np.zeros(8_000, np.int64), SAMPLE_RATE, "int64"),
        (np.zeros(8_000, bool), SAMPLE_RATE, "bool"),
        (np.zeros(8_000, np.int16), 0, "0 Hz"),
        (np.zeros(0, np.int16), SAMPLE_RATE, "no sound"),
        (np.full(8_000, np.nan), SAMPLE_RATE, "NaN"),
        (np.full(8_000, 1e300), SAMPLE_RATE, "NaN"),
        (np.zeros(130 * SAMPLE_RATE, np.int8), SAMPLE_RATE, "longer than 120 s"),
    ],
)
def test_bad_pcm_is_refused(samples, rate, what):
    with pytest.raises(AudioError, match=what):
        waveform_from_pcm(samples, rate)


# Resampling


@pytest.mark.parametrize("hz", [9_000, 12_000, 15_000, 20_000])
def test_a_tone_above_the_new_nyquist_vanishes(hz):
    samples = resample(tone(hz, rate=48_000), 48_000, SAMPLE_RATE)
    inner = samples[800:-800]
    assert np.abs(inner).max() < 0.25 * 10 ** (-80 / 20)


@pytest.mark.parametrize("from_hz", [8_000, 22_050, 44_100, 191_999])
def test_a_tone_within_passes_unchanged(from_hz):
    samples = resample(tone(3_000, rate=from_hz), from_hz, SAMPLE_RATE)
    assert len(samples) == pytest.approx(8_000, abs=1)
    np.testing.assert_allclose(samples[800:-800], tone(3_000)[800 : len(samples) - 800], atol=2e-3)


# The value


def test_a_waveform_cannot_be_changed():
    samples = tone()
    waveform = Waveform(samples)
    samples[:] = 0
    assert waveform == Waveform(tone())
    with pytest.raises(ValueError, match="read-only"):
        waveform.samples[0] = 1
    assert copy.copy(waveform) is copy.deepcopy({"a": [waveform]})["a"][0] is waveform
    pickled = pickle.loads(pickle.dumps(waveform))
    assert pickled == waveform
    assert not pickled.samples.flags.writeable


def test_the_digest_names_samples_and_rate():
    waveforms = {Waveform(tone()), Waveform(tone()), Waveform(-tone()), Waveform(tone(), 22_050)}
    assert len(waveforms) == len({waveform.digest for waveform in waveforms}) == 3


def test_level_and_length():
    assert Waveform(tone()).rms_db == pytest.approx(-15.05, abs=0.01)
    assert Waveform(np.zeros(5)).rms_db == Waveform(np.zeros(0)).rms_db == -np.inf
    assert Waveform(tone(), 8_000).duration_s == 1.0


def test_16_bit_sound_survives_saving_and_reading(tmp_path):
    pcm = np.arange(-32_768, 32_768, dtype=np.int32).astype(np.int16)
    waveform = waveform_from_pcm(pcm, SAMPLE_RATE)
    np.testing.assert_array_equal(to_int16(waveform), pcm)
    write_wav(waveform, tmp_path / "a.wav")
    assert decode(tmp_path / "a.wav") == waveform
    assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_16"


def test_joining_keeps_the_rate_of_the_first():
    joined = concatenate([Waveform(tone(rate=22_050), 22_050), Waveform(tone())])
    assert joined.sample_rate == 22_050
    assert joined.duration_s == pytest.approx(1.0, abs=1e-3)
    assert concatenate([]).duration_s == 0


def test_ten_minutes_decode_in_bounded_memory_and_more_is_refused(tmp_path):
    def stereo_file(seconds: int) -> Path:
        path = tmp_path / f"{seconds}.flac"
        second = np.repeat(tone(seconds=1).reshape(-1, 1), 2, axis=1)
        with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2) as file:
            for _ in range(seconds):
                file.write(second)
        return path

    path = stereo_file(600)
    tracemalloc.start()
    waveform = decode(path, RECORDING_LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert waveform.duration_s == 600
    # The file, the mono samples and two copies on the way; both channels alone would be two more.
    assert peak < path.stat().st_size + 3.5 * waveform.samples.nbytes
    with pytest.raises(AudioError, match="longer than 600 s"):
        decode(stereo_file(601), RECORDING_LIMITS)
