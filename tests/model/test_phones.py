"""Phones: a fixed inventory, by espeak-ng's rules, that goes to units and back."""

import pytest

from audiochat.model import phones
from audiochat.model.phones import N_PHONE_UNITS, PHONES, phone_ids, pronounce


def test_the_inventory_is_small_and_without_doubles() -> None:
    assert len(PHONES) == len(set(PHONES)) == 40
    assert N_PHONE_UNITS == 41  # the blank too


@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("cat", "k æ t"),
        ("ship", "ʃ ɪ p"),
        ("church", "tʃ ɚ tʃ"),
        ("judge", "dʒ ʌ dʒ"),
        ("thing", "θ ɪ ŋ"),
        ("boy", "b ɔɪ"),
        ("house", "h aʊ s"),
        ("go", "ɡ oʊ"),
    ],
)
def test_known_words(word: str, sounds: str) -> None:
    assert pronounce(word) == sounds


def test_words_that_sound_alike_have_the_same_phones() -> None:
    assert pronounce("Their night was one.") == pronounce("There knight was won.")


def test_a_tap_is_the_t_it_is_written_with() -> None:
    assert "t" in pronounce("water").split()


def test_stress_marks_and_the_case_are_ignored() -> None:
    assert pronounce("RECORD") == pronounce("record")
    assert not set(pronounce("An unbelievable photograph, again!")) & set("ˈˌː_,!")


def test_symbols_outside_the_inventory_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiochat.voices.espeak.phonemes", lambda *_: "kɧæ#_t|7 y_s")
    assert pronounce("anything") == "k æ t s"


def test_every_sound_of_the_engine_is_in_the_inventory() -> None:
    said = pronounce("The quick brown fox jumps over the lazy dog, then measures its joy.")
    assert set(said.split()) <= set(PHONES)
    assert set(phones._SAME.values()) <= set(PHONES)


def test_units_and_phones_are_one_to_one() -> None:
    said = pronounce("Hello there, general.")
    units = phone_ids(said)
    assert all(0 < unit < N_PHONE_UNITS for unit in units)
    assert " ".join(PHONES[unit - 1] for unit in units) == said
    assert phone_ids("") == []
    assert phone_ids(pronounce("...")) == []
