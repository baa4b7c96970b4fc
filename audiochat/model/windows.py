"""Long recordings, heard window by window and joined into one hearing.

The ear learnt from clips of up to 18 s; a longer recording is cut at its quietest places, so that
what is after this module needs not know how long it was.
"""

import math
from collections.abc import Generator, Iterator, MutableMapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from audiochat.audio import SAMPLE_RATE, Waveform
from audiochat.model.alignment import HeardWord, Reading, read_greedily
from audiochat.model.ear import Ear, Hearing, Read, listen
from audiochat.model.streaming import frame_samples
from audiochat.model.units import Units

WINDOW_S = 15.0
"""Longest window."""
MARGIN_S = 1.0
"""Sound before and after a window that is heard with it and then left out."""
QUIET_FRAMES = 5
"""Encoder frames that a place to cut is judged by: 0.4 s, longer than the stop within a "t"."""


def quietest_cuts(samples: np.ndarray, frame: int, longest: int) -> list[int]:
    """Frames where a recording is cut into windows: the quietest of each second half.

    Args:
        samples: (N,) of the recording.
        frame: samples to a frame.
        longest: most frames of a window, at least 2.

    Returns:
        Where each window starts, and the end; none is shorter than half of the longest, but for a
        recording that is.
    """
    n_frames = -(-len(samples) // frame)
    padded = np.zeros(n_frames * frame, np.float32)
    padded[: len(samples)] = samples
    power = np.square(padded).reshape(n_frames, frame).mean(axis=1)
    around = np.convolve(power, np.ones(QUIET_FRAMES), mode="same")
    shortest = longest // 2
    cuts = [0]
    while n_frames - cuts[-1] > longest:
        first = cuts[-1] + shortest
        last = min(cuts[-1] + longest, n_frames - shortest)
        # The latest of equals: fewer windows.
        best = last - int(around[first : last + 1][::-1].argmin())
        cuts.append(best)
    return [*cuts, n_frames]


def window_cuts(waveform: Waveform, ear: Ear, window_s: float = WINDOW_S) -> list[int]:
    """The frames where the windows of a recording start, and its end."""
    frame = frame_samples(ear.encoder.config)
    return quietest_cuts(waveform.samples, frame, round(window_s * SAMPLE_RATE / frame))


def in_one_window(waveform: Waveform, ear: Ear) -> bool:
    """Whether a recording is heard at once."""
    frame = frame_samples(ear.encoder.config)
    return len(waveform.samples) <= round(WINDOW_S * SAMPLE_RATE / frame) * frame


def hear_in_windows(
    ear: Ear,
    units: Units,
    waveform: Waveform,
    read: Read | None = None,
    *,
    window_s: float = WINDOW_S,
    margin_s: float = MARGIN_S,
    known: MutableMapping[str, Hearing] | None = None,
) -> Generator[tuple[int, int], None, Hearing]:
    """Hear a recording of any length; words are read by `read`, greedily when None.

    Windows are looked for in `known` and kept there: those of a recording that has grown since are
    the same but for the last two.

    Yields:
        Before each window, its number from 1 on and how many there are.

    Returns:
        One hearing of the whole. A recording of one window is heard as `listen` hears it.
    """
    cuts = window_cuts(waveform, ear, window_s)
    frame = frame_samples(ear.encoder.config)
    margin = round(margin_s * SAMPLE_RATE / frame)
    heard: list[Hearing] = []
    for number, (first, last) in enumerate(pairwise(cuts), 1):
        yield number, len(cuts) - 1
        before, after = min(margin, first), min(margin, cuts[-1] - last)
        piece = Waveform(waveform.samples[(first - before) * frame : (last + after) * frame])
        name = f"{piece.digest} {before} {last - first}"
        hearing = known.get(name) if known is not None else None
        if hearing is None:
            (whole,) = listen(ear, units, [piece])
            hearing = _kept(whole, before, last - first, units, read)
        if known is not None:
            known[name] = hearing
        heard.append(hearing)
    return joined(heard, units)


def hear_whole(
    ear: Ear,
    units: Units,
    waveform: Waveform,
    read: Read | None = None,
    *,
    known: MutableMapping[str, Hearing] | None = None,
) -> Hearing:
    """The same, where nobody asks how far it is."""
    windows = hear_in_windows(ear, units, waveform, read, known=known)
    while True:
        try:
            next(windows)
        except StopIteration as end:
            hearing: Hearing = end.value
            return hearing


def joined(hearings: Sequence[Hearing], units: Units) -> Hearing:
    """The hearing of clips that follow one another, places counted from the first clip's start."""
    offsets = np.cumsum([0, *(len(hearing.frames) for hearing in hearings)]).tolist()
    readings = [hearing.reading for hearing in hearings]
    ids = tuple(unit for reading in readings for unit in reading.units)
    reading = Reading(
        text=units.decode(ids),
        words=tuple(_words(readings, offsets, units)),
        confidence=_confidence(readings),
        frames=tuple(
            at + off for one, off in zip(readings, offsets, strict=False) for at in one.frames
        ),
        units=ids,
    )
    return Hearing(
        reading,
        torch.cat([hearing.frames for hearing in hearings]),
        torch.cat([hearing.log_probs for hearing in hearings]),
        torch.cat([hearing.phone_log_probs for hearing in hearings]),
    )


def part_of(hearing: Hearing, first: int, last: int, units: Units) -> Hearing:
    """What was heard from one frame to the frame before another, as a hearing of its own."""
    reading = hearing.reading
    inside = [
        (unit, frame - first)
        for unit, frame in zip(reading.units, reading.frames, strict=True)
        if first <= frame < last
    ]
    ids = tuple(unit for unit, _ in inside)
    words = tuple(
        replace(word, first_frame=word.first_frame - first, last_frame=word.last_frame - first)
        for word in reading.words
        if first <= word.first_frame and word.last_frame < last
    )
    frames = tuple(frame for _, frame in inside)
    part = Reading(units.decode(ids), words, reading.confidence, frames, ids)
    return hearing.cut(first, last, part)


def _kept(whole: Hearing, first: int, length: int, units: Units, read: Read | None) -> Hearing:
    """A window without its margins, read anew."""
    greedy = read_greedily(whole.log_probs[first : first + length], units)
    hearing = whole.cut(first, first + length, greedy)
    return replace(hearing, reading=read(hearing)) if read else hearing


def _words(
    readings: Sequence[Reading], offsets: Sequence[int], units: Units
) -> Iterator[HeardWord]:
    """Every word, at its place; a word that a cut went through is one word."""
    open_word: HeardWord | None = None
    for reading, offset in zip(readings, offsets, strict=False):
        for index, word in enumerate(reading.words):
            first, last = word.first_frame + offset, word.last_frame + offset
            word = replace(word, first_frame=first, last_frame=last)
            if open_word and index == 0 and not units.starts_word(reading.units[0]):
                word = HeardWord(
                    open_word.text + word.text,
                    min(open_word.confidence, word.confidence),
                    open_word.first_frame,
                    last,
                )
            elif open_word:
                yield open_word
            open_word = word
    if open_word:
        yield open_word


def _confidence(readings: Sequence[Reading]) -> float:
    """The geometric mean over all units, from those of the parts."""
    spoken = [reading for reading in readings if reading.units]
    n_units = sum(len(reading.units) for reading in spoken)
    logs = (len(one.units) * math.log(max(one.confidence, 1e-30)) for one in spoken)
    return math.exp(sum(logs) / n_units) if n_units else 0.0
