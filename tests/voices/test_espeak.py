"""The espeak voice itself: what it says, how long, how high, and what it survives."""

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from audiochat.audio import Waveform
from audiochat.errors import VoiceError
from audiochat.voices import espeak
from audiochat.voices.base import MAX_TEXT_CHARS, VoiceStyle
from audiochat.voices.espeak import ACCENTS, RECOMMENDED, EspeakVoice, phonemes, voice_label

SENTENCE = "The quick brown fox jumps over the lazy dog today."


@pytest.fixture(scope="module")
def voice() -> EspeakVoice:
    return EspeakVoice()


def median_f0_hz(waveform: Waveform) -> float:
    """Median fundamental over the voiced windows of 93 ms, by autocorrelation."""
    window, found = 2048, []
    shortest, longest = waveform.sample_rate // 450, waveform.sample_rate // 60
    for start in range(0, len(waveform.samples) - window, window // 2):
        frame = waveform.samples[start : start + window].astype(np.float64)
        frame -= frame.mean()
        if np.sqrt(np.mean(frame**2)) < 0.03:
            continue
        power = np.correlate(frame, frame, "full")[window - 1 :]
        lag = shortest + int(np.argmax(power[shortest:longest]))
        if power[lag] > 0.5 * power[0]:
            found.append(waveform.sample_rate / lag)
    return float(np.median(found))


def test_a_sentence_is_speech_of_a_plausible_length(voice: EspeakVoice) -> None:
    waveform = voice.speak(SENTENCE)
    assert waveform.sample_rate == 22_050
    assert 2.0 < waveform.duration_s < 5.0
    assert -35 < waveform.rms_db < -10
    assert np.count_nonzero(waveform.samples[-2000:]) == 0  # the pause behind a sentence


def test_more_text_takes_longer(voice: EspeakVoice) -> None:
    short, long = voice.speak(SENTENCE), voice.speak(f"{SENTENCE} {SENTENCE} {SENTENCE}")
    assert long.duration_s > 2.5 * short.duration_s


def test_speed_is_the_factor_of_the_length(voice: EspeakVoice) -> None:
    plain = voice.speak(SENTENCE).duration_s
    for speed in (0.5, 0.8, 1.25, 2.0):
        duration_s = voice.speak(SENTENCE, VoiceStyle(speed=speed)).duration_s
        assert duration_s == pytest.approx(plain / speed, rel=0.2)


@pytest.mark.parametrize("name", ["en-us", "en-gb+f2"])
def test_pitch_is_the_factor_of_the_fundamental(voice: EspeakVoice, name: str) -> None:
    plain = median_f0_hz(voice.speak(SENTENCE, VoiceStyle(voice=name)))
    for pitch in (0.7, 1.2, 1.5):
        moved = median_f0_hz(voice.speak(SENTENCE, VoiceStyle(voice=name, pitch=pitch)))
        assert moved / plain == pytest.approx(pitch, rel=0.12)


def test_a_style_leaves_nothing_behind(voice: EspeakVoice) -> None:
    before = voice.speak(SENTENCE)
    voice.speak(SENTENCE, VoiceStyle(voice="en-us+f3", speed=2.0, pitch=2.0))
    after = voice.speak(SENTENCE)
    assert after.duration_s == pytest.approx(before.duration_s, rel=0.02)
    assert median_f0_hz(after) == pytest.approx(median_f0_hz(before), rel=0.03)


@pytest.mark.parametrize("text", ["", "  ", "...", "🎉🎉", "\x00"])
def test_a_text_with_nothing_to_say_is_a_moment_of_silence(voice: EspeakVoice, text: str) -> None:
    waveform = voice.speak(text)
    assert 0 < waveform.duration_s < 0.1
    assert not waveform.samples.any()


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b",
        "Well 🎉 done 👍🏽",
        "Привет мир",
        "你好世界",
        "مرحبا بالعالم",
        "\ud800 half a pair",
        "<speak><break time='9s'/>hi</speak> &amp; [[h@l'oU]]",
        "# Title\n* **one**\n* two\n```python\nprint(1)\n```",
        "a" * MAX_TEXT_CHARS,
        "1" * MAX_TEXT_CHARS,
        "(" * 2_000 + "deep" + ")" * 2_000,
        "supercalifragilistic " * 200,
    ],
)
def test_strange_text_is_spoken(voice: EspeakVoice, text: str) -> None:
    assert voice.speak(text).rms_db > -60


def test_random_text_never_breaks_it(voice: EspeakVoice) -> None:
    chance = random.Random(7)
    for _ in range(200):
        chars = [
            chr(chance.choice([chance.randrange(0x250), chance.randrange(0x110000)]))
            for _ in range(chance.randrange(1, 60))
        ]
        assert voice.speak("".join(chars)).duration_s > 0


def test_what_cannot_be_said_in_reasonable_time_is_refused(voice: EspeakVoice) -> None:
    with pytest.raises(VoiceError, match="10 minutes"):
        voice.speak("你" * 3_000)
    with pytest.raises(VoiceError, match="at a time"):
        voice.speak("a" * (MAX_TEXT_CHARS + 1))
    assert voice.speak(SENTENCE).duration_s > 2.0


def test_two_threads_get_what_each_asked_for(voice: EspeakVoice) -> None:
    texts = [("One.", VoiceStyle()), (SENTENCE * 4, VoiceStyle(voice="en-gb+f2", speed=1.5))]
    alone = [voice.speak(*text).duration_s for text in texts]
    other = EspeakVoice("en-gb")
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(v.speak, *texts[i % 2]) for i, v in enumerate([voice, other] * 20)]
        together = [job.result().duration_s for job in jobs]
    assert together[0::2] == pytest.approx([alone[0]] * 20, rel=0.1)
    assert together[1::2] == pytest.approx([alone[1]] * 20, rel=0.1)


def test_the_short_list_comes_first_and_all_of_it_speaks(voice: EspeakVoice) -> None:
    names = voice.voices()
    assert names[: len(RECOMMENDED)] == list(RECOMMENDED)
    assert set(ACCENTS) <= set(names)
    assert len(names) == len(set(names)) > 100
    for name in [*RECOMMENDED, *ACCENTS, "de", "fr-fr"]:
        assert voice.speak("Hello.", VoiceStyle(voice=name)).rms_db > -40


def test_voices_are_different_voices(voice: EspeakVoice) -> None:
    assert median_f0_hz(voice.speak(SENTENCE, VoiceStyle(voice="en-us+f3"))) > 1.5 * median_f0_hz(
        voice.speak(SENTENCE, VoiceStyle(voice="en-us"))
    )


def test_labels_are_for_people() -> None:
    assert voice_label("en-gb+f2") == "British, female 2"
    assert voice_label("en-us+Annie") == "American, Annie"
    assert voice_label("en-gb-scotland") == "Scottish"
    assert voice_label("p225") == "p225"


def test_phonemes_are_those_of_the_language() -> None:
    assert phonemes("hello", "en-us") == "h_ə_l_\u02c8oʊ"
    assert phonemes("hello", "en-gb") != phonemes("hello", "en-us")
    assert phonemes("", "en-us") == ""
    with pytest.raises(VoiceError):
        phonemes("hello", "xx")


def test_a_library_that_does_not_load_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: "/nowhere/libespeak-ng.so")
    with pytest.raises(VoiceError, match=r"cannot be loaded.*pip install"):
        espeak._Library()


def test_an_environment_deep_in_the_file_system_is_no_obstacle(tmp_path: Path) -> None:
    """espeak-ng cuts paths off at 160 bytes. In a process of its own, for its state is one."""
    deep = tmp_path.joinpath(*["quite-a-long-name"] * 10)
    deep.mkdir(parents=True)
    package = Path(espeakng_loader.__file__).parent
    (deep / package.name).mkdir()
    for part in package.iterdir():
        (deep / package.name / part.name).symlink_to(part)
    code = (
        f"import sys; sys.path.insert(0, {str(deep)!r})\n"
        "import espeakng_loader\n"
        "from audiochat.voices.espeak import EspeakVoice\n"
        "print(len(espeakng_loader.get_data_path()), EspeakVoice().speak('Hello.').duration_s)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(espeak.__file__).parents[2],
    )
    length, duration_s = done.stdout.split()
    assert int(length) > 180
    assert float(duration_s) > 0.4


def test_a_wavering_voice_repeats() -> None:
    code = (
        "import hashlib, audiochat.voices.espeak as espeak\n"
        "said = espeak.EspeakVoice('en-gb+f2').speak('Where are you going now?')\n"
        "print(hashlib.sha256(said.samples.tobytes()).hexdigest())\n"
    )
    said = []
    for _ in range(2):
        time.sleep(1)  # its own seed would be the clock's second
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        said.append(done.stdout)
    assert said[0] == said[1]
