"""Written English to the words a reader would say, and rough text to a tidy written form.

The encoder's targets are the spoken form with case and punctuation: a sound never says "$6.50".
"""

import re

from num2words import num2words

_PLAIN_PUNCTUATION = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "`": "'",  # quotation marks
        "\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2014": ",",  # hyphens and dashes
        "\u2026": ".", ";": ",", ":": ",",
    }
)  # fmt: skip
_ABBREVIATIONS = {
    "mr.": "Mister", "mrs.": "Missus", "ms.": "Miss", "dr.": "Doctor", "st.": "Saint",
    "prof.": "Professor", "jr.": "Junior", "sr.": "Senior", "vs.": "versus", "etc.": "et cetera",
    "e.g.": "for example", "i.e.": "that is", "a.m.": "a m", "p.m.": "p m", "am": "a m",
    "pm": "p m",
    "no.": "number", "lbs": "pounds", "kg": "kilograms", "km": "kilometers", "cm": "centimeters",
    "ft": "feet", "mph": "miles per hour", "hr": "hour", "hrs": "hours", "min": "minutes",
}  # fmt: skip
# Short forms that are also plain words keep their reading unless a number stands before them.
_AFTER_NUMBER = {"am", "pm", "no.", "lbs", "kg", "km", "cm", "ft", "hr", "hrs", "min", "mph"}
_SYMBOLS = {"&": " and ", "+": " plus ", "=": " equals ", "@": " at ", "%": " percent ", "/": " "}
_CURRENCIES = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_QUESTION_STARTS = frozenset(
    (
        "who", "whose", "whom", "what", "what's", "when", "where", "where's", "which", "why",
        "how", "how's", "is", "are", "was", "were", "am", "do", "does", "did", "can", "could",
        "will", "would", "should", "has", "have", "may", "shall", "isn't", "aren't", "don't",
        "doesn't", "can't",
    )
)  # fmt: skip

_MONEY = re.compile(r"([$£€])\s?(\d[\d,]*)(?:\.(\d{2}))?(?!\d)")
_CLOCK = re.compile(r"\b(\d{1,2}):(\d{2})\b")
_ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_WORD_BOUND = re.compile(r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)")
_QUOTE = re.compile(r"(?<![A-Za-z])'|'(?![A-Za-z])")
_UNSPOKEN = re.compile(r"[^A-Za-z',.?!\- ]+")


def _cardinal(number: str) -> str:
    return str(num2words(int(number))).replace(",", "")


def _say_money(match: re.Match[str]) -> str:
    unit, small = _CURRENCIES[match[1]]
    whole = int(match[2].replace(",", ""))
    words = f"{_cardinal(str(whole))} {unit}{'' if whole == 1 else 's'}"
    cents = int(match[3] or 0)
    if not cents:
        return words
    small_words = f"{_cardinal(str(cents))} {'pence' if small == 'penny' else small + 's'}"
    return small_words if whole == 0 else f"{words} and {small_words}"


def _say_clock(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if minute == 0:
        return f"{_cardinal(str(hour))} o'clock"
    spoken = f"oh {_cardinal(str(minute))}" if minute < 10 else _cardinal(str(minute))
    return f"{_cardinal(str(hour))} {spoken}"


def _say_number(match: re.Match[str]) -> str:
    raw = match[0].rstrip(",")
    tail = match[0][len(raw) :]
    digits = raw.replace(",", "")
    if "." in digits:
        whole, fraction = digits.split(".")
        return f"{_cardinal(whole)} point {_digit_by_digit(fraction)}{tail}"
    if "," not in raw and (len(digits) > 4 or (digits.startswith("0") and len(digits) > 1)):
        return _digit_by_digit(digits) + tail
    if "," not in raw and len(digits) == 4 and 1100 <= int(digits) <= 2099:
        return str(num2words(int(digits), to="year")).replace(",", "") + tail
    return _cardinal(digits) + tail


def _digit_by_digit(digits: str) -> str:
    return " ".join(_cardinal(digit) for digit in digits)


def _expand_abbreviations(text: str) -> str:
    words: list[str] = []
    for word in text.split():
        bare = word.rstrip(",?!").lower()
        bare = bare if bare in _ABBREVIATIONS else bare.rstrip(".")
        before = words[-1] if words else ""
        expand = bare in _ABBREVIATIONS and (bare not in _AFTER_NUMBER or before[-1:].isdigit())
        words.append(_ABBREVIATIONS[bare] + word[len(bare) :] if expand else word)
    return " ".join(words)


def spoken_form(text: str) -> str:
    """The words of `text` as said aloud, cased, with only ``' , . ? ! -`` as punctuation.

    Args:
        text: any written English, e.g. ``"It's 9:30, Mr. Fox."``.

    Returns:
        e.g. ``"It's nine thirty, Mister Fox."``; empty if nothing in it can be said.
    """
    text = _CLOCK.sub(_say_clock, text)
    text = text.translate(_PLAIN_PUNCTUATION)
    text = _MONEY.sub(_say_money, text)
    text = _ORDINAL.sub(lambda match: str(num2words(int(match[1]), to="ordinal")), text)
    text = _expand_abbreviations(_WORD_BOUND.sub(" ", text))
    text = _NUMBER.sub(_say_number, text)
    for symbol, words in _SYMBOLS.items():
        text = text.replace(symbol, words)
    text = _UNSPOKEN.sub(" ", text)
    text = _QUOTE.sub("", text)
    text = re.sub(r"\s+([,.?!])", r"\1", re.sub(r"\s+", " ", text))
    text = re.sub(r"([,.?!])[,.?!]+", r"\1", text)
    return text.strip(" ,-")


def tidy(text: str) -> str:
    """Bare lower-case text (a query, a command) with a capital, its "I", and a closing mark.

    Text that already ends in a mark keeps it; the guess of "?" is by the first word.
    """
    text = re.sub(r"\s+", " ", text).strip()
    if not text:
        return ""
    text = re.sub(r"\bi\b(?=$|[ ,.'?!])", "I", text)
    text = text[0].upper() + text[1:]
    if text[-1] in ".?!":
        return text
    text = text.rstrip(",;:-")
    return text + ("?" if text.split(" ", 1)[0].lower() in _QUESTION_STARTS else ".")
