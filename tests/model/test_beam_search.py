"""Beam search: never worse than greedy by sound, and led by the n-gram model where sound is not."""

import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import ctc_loss

from audiochat.errors import ModelError
from audiochat.model.alignment import Reading, read_greedily, read_units
from audiochat.model.beam_search import BeamConfig, BeamSearch, _Prefix
from audiochat.model.ngram import Ngrams
from audiochat.model.units import BLANK, Units

UNITS = Units.trained(["the cat sat on the mat. The dog ran, too! Nora"] * 5, 48)
WIDE = BeamConfig(width=10_000, min_log_posterior=-1e9, max_units=10_000, max_behind=1e9)

ARPA = """\\data\\
ngram 1=8
ngram 2=3

\\1-grams:
-99\t<s>\t0
-1.5\t</s>
-3\t<unk>
-1\tthe\t-0.3
-1\tcat\t-0.3
-1\tmat\t-0.3
-1\tran\t-0.3
-1\ton\t-0.3

\\2-grams:
-0.1\tthe cat
-0.2\tcat ran
-0.1\ton the

\\end\\
"""


@pytest.fixture(scope="module")
def ngrams(tmp_path_factory: pytest.TempPathFactory) -> Ngrams:
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    path.write_text(ARPA)
    return Ngrams.load(path)


def log_likelihood(log_probs: torch.Tensor, units: list[int]) -> float:
    """Of all paths of some units: torch's own CTC."""
    lengths = torch.tensor([len(log_probs)]), torch.tensor([len(units)])
    loss = ctc_loss(
        log_probs[:, None], torch.tensor([units]), *lengths, blank=BLANK, reduction="sum"
    )
    return -float(loss)


def said(*frames: dict[int, float]) -> torch.Tensor:
    """Posteriors of frames given by their likely units; the rest is shared by all."""
    probs = torch.full((len(frames), UNITS.size), 1e-6)
    for row, frame in zip(probs, frames, strict=True):
        for unit, value in frame.items():
            row[unit] = value
    return (probs / probs.sum(1, keepdim=True)).log()


def spelled(text: str, sure: float = 0.9) -> list[dict[int, float]]:
    return [f for unit in UNITS.encode(text) for f in ({unit: sure}, {BLANK: 0.95})]


def between(one: str, other: str, share: float) -> list[dict[int, float]]:
    """Frames where two spellings of as many units are heard at once, `one` with this share."""
    pairs = list(zip(UNITS.encode(one), UNITS.encode(other), strict=True))
    frames: list[dict[int, float]] = []
    for first, second in pairs:
        frames += [{first: 0.9} if first == second else {first: share, second: 1 - share}]
        frames += [{BLANK: 0.95}]
    return frames


def read(search: BeamSearch, log_probs: torch.Tensor) -> Reading:
    """The best text found."""
    return read_units(log_probs, list(search.found(log_probs)[0].units), UNITS)


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_text_at_least_as_likely_as_greedy(seed: int) -> None:
    torch.manual_seed(seed)
    log_probs = (2 * torch.randn(5, 6)).log_softmax(-1)
    search = BeamSearch(Units.trained(["abcd"] * 9, 6), None, WIDE)
    found = list(search.found(log_probs)[0].units)
    greedy = [unit for unit, _ in itertools.groupby(log_probs.argmax(1).tolist()) if unit != BLANK]
    assert log_likelihood(log_probs, found) >= log_likelihood(log_probs, greedy) - 1e-4
    texts = (list(t) for n in range(1, 4) for t in itertools.product(range(1, 6), repeat=n))
    best = max(log_likelihood(log_probs, one) for one in [[], *texts])
    assert log_likelihood(log_probs, found) >= best - 1e-4


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("words", ["none", "likely", "rare", "expected"])
def test_what_is_not_tried_would_not_have_been_kept(
    seed: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(seed)
    units = Units.trained(["the cat's x-ray 'tis on. Nora, who'd?"] * 5, 48)
    log_probs = (5 * torch.randn(14, units.size)).log_softmax(-1)
    # With rare words alone, whatever begins a word is worth less than a word that is expected.
    arpa = ARPA if words == "likely" else re.sub(r"(?m)^-1\t", "-4\t", ARPA)
    (tmp_path / "lm.arpa").write_text(arpa)
    ngrams = None if words == "none" else Ngrams.load(tmp_path / "lm.arpa")
    search = BeamSearch(units, ngrams, BeamConfig(width=12))
    if words == "expected":
        search = search.expecting({"nora", "cat's", "x-ray"})
    prefixes = [_Prefix()]
    for _ in range(2):  # no unit is worth more than is thought of it
        mosts = [search._most(one) for one in prefixes]
        children = [[search._extend(one, u) for u in range(1, units.size)] for one in prefixes]
        for most, some in zip(mosts, children, strict=True):
            assert max(child.worth + child.ahead for child in some) <= most + 1e-9
        prefixes = [child for some in children for child in some]
    extend, floor = BeamSearch._extend, BeamSearch._floor
    tried: list[int] = []

    def counted(*given: Any) -> Any:
        tried.append(given[2])
        return extend(*given)

    def none_is_hopeless(*given: Any) -> float:
        floor(*given)
        return -math.inf

    monkeypatch.setattr(BeamSearch, "_extend", counted)
    found = search.found(log_probs)
    n_tried = len(tried)
    monkeypatch.setattr(BeamSearch, "_floor", none_is_hopeless)
    assert search.found(log_probs) == found
    assert len(found) > 1
    assert n_tried < len(tried) - n_tried


@pytest.mark.parametrize("seed", range(4))
def test_a_narrow_beam_is_seldom_far_off(seed: int) -> None:
    torch.manual_seed(seed)
    log_probs = (3 * torch.randn(12, UNITS.size)).log_softmax(-1)
    found = list(BeamSearch(UNITS, None).found(log_probs)[0].units)
    greedy = list(read_greedily(log_probs, UNITS).units)
    assert log_likelihood(log_probs, found) >= log_likelihood(log_probs, greedy) - 1e-4


def test_clear_sound_reads_as_it_does_greedily(ngrams: Ngrams) -> None:
    log_probs = said(*spelled("The cat ran, too!"))
    reading = read(BeamSearch(UNITS, ngrams), log_probs)
    assert reading == read_greedily(log_probs, UNITS)


def test_where_sound_is_in_doubt_the_likely_word_is_read(ngrams: Ngrams) -> None:
    frames = [*spelled("the"), *between("mat", "cat", share=0.6), *spelled("ran.")]
    log_probs = said(*frames)
    assert read_greedily(log_probs, UNITS).text == "the mat ran."
    reading = read(BeamSearch(UNITS, ngrams), log_probs)
    assert reading.text == "the cat ran."
    assert [word.text for word in reading.words] == ["the", "cat", "ran."]
    doubtful = min(reading.words, key=lambda word: word.confidence)
    assert doubtful.text == "cat"
    assert doubtful.confidence < read_greedily(log_probs, UNITS).words[1].confidence
    weightless = BeamConfig(lm_weight=0.0, word_bonus=0.0, unknown_penalty=0.0)
    assert read(BeamSearch(UNITS, ngrams, weightless), log_probs).text == "the mat ran."


def test_sound_that_is_sure_outweighs_the_ngrams(ngrams: Ngrams) -> None:
    log_probs = said(*spelled("the mat ran."))
    assert read(BeamSearch(UNITS, ngrams), log_probs).text == "the mat ran."


def test_a_name_nobody_wrote_down_can_be_heard(ngrams: Ngrams) -> None:
    log_probs = said(*spelled("the cat Nora ran."))
    assert read(BeamSearch(UNITS, ngrams), log_probs).text == "the cat Nora ran."
    ruled_out = BeamConfig(unknown_penalty=1000.0)
    assert "Nora" not in read(BeamSearch(UNITS, ngrams, ruled_out), log_probs).text


def test_a_word_that_is_expected_is_heard_more_readily(ngrams: Ngrams) -> None:
    log_probs = said(*spelled("the"), *between("Nora", "cat", share=0.9), *spelled("ran."))
    search = BeamSearch(UNITS, ngrams)
    assert search.rare(["nora", "cat", "the"]) == {"nora"}
    assert read(search, log_probs).text == "the cat ran."
    assert read(search.expecting({"nora"}), log_probs).text == "the Nora ran."
    assert read(search, log_probs).text == "the cat ran."  # it is another search
    # What was said for sure is not overruled.
    sure = said(*spelled("the cat ran.", sure=1 - 1e-9))
    assert read(search.expecting({"nora"}), sure).text == "the cat ran."
    without = BeamSearch(UNITS, None)
    assert without.rare(["nora"]) == frozenset()
    assert without.expecting({"nora"}) is without


def test_words_lie_where_they_were_said(ngrams: Ngrams) -> None:
    silence = [{BLANK: 0.99}] * 5
    log_probs = said(*silence, *spelled("the"), *silence, *spelled("cat"), *silence)
    the, cat = read(BeamSearch(UNITS, ngrams), log_probs).words
    n_the = 2 * len(UNITS.encode("the"))
    assert the.start_s(0.08) == pytest.approx(5 * 0.08)
    assert the.end_s(0.08) <= (5 + n_the) * 0.08
    assert cat.start_s(0.08) == pytest.approx((10 + n_the) * 0.08)
    assert the.end_s(0.08) < cat.start_s(0.08) < cat.end_s(0.08) < len(log_probs) * 0.08


def test_silence_reads_as_nothing(ngrams: Ngrams) -> None:
    reading = read(BeamSearch(UNITS, ngrams), said(*[{BLANK: 0.99}] * 9))
    assert (reading.text, reading.words, reading.confidence) == ("", (), 0.0)


def test_posteriors_of_zero_do_no_harm(ngrams: Ngrams) -> None:
    ids = UNITS.encode("the cat")
    log_probs = torch.full((2 * len(ids), UNITS.size), -torch.inf)
    for at, unit in enumerate(ids):
        log_probs[2 * at, unit] = log_probs[2 * at + 1, BLANK] = 0.0
    assert read(BeamSearch(UNITS, ngrams), log_probs).text == "the cat"


def test_the_same_search_twice_finds_the_same(ngrams: Ngrams) -> None:
    torch.manual_seed(3)
    log_probs = (3 * torch.randn(20, UNITS.size)).log_softmax(-1)
    search = BeamSearch(UNITS, ngrams)
    assert read(search, log_probs) == read(search, log_probs)


def test_a_beam_of_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match="width"):
        BeamConfig(width=0)


def test_a_missing_ngram_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train lm"):
        Ngrams.load(tmp_path / "lm.arpa.gz")
