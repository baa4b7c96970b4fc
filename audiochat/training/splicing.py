"""New clips of people from the pieces of old ones, so that an ear cannot learn lines by heart.

A clip is cut in the quiet between two words that the ear aligned for sure; pieces of one speaker
are joined in any order, sound and words (after Lam et al. 2021, who exchange single words).
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from audiochat.audio import SAMPLE_RATE
from audiochat.model.alignment import HeardWord, forced_alignment, read_units
from audiochat.model.ear import Ear
from audiochat.model.features import HOP
from audiochat.model.units import Units
from audiochat.speech_data.held_out_voices import refuse_held_out
from audiochat.speech_data.manifest import ManifestLine
from audiochat.speech_data.packed import FULL_SCALE, PackedSpeech, PackedWriter
from audiochat.speech_data.phones import pronounce

SET_NAME = "spliced"
"""Of all new clips, so that they can be weighed apart from the old ones."""

QUIET_DB = -20.0
"""It is quiet where a block lies so far below the loud ones of its clip."""
SURE = 0.3
"""The words on both sides of a cut are heard with this confidence at least."""
SHORTEST_S = 0.6
"""Of a piece: a word alone says little, and a cut that is not quite right weighs much in it."""
FEWEST_PIECES = 6
"""A speaker with fewer pieces is joined with the others of the set."""
MAX_CLIP_S = 16.0
"""Of a new clip; a piece alone is never one, for it is part of an old clip."""

_BLOCK = HOP
_FADE = SAMPLE_RATE // 200
_APART = 12  # blocks
_STOPS = (".", "?", "!")


class Piece(NamedTuple):
    """Part of a clip, from quiet to quiet."""

    source: int
    clip: int
    start: int
    """In samples of its clip; `stop` is one past the last."""
    stop: int
    words: tuple[str, ...]


def cut(samples: np.ndarray, words: Sequence[HeardWord], frame_samples: int) -> list[int]:
    """Where a clip may be cut: for each gap between two words the sample, or 0 for nowhere.

    Args:
        samples: (N,) int16 at 16 kHz.
        words: those of its aligned transcript.
        frame_samples: samples to an encoder frame.
    """
    n_blocks = len(samples) // _BLOCK
    if not n_blocks:
        return [0] * max(0, len(words) - 1)
    blocks = samples[: n_blocks * _BLOCK].astype(np.float64).reshape(n_blocks, _BLOCK)
    power = np.convolve(np.square(blocks).mean(1), np.full(3, 1 / 3), mode="same")
    quiet = np.quantile(power, 0.9) * 10 ** (QUIET_DB / 10)
    quietest = []
    for before, after in pairwise(words):
        first = before.last_frame * frame_samples // _BLOCK
        last = min((after.first_frame + 1) * frame_samples // _BLOCK, n_blocks)
        quietest.append(first + int(power[first:last].argmin()) if first < last else 0)
    found = []
    for gap, at in enumerate(quietest):
        # One quiet place of two gaps: before or after the short word between, who knows.
        shared = any(abs(at - other) < _APART for other in quietest[max(0, gap - 1) : gap])
        shared |= any(abs(at - other) < _APART for other in quietest[gap + 1 : gap + 2])
        sure = min(word.confidence for word in words[gap : gap + 2]) >= SURE
        usable = at and sure and not shared and power[at] <= quiet
        found.append(at * _BLOCK + _BLOCK // 2 if usable else 0)
    return found


@torch.inference_mode()
def pieces_of(ear: Ear, units: Units, sources: Sequence[PackedSpeech]) -> Iterator[list[Piece]]:
    """The pieces of each clip in turn; none of one whose words the ear cannot align.

    Raises:
        DataError: the speech has a voice that is kept for tests.
    """
    refuse_held_out(sources)
    for source, speech in enumerate(sources):
        for index, clip in enumerate(speech):
            samples = speech.samples(index)
            waveform = torch.from_numpy(samples.copy()).float()[None] / FULL_SCALE
            encoded = ear(waveform, torch.tensor([len(samples)]))
            ids, words = units.encode(clip.spoken), clip.spoken.split()
            # A clip with more units than frames was not said as it is written.
            if not ids or forced_alignment(encoded.log_probs[0], ids) is None:
                yield []
                continue
            heard = read_units(encoded.log_probs[0], ids, units).words
            if len(heard) != len(words):  # a word has no letter that the units know
                yield []
                continue
            places = cut(samples, heard, HOP * ear.encoder.config.stack)
            yield [
                Piece(source, index, start, stop, tuple(words[first:last]))
                for (start, first), (stop, last) in pairwise(_bounds(places, len(samples)))
            ]


def _bounds(places: Sequence[int], n_samples: int) -> list[tuple[int, int]]:
    """(sample, word) where a clip's pieces begin, and its end; none shorter than `SHORTEST_S`."""
    least = int(SHORTEST_S * SAMPLE_RATE)
    bounds = [(0, 0)]
    for word, at in enumerate(places, start=1):
        if at and bounds[-1][0] + least <= at <= n_samples - least:
            bounds.append((at, word))
    return [*bounds, (n_samples, len(places) + 1)]


def joined_words(pieces: Iterable[Sequence[str]], lower: frozenset[str]) -> str:
    """The text of pieces in a row: a word is lowered inside a sentence if `lower` has it so."""
    said: list[str] = []
    for piece in pieces:
        first = piece[0]
        if not said or said[-1].endswith(_STOPS):
            first = first[:1].upper() + first[1:]
        elif first.lower() in lower:
            first = first.lower()
        said += [first, *piece[1:]]
    text = " ".join(said)
    return text if text.endswith(_STOPS) else text.rstrip(",;:-") + "."


def joined_sound(parts: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) int16 parts one after the other, each edge faded over 5 ms."""
    ramp = np.linspace(0, 1, _FADE)
    faded = []
    for part in parts:
        sound = part.astype(np.float64)
        n = min(_FADE, len(sound))
        sound[:n] *= ramp[:n]
        sound[len(sound) - n :] *= ramp[:n][::-1]
        faded.append(sound)
    return np.concatenate(faded).round().astype(np.int16)


def by_voice(
    pieces: Iterable[Piece], sources: Sequence[PackedSpeech]
) -> dict[tuple[str, str], list[Piece]]:
    """The pieces to a (set, speaker); speakers of few pieces share the set's nameless one."""
    found: dict[tuple[str, str], list[Piece]] = defaultdict(list)
    for piece in pieces:
        clip = sources[piece.source][piece.clip]
        found[clip.set_name, clip.speaker].append(piece)
    voices: dict[tuple[str, str], list[Piece]] = defaultdict(list)
    for (set_name, speaker), own in found.items():
        voices[set_name, speaker if len(own) >= FEWEST_PIECES else ""] += own
    return dict(voices)


def rows(
    pieces: Sequence[Piece], lengths_s: Sequence[float], times: int, draw: random.Random
) -> Iterator[list[Piece]]:
    """Every piece of one voice `times` times, in rows about as long as clips are."""
    for _ in range(times):
        deck = draw.sample(pieces, len(pieces))
        row: list[Piece] = []
        wanted_s, length_s = draw.choice(lengths_s), 0.0
        for piece in deck:
            piece_s = (piece.stop - piece.start) / SAMPLE_RATE
            long_enough = length_s >= wanted_s and len(row) > 1
            if row and (long_enough or length_s + piece_s > MAX_CLIP_S):
                if len(row) > 1:
                    yield row
                row, wanted_s, length_s = [], draw.choice(lengths_s), 0.0
            row.append(piece)
            length_s += piece_s
        if len(row) > 1:
            yield row


class Splice(NamedTuple):
    """What came of splicing."""

    clips: int
    hours: float


def splice(
    pieces: Sequence[Piece],
    sources: Sequence[PackedSpeech],
    folder: Path,
    *,
    times: int,
    seed: int,
) -> Splice:
    """Write a packed folder of new clips, all of the set `SET_NAME`.

    Raises:
        VoiceError: espeak-ng, which says how the words sound, cannot be loaded.
    """
    lower = frozenset(word for piece in pieces for word in piece.words if word.islower())
    lengths: dict[str, list[float]] = defaultdict(list)
    for speech in sources:
        for clip in speech:
            lengths[clip.set_name].append(min(clip.duration_s, MAX_CLIP_S))
    draw = random.Random(f"{seed}/splice")
    writer, clips, n_samples = PackedWriter(folder), 0, 0
    for (set_name, speaker), own in sorted(by_voice(pieces, sources).items()):
        for row in rows(own, lengths[set_name], times, draw):
            text = joined_words((piece.words for piece in row), lower)
            sound = joined_sound(
                [sources[one.source].samples(one.clip)[one.start : one.stop] for one in row]
            )
            about = {"speaker": speaker, "human": True, "phones": pronounce(text)}
            writer.add(sound, ManifestLine(Path(), text, text, SET_NAME, about))
            clips, n_samples = clips + 1, n_samples + len(sound)
    writer.close()
    return Splice(clips, n_samples / SAMPLE_RATE / 3600)
