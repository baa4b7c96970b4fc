"""The texts of the test sets: questions with answers and little stories, and why some are left out.

All come from `eval_*` files, which no training reads.
"""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiochat.errors import DataError
from audiochat.speech_data.spoken_form import spoken_form, tidy

QUESTION_FILES = {
    "webquestions": "eval_webquestions_test.jsonl.gz",
    "nq_open": "eval_nq_open_efficientqa_dev.jsonl.gz",
}
STORY_FILE = "eval_gsm8k_test.jsonl.gz"

SPEAKABLE = (15, 150)
"""Characters of a question as it is said: about 1 to 11 seconds."""
MIN_WORDS = 4
MIN_SENTENCES = 3
"""A story with fewer has nothing to be summarised."""
SENTENCE_CHARACTERS = 200

KEPT = ("source", "licence", "license")
"""Fields of an input line that go on to the manifest."""

LeftOut = Counter[str]
"""Why lines were left out, and how many for each reason."""

# What `spoken_form` turns into words or leaves out without harm; "1/2", "x_1" or Greek it cannot.
_SAYABLE = re.compile(r"[A-Za-z0-9 ,.?!'\"$£€%&:;()\-\u2018\u2019\u201c\u201d\u2013\u2014]+")
# "10 x 8" and "10000", which is said digit by digit as a telephone number is.
_MISREAD = re.compile(r"\bx\b|(?<![$£€\d,])\d{5,}")
_SUM_ASKED = re.compile(
    r"^(?:If|Assum|Find|Calculate|Determine|Express)|, (?:find|calculate|determine|compute)\b"
)
_NAME_INSIDE = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"$0-9])")
_SHORT_FORM = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|No|oz|lbs?|ft|a\.m|p\.m|[A-Z])\.")
_WORD = re.compile(r"\w+")
_NAMED = re.compile(r"([A-Z][a-z]{2,}) ([a-z]+) (.*)\.")
_IRREGULAR = frozenset(
    (
        "has", "is", "was", "had", "bought", "made", "ate", "gave", "went", "took", "got", "sold",
        "found", "spent", "ran", "saw", "wrote", "drove", "won", "lost", "grew", "kept", "built",
        "paid", "can", "did", "drank", "caught", "brought", "read", "knows", "began",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A question with its right answers."""

    text: str
    spoken: str
    answers: tuple[str, ...]
    kept: dict[str, Any] = field(default_factory=dict, hash=False)
    """`source` and `licence` of its line."""


@dataclass(frozen=True)
class Story:
    """Some statements that belong together."""

    sentences: tuple[str, ...]
    names: frozenset[str]
    """Words with a capital inside a sentence, the closing question's too."""
    kept: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(self.sentences)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a JSONL file, also .gz; a line that is no object with a `text` is ``{}``.

    Raises:
        DataError: the file cannot be read.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as handle:
            rows = handle.read().split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}). --data takes a folder with text/ (in it the "
            "eval_*.jsonl.gz files) and speech_dev/; --only NAMES builds what needs less."
        ) from error
    for row in rows:
        if row.strip():
            yield _row(row)


def _row(row: str) -> dict[str, Any]:
    try:
        found = json.loads(row)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("text"), str) else {}


def said(text: str) -> str:
    """The text as said; empty if something in it cannot be (other letters, fractions)."""
    letters = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    spoken = spoken_form(plain) if _SAYABLE.fullmatch(plain) else ""
    return spoken[:1].upper() + spoken[1:]  # a number at the start became words


def read_questions(path: Path, left_out: LeftOut) -> list[Question]:
    """The questions of a file that can be asked aloud and have an answer.

    Raises:
        DataError: the file cannot be read.
    """
    found: dict[str, Question] = {}
    for row in read_rows(path):
        question = _question(row)
        if isinstance(question, str):
            left_out[question] += 1
        elif question.spoken.lower() in found:
            left_out["asked twice"] += 1
        else:
            found[question.spoken.lower()] = question
    return list(found.values())


def _question(row: dict[str, Any]) -> Question | str:
    """The question of a line, or why it is left out."""
    text = tidy(row.get("text", ""))
    spoken = said(text)
    given = row.get("answer") or ()
    answers = tuple(map(str, [given] if isinstance(given, str | int | float) else given))
    answers = tuple(answer for answer in answers if words_of(answer))
    shortest, longest = SPEAKABLE
    if not re.search("[A-Za-z]", spoken):
        return "not speakable"
    if not (shortest <= len(spoken) <= longest and len(spoken.split()) >= MIN_WORDS):
        return "too short or too long"
    if not answers:
        return "no answer"
    if any(stands_in(answer, text) for answer in answers):
        return "the answer stands in the question"
    return Question(text, spoken, answers, kept_fields(row))


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without its marks."""
    return _WORD.findall(text.lower())


def stands_in(part: str, text: str) -> bool:
    """Whether the words of `part` stand one after the other in `text`."""
    return f" {' '.join(words_of(part))} " in f" {' '.join(words_of(text))} "


def kept_fields(row: dict[str, Any]) -> dict[str, Any]:
    """What a manifest line keeps of the line it was made from."""
    return {name: row[name] for name in KEPT if name in row}


def read_stories(path: Path, left_out: LeftOut) -> list[Story]:
    """The stories of a file of word problems: their statements, without the closing question.

    Raises:
        DataError: the file cannot be read.
    """
    stories = []
    for row in read_rows(path):
        story = _story(row)
        if isinstance(story, str):
            left_out[story] += 1
        else:
            stories.append(story)
    return stories


def _story(row: dict[str, Any]) -> Story | str:
    text = tidy(row.get("text", ""))
    if _SHORT_FORM.search(text) or _MISREAD.search(text) or not said(text):
        return "not speakable"
    whole = _SENTENCE_END.split(text)
    sentences = tuple(one for one in whole if one.endswith(".") and not _SUM_ASKED.search(one))
    if len(sentences) < MIN_SENTENCES:
        return "too short or too long"
    if max(map(len, sentences)) > SENTENCE_CHARACTERS:
        return "too short or too long"
    return Story(sentences, frozenset(_NAME_INSIDE.findall(text)), kept_fields(row))


def who_questions(stories: list[Story]) -> list[tuple[str, str]]:
    """Questions that one sentence among these answers by a name: (question, name).

    "Joey plays football." gives ("Who plays football?", "Joey"), where no other sentence begins
    with the same name and the same verb and the name is nowhere in the question.
    """
    found = []
    every = [sentence for story in stories for sentence in story.sentences]
    for story in stories:
        for sentence in story.sentences:
            match = _NAMED.fullmatch(sentence)
            if match and _names_somebody(match, story) and _alone(match, every):
                found.append((f"Who {match[2]} {match[3]}?", match[1]))
    return found


def _names_somebody(match: re.Match[str], story: Story) -> bool:
    """Whether the sentence is "Name verb rest", by its verb and by the name's other uses."""
    name, verb, rest = match[1], match[2], match[3]
    if not (verb in _IRREGULAR or verb.endswith(("ed", "s"))) or len(rest.split()) < MIN_WORDS:
        return False
    # A plain word is capital at the start alone.
    return name in story.names and name not in rest and "this" not in rest.split()


def _alone(match: re.Match[str], every: list[str]) -> bool:
    start = f"{match[1]} {match[2]} "
    others = [sentence.partition(" ")[2] for sentence in every]
    same = sum(other == f"{match[2]} {match[3]}." for other in others)
    return same == 1 and sum(sentence.startswith(start) for sentence in every) == 1
