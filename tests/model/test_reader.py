"""A choice among what the search found: by phones, then by the LLM, each where it has a say."""

import logging
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import ctc_loss

from audiochat.errors import VoiceError
from audiochat.model.alignment import read_greedily
from audiochat.model.beam_search import BeamConfig, BeamSearch
from audiochat.model.ear import Hearing
from audiochat.model.language_model import LanguageModel
from audiochat.model.phones import N_PHONE_UNITS, phone_ids, pronounce
from audiochat.model.reader import Reader, ReaderConfig, ctc_log_likelihoods
from audiochat.model.text_likelihood import TextLikelihood
from audiochat.model.units import BLANK
from tests.model.test_beam_search import UNITS, between, said, spelled

SEARCH = BeamSearch(UNITS, None, BeamConfig())
DOUBT = said(*spelled("the"), *between("cat", "mat", share=0.52), *spelled("ran."))
"""The sound is a little more like "cat"."""


def hearing(log_probs: Tensor, phones: str = "") -> Hearing:
    """What an ear had that guessed these phones for sure; none if they are not given."""
    guessed = torch.zeros(0, N_PHONE_UNITS)
    if phones:
        probs = torch.full((4 * len(log_probs), N_PHONE_UNITS), 1e-3)
        ids = phone_ids(phones)
        probs[:, BLANK] = 0.95
        for at, unit in enumerate(ids):
            probs[2 * at + 1, [BLANK, unit]] = torch.tensor([0.05, 0.9])
        guessed = (probs / probs.sum(1, keepdim=True)).log()
    frames = torch.zeros(len(log_probs), 4)
    return Hearing(read_greedily(log_probs, UNITS), frames, log_probs, guessed)


@pytest.mark.parametrize("word", ["cat", "mat"])
def test_phones_decide_where_the_units_are_in_doubt(word: str) -> None:
    read = Reader(SEARCH)
    assert read(hearing(DOUBT)).text == "the cat ran."
    reading = read(hearing(DOUBT, pronounce(f"the {word} ran.")))
    assert reading.text == f"the {word} ran."
    # How sure the ear is of a word is still what its units say.
    assert reading.words[1].confidence == pytest.approx(0.5, abs=0.1)
    assert [one.text.strip() for one in reading.words] == ["the", word, "ran."]


def test_where_units_are_sure_phones_do_not_overrule_them() -> None:
    sure = said(*spelled("the cat ran.", sure=1 - 1e-9))
    assert Reader(SEARCH)(hearing(sure, pronounce("the mat ran."))).text == "the cat ran."


def test_without_espeak_the_search_has_the_last_word(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    def missing(text: str) -> str:
        asked.append(text)
        raise VoiceError("espeak-ng cannot be loaded")

    read = Reader(SEARCH, pronounce=missing)
    heard = hearing(DOUBT, pronounce("the mat ran."))
    with caplog.at_level(logging.WARNING):
        assert [read(heard).text for _ in range(3)] == ["the cat ran."] * 3
    assert len(asked) == 1
    assert [one.message.count("espeak-ng") for one in caplog.records] == [1]


def test_the_llm_decides_when_it_weighs_most(tiny_lm: LanguageModel) -> None:
    texts = ["the cat ran.", "the mat ran."]
    scores = TextLikelihood(tiny_lm)(texts)
    likely = texts[scores[1] > scores[0]]
    trusting = ReaderConfig(llm_weight=1000.0, max_read=2)
    assert Reader(SEARCH, tiny_lm, config=trusting)(hearing(DOUBT)).text == likely
    doubting = ReaderConfig(llm_weight=-1000.0, max_read=2)
    (other,) = {*texts} - {likely}
    assert Reader(SEARCH, tiny_lm, config=doubting)(hearing(DOUBT)).text == other


@pytest.mark.parametrize("few", [{"max_read": 1}, {"max_behind": 0.0}, {"max_texts": 1}])
def test_the_llm_reads_only_the_likeliest(few: dict[str, float], tiny_lm: LanguageModel) -> None:
    for weight in (-1000.0, 1000.0):
        config = ReaderConfig(llm_weight=weight, **few)  # type: ignore[arg-type]
        assert Reader(SEARCH, tiny_lm, config=config)(hearing(DOUBT)).text == "the cat ran."


def test_silence_and_no_frames_at_all_are_read(tiny_lm: LanguageModel) -> None:
    read = Reader(SEARCH, tiny_lm)
    for n_frames in (0, 9):
        silence = said(*[{BLANK: 0.99}] * n_frames)
        reading = read(hearing(silence, "k æ t" if n_frames else ""))
        assert (reading.text, reading.units, reading.confidence) == ("", (), 0.0)


@pytest.mark.parametrize(("blank", "text"), [(0.7, ""), (0.3, "the")])
def test_a_faint_word_may_be_silence(blank: float, text: str, tiny_lm: LanguageModel) -> None:
    (the,) = UNITS.encode("the")
    faint = said({BLANK: blank, the: 1 - blank - 0.01})
    assert {one.units for one in SEARCH.found(faint)} >= {(), (the,)}
    for weight in (-1000.0, 1000.0):  # nothing said is no turn of a chat, so the LLM has no say
        config = ReaderConfig(llm_weight=weight)
        assert Reader(SEARCH, tiny_lm, config=config)(hearing(faint)).text == text


def test_likelihoods_are_those_of_ctc() -> None:
    torch.manual_seed(3)
    log_probs = torch.randn(12, 9).log_softmax(-1)
    sequences = [[1, 2, 3], [], [4, 4], [8], list(range(1, 9)) * 2]
    found = ctc_log_likelihoods(log_probs, sequences)
    for ids, value in zip(sequences[:-1], found.tolist(), strict=False):
        lengths = torch.tensor([12]), torch.tensor([len(ids)])
        targets = torch.tensor([ids or [1]])
        alone = ctc_loss(log_probs[:, None], targets, *lengths, reduction="sum")
        assert value == pytest.approx(-float(alone), rel=1e-5)
    assert float(found[1]) == pytest.approx(float(log_probs[:, BLANK].sum()), rel=1e-5)
    assert found[-1] == -math.inf  # more units than frames
