"""Phones: how spoken forms sound, in a small fixed inventory, by espeak-ng's American rules.

Targets for the encoder's middle blocks. There are a tenth as many as subword units, so the little
human speech there is teaches each one often; spelling is learnt above them.
"""

import re

PHONES: tuple[str, ...] = (
    "p", "b", "t", "d", "k", "ɡ", "f", "v", "θ", "ð", "s", "z", "ʃ", "ʒ", "tʃ", "dʒ", "h", "m",
    "n", "ŋ", "l", "ɹ", "j", "w", "i", "ɪ", "ɛ", "æ", "ə", "ʌ", "ɚ", "ɑ", "ɔ", "ʊ", "u", "eɪ",
    "aɪ", "ɔɪ", "oʊ", "aʊ",
)  # fmt: skip
"""Index + 1 is a phone's CTC unit; 0 is the blank."""

# What espeak-ng tells apart and a recogniser need not: taps, glottal stops, reduced vowels.
_SAME = {"ɾ": "t", "ʔ": "t", "ᵻ": "ɪ", "ɐ": "ə", "ɜ": "ɚ", "x": "k", "a": "æ", "o": "oʊ", "e": "ɛ"}
_PATTERN = re.compile("|".join(sorted((*PHONES, *_SAME), key=len, reverse=True)))
_IDS = {phone: at for at, phone in enumerate(PHONES, start=1)}
N_PHONE_UNITS = len(PHONES) + 1
"""Of the phone head: all phones and the blank."""


def pronounce(spoken: str) -> str:
    """The phones of a spoken form, spaces between them.

    Raises:
        VoiceError: espeak-ng cannot be loaded.
    """
    # A training machine may lack espeak-ng: it reads phones that were packed elsewhere.
    from audiochat.voices.espeak import phonemes

    found: list[str] = _PATTERN.findall(phonemes(spoken, "en-us"))
    return " ".join(_SAME.get(phone, phone) for phone in found)


def phone_ids(phones: str) -> list[int]:
    """The CTC units of what `pronounce` gave."""
    return [_IDS[phone] for phone in phones.split()]
