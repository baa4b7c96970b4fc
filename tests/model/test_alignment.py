"""Reading CTC posteriors, and forced alignment against every path counted by hand."""

import itertools

import torch

from audiochat.model.alignment import forced_alignment, greedy_units, read_greedily
from audiochat.model.units import BLANK, Units

UNITS = Units.trained(["the cat sat on the mat. The dog ran, too!"] * 5, 40)


def posteriors(path: list[int], n_units: int, sure: float = 0.9) -> torch.Tensor:
    probs = torch.full((len(path), n_units), (1 - sure) / (n_units - 1))
    for frame, unit in enumerate(path):
        probs[frame, unit] = sure
    return probs.log()


def spread(ids: list[int]) -> list[int]:
    """Each unit on two frames with a blank after it, as a CTC model would say it."""
    return [frame for unit in ids for frame in (unit, unit, BLANK)]


def test_greedy_reading_merges_repeats_and_keeps_doubles() -> None:
    found = greedy_units(posteriors([5, 5, BLANK, 5, 7], 10))
    assert [(unit, frame) for unit, frame, _ in found] == [(5, 0), (5, 3), (7, 4)]


def test_reading_gives_back_the_words() -> None:
    ids = UNITS.encode("the cat ran, too!")
    reading = read_greedily(posteriors(spread(ids), UNITS.size), UNITS)
    assert reading.text == "the cat ran, too!"
    assert [word.text for word in reading.words] == ["the", "cat", "ran,", "too!"]
    assert all(abs(word.confidence - 0.9) < 1e-4 for word in reading.words)
    assert reading.words[0].last_frame < reading.words[1].first_frame


def test_a_doubtful_word_is_less_sure() -> None:
    ids = UNITS.encode("the cat")
    log_probs = posteriors(spread(ids), UNITS.size)
    tail = 3 * (len(ids) - len(UNITS.encode("the")))
    log_probs[-tail:] = posteriors(spread(ids)[-tail:], UNITS.size, sure=0.3)
    words = read_greedily(log_probs, UNITS).words
    assert words[-1].confidence < 0.5 < words[0].confidence


def test_silence_reads_as_nothing_with_no_confidence() -> None:
    reading = read_greedily(posteriors([BLANK] * 9, UNITS.size), UNITS)
    assert (reading.text, reading.confidence, reading.words) == ("", 0.0, ())


def test_forced_alignment_is_the_best_of_all_paths() -> None:
    torch.manual_seed(1)
    log_probs = torch.randn(6, 4).log_softmax(-1)
    targets = [2, 2, 3]

    def collapsed(path: tuple[int, ...]) -> list[int]:
        merged = [unit for unit, _ in itertools.groupby(path)]
        return [unit for unit in merged if unit != BLANK]

    paths = [p for p in itertools.product(range(4), repeat=6) if collapsed(p) == targets]
    best = max(paths, key=lambda p: sum(float(log_probs[t, u]) for t, u in enumerate(p)))
    spans = forced_alignment(log_probs, targets)
    assert spans is not None
    covered = [BLANK] * 6
    for unit, (first, last) in zip(targets, spans, strict=True):
        for frame in range(first, last + 1):
            covered[frame] = unit
    assert tuple(covered) == best


def test_a_clip_too_short_for_its_words_has_no_alignment() -> None:
    assert forced_alignment(posteriors([BLANK, BLANK], 4), [1, 1, 2]) is None
