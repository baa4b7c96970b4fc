"""Long recordings: where they are cut, and that the joined hearing is that of one clip."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.model.ear import listen
from audiochat.model.windows import (
    hear_in_windows,
    hear_whole,
    joined,
    part_of,
    quietest_cuts,
    window_cuts,
)
from tests.model.test_audio_chat_llama import spoken

FRAME = 1280


def drained(steps):
    found = []
    while True:
        try:
            found.append(next(steps))
        except StopIteration as end:
            return found, end.value


def test_cuts_fall_into_the_pauses() -> None:
    sound = np.random.default_rng(0).standard_normal(100 * FRAME).astype(np.float32)
    for pause in (25, 52, 80):
        sound[(pause - 3) * FRAME : (pause + 3) * FRAME] = 0
    assert [
        abs(cut - near) <= 1
        for cut, near in zip(quietest_cuts(sound, FRAME, 36)[1:-1], (25, 52, 80), strict=True)
    ] == [True] * 3


@pytest.mark.parametrize("n_samples", [1, FRAME, 20 * FRAME, 20 * FRAME + 1, 333 * FRAME + 7])
def test_windows_cover_the_whole_and_keep_to_the_length(n_samples: int) -> None:
    sound = np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32)
    cuts = quietest_cuts(sound, FRAME, 20)
    assert (cuts[0], cuts[-1]) == (0, -(-n_samples // FRAME))
    lengths = [last - first for first, last in pairwise(cuts)]
    assert max(lengths) <= 20
    assert len(lengths) == 1 or min(lengths) >= 10
    assert cuts == quietest_cuts(sound, FRAME, 20)


@pytest.fixture(scope="module")
def long() -> Waveform:
    """Twenty seconds of speech."""
    one = spoken("The library opens at nine on weekdays. On Saturday it closes at noon.").samples
    n_times = -(-20 * SAMPLE_RATE // len(one))
    return Waveform(np.tile(one, n_times))


def test_a_short_clip_is_heard_as_ever(bot: AudioChatLlama, long: Waveform) -> None:
    clip = Waveform(long.samples[: 5 * SAMPLE_RATE])
    ear, units = bot.parts.ear, bot.parts.units
    steps, hearing = drained(hear_in_windows(ear, units, clip))
    (expected,) = listen(ear, units, [clip])
    assert steps == [(1, 1)]
    assert hearing.reading == expected.reading
    assert torch.equal(hearing.log_probs, expected.log_probs)


def test_windows_join_to_one_hearing(bot: AudioChatLlama, long: Waveform) -> None:
    ear, units = bot.parts.ear, bot.parts.units
    steps, hearing = drained(hear_in_windows(ear, units, long, window_s=8.0))
    (whole,) = listen(ear, units, [long])
    assert steps == [(number, len(steps)) for number in range(1, len(steps) + 1)]
    assert len(steps) > 2
    assert hearing.frames.shape == whole.frames.shape
    assert hearing.log_probs.shape == whole.log_probs.shape
    reading = hearing.reading
    assert list(reading.frames) == sorted(reading.frames)
    assert len(reading.frames) == len(reading.units)
    assert units.decode(reading.units) == reading.text
    assert " ".join(word.text for word in reading.words) == reading.text
    assert all(0 <= w.first_frame <= w.last_frame < len(whole.frames) for w in reading.words)
    assert 0 < hearing.confidence <= 1
    # Most frames say the same unit as when all is heard at once.
    same = hearing.log_probs.argmax(-1) == whole.log_probs.argmax(-1)
    assert same.float().mean() > 0.8


def test_parts_of_a_hearing_join_to_it(bot: AudioChatLlama, long: Waveform) -> None:
    units = bot.parts.units
    hearing = bot.hear(long)
    cuts = window_cuts(long, bot.parts.ear)
    parts = [part_of(hearing, first, last, units) for first, last in pairwise(cuts)]
    again = joined(parts, units)
    assert again.text == hearing.text
    assert again.reading.frames == hearing.reading.frames
    assert torch.equal(again.frames, hearing.frames)


def test_hearing_can_be_stopped_and_is_kept_once_done(bot: AudioChatLlama, long: Waveform) -> None:
    bot.close()
    follow = bot._hearings.follow(long, None)
    next(follow)
    follow.close()
    assert len(bot._hearings) == 0
    assert len(list(bot._hearings.follow(long, None))) > 1
    assert len(bot._hearings) == 1
    assert list(bot._hearings.follow(long, None)) == []


def test_a_recording_that_grew_is_heard_from_its_last_windows_on(
    bot: AudioChatLlama, long: Waveform, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot.close()
    heard: list[float] = []

    def counted(ear, units, clips):
        heard.append(clips[0].duration_s)
        return listen(ear, units, clips)

    monkeypatch.setattr("audiochat.model.windows.listen", counted)
    much = np.tile(long.samples, 4)
    bot.hear(Waveform(much[: 60 * SAMPLE_RATE]))
    before = len(heard)
    grown = Waveform(much[: 65 * SAMPLE_RATE])
    hearing = bot.hear(grown)
    assert before >= 4
    assert len(heard) - before <= 2
    assert hearing.reading == hear_whole(bot.parts.ear, bot.parts.units, grown, bot.read).reading
