"""Streamed text -> whole speakable pieces: the first at a clause, later ones whole sentences.

Where text is cut never depends on how it was chunked on the way. English punctuation only.
"""

import re
from collections.abc import Iterable, Iterator

# About 1.3 s of speech: long enough to voice the next piece behind it, and to sound natural.
FIRST_CLAUSE_CHARS = 20

# A sentence shorter than a second is spoken together with the next one.
MIN_CHARS = 16

# From here on any clause will do, and at the limit any space: neural voices garble longer inputs
# (XTTS warns above 250 characters).
LONG_CHARS = 160
MAX_CHARS = 240

_OPENERS = "\"'([{*_`\u2018“«"
_CLOSERS = "\"')]}*_`’”»"
_TITLES = {
    *("mr", "mrs", "ms", "dr", "prof", "st", "mt", "gen", "sen", "rep", "gov", "capt", "lt", "col"),
    *("sgt", "rev", "hon", "vs", "e.g", "i.e", "cf", "approx", "viz"),
}
_BEFORE_NUMBERS = {"no", "nos", "fig", "vol", "p", "pp", "ch", "sec", "eq", "art"}

# A word with the space before it, once the next word has begun; the groups: space, word, space
# after, first character of the next word.
_WORD = re.compile(r"(\s*+)(\S++)(?=(\s++)(\S))")
_INITIALS = re.compile(r"(?:[A-Z]\.)+")
_ENUMERATOR = re.compile(r"\(?\d+[.)]")
_FENCE = "```"


class SentenceSplitter:
    """Collects streamed text and gives it back in pieces to voice, as early as is sensible.

    Args:
        raw: give the pieces as they stood, so that joined they are the text; otherwise they are
            made `speakable`, and those with nothing to say are left out.
    """

    def __init__(self, *, raw: bool = False) -> None:
        self._raw = raw
        self._rest = ""
        self._piece = ""
        self._fenced = False
        self._started = False
        self._spoke = False

    def push(self, text: str) -> list[str]:
        """Take the next characters; give the pieces that are whole by now."""
        self._rest += text
        pieces: list[str] = []
        position = 0
        while match := _WORD.match(self._rest, position):
            self._take(match, pieces)
            position = match.end()
        self._rest = self._rest[position:]
        return self._given(pieces)

    def flush(self) -> list[str]:
        """Give what is left, as no more text comes, and start over."""
        pieces = [self._piece + self._rest]
        given = self._given(pieces)
        self._rest = self._piece = ""
        self._fenced = self._started = self._spoke = False
        return given

    def _take(self, match: re.Match[str], pieces: list[str]) -> None:
        """Add one word to the piece, and cut before or after it where that is right."""
        before, word, after, following = match.groups()
        if len(self._piece) + len(before) + len(word) > MAX_CHARS and not self._fenced:
            self._cut(pieces)
        line_start = not self._started or "\n" in before
        self._started = True
        self._piece += before + word
        if word.count(_FENCE) % 2:
            self._fenced = not self._fenced
        if not self._fenced and self._ends(word, after, following, line_start=line_start):
            self._cut(pieces)

    def _ends(self, word: str, after: str, following: str, *, line_start: bool) -> bool:
        """Whether the piece should end behind this word."""
        length = len(self._piece.strip())
        if self._spoke and length < MIN_CHARS:
            return False
        if "\n" in after:
            return True
        if line_start and _ENUMERATOR.fullmatch(word):
            return False
        if _ends_sentence(word, following):
            return True
        clause_chars = LONG_CHARS if self._spoke else FIRST_CLAUSE_CHARS
        return length >= clause_chars and word.rstrip(_CLOSERS).endswith((",", ";", ":", "—", "–"))

    def _cut(self, pieces: list[str]) -> None:
        """End the piece here."""
        if not self._piece:
            return
        pieces.append(self._piece)
        self._spoke = self._spoke or bool(speakable(self._piece))
        self._piece = ""

    def _given(self, pieces: list[str]) -> list[str]:
        """The pieces in the form asked for, without empty ones."""
        if not self._raw:
            pieces = [speakable(piece) for piece in pieces]
        return [piece for piece in pieces if piece]


def pieces(chunks: Iterable[str], *, raw: bool = False) -> Iterator[str]:
    """Cut a whole stream of text; see SentenceSplitter."""
    splitter = SentenceSplitter(raw=raw)
    for chunk in chunks:
        yield from splitter.push(chunk)
    yield from splitter.flush()


def _ends_sentence(word: str, following: str) -> bool:
    """Whether a sentence ends with `word`, when the next word starts with `following`."""
    bare = word.rstrip(_CLOSERS).lstrip(_OPENERS)
    if following.islower() or not bare.endswith((".", "!", "?", "…")):
        return False
    if not bare.endswith(".") or bare.endswith(".."):
        return True
    stem = bare[:-1].lower()
    if stem in _BEFORE_NUMBERS:
        return not following.isdigit()
    return stem not in _TITLES and not _INITIALS.fullmatch(bare)


_MARKDOWN = [
    (re.compile(r"```.*?(?:```|\Z)", re.DOTALL), "\n"),  # code is for the eye
    (re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)"), r"\1"),  # links and images
    (re.compile(r"\bhttps?://(?:www\.)?"), ""),
    (re.compile(r"^[ \t|:]*(?:[-*_=][ \t|:]*){3,}$", re.MULTILINE), ""),  # rules, also of tables
    (re.compile(r"^[ \t]*(?:#{1,6}|[-*+•>])[ \t]+", re.MULTILINE), ""),  # headings, lists, quotes
    (re.compile(r"~~|`"), ""),
    (re.compile(r"(?<!\w)[*_]+(?=\S)|(?<=\S)\*+(?!\w)|(?<=\w)_+(?!\w)"), ""),  # emphasis
    (re.compile(r"^[ \t]*\|[ \t]*|[ \t]*\|[ \t]*$", re.MULTILINE), ""),  # a table's outer bars
    (re.compile(r"[ \t]*\|[ \t]*"), ", "),
    (re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]"), ""),  # pictures
    (re.compile(r"(\w)[ \t]*\n\s*"), r"\1. "),  # a line's end is a pause
]


# What a voice says as a word: a list's star and a heading's mark are none.
_SPOKEN_WORD = re.compile(r"\S*\w\S*")


def beginning(text: str, spoken: Iterable[str]) -> str:
    """The beginning of a text of which pieces were spoken: up to the last word of theirs."""
    n_words = sum(len(_SPOKEN_WORD.findall(piece)) for piece in spoken)
    ends = [word.end() for word in _SPOKEN_WORD.finditer(text)][:n_words]
    return text[: ends[-1]] if ends else ""


def speakable(text: str) -> str:
    """The text as it is to be said: no markdown, code, pictures or address prefixes; one line.

    Gives "" where nothing is left to say.
    """
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    return text if any(character.isalnum() for character in text) else ""
