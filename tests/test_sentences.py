"""Text is cut where a speaker would pause, the same however it was chunked, and loses no word."""

import random
import re

import pytest

from audiochat.sentences import (
    FIRST_CLAUSE_CHARS,
    MAX_CHARS,
    SentenceSplitter,
    pieces,
    speakable,
)


def cut(text: str) -> list[str]:
    return list(pieces([text]))


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Mrs. Jones at St. Mary's on Monday evening.",
        "It costs about 3.14 dollars, or 1,000.50 yen in all of Japan.",
        "Written by J. R. R. Tolkien and read by the U.S. Army at home.",
        "Some fruits, e.g. Apples and pears, i.e. The common ones, are sweet.",
        "It opens at 9 a.m. and closes at 5 p.m. on every weekday.",
        "See www.example.com/a.b?c=1 and mail me@example.org about it.",
        "He wrote No. 5 and Fig. 3 in the book called Vol. 2 of it.",
        "Well... maybe it is not so clear after all of this.",
        '"Really?" she asked the old man by the door of the house.',
    ],
)
def test_a_dot_inside_a_sentence_does_not_end_it(text):
    assert cut("A sentence that comes first. " + text) == ["A sentence that comes first.", text]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It is Paris. It lies on the Seine.", ["It is Paris.", "It lies on the Seine."]),
        ("Yes! That is what I meant to say.", ["Yes!", "That is what I meant to say."]),
        ("No. It is not what you think.", ["No.", "It is not what you think."]),
        (
            'He said "Stop it right now." Then he left.',
            ['He said "Stop it right now."', "Then he left."],
        ),
        (
            "It ended in the year 1969. Nobody came back.",
            ["It ended in the year 1969.", "Nobody came back."],
        ),
        ("Apples, pears etc. Come and see them.", ["Apples, pears etc.", "Come and see them."]),
        ("A line without a stop\nAnother line", ["A line without a stop", "Another line"]),
    ],
)
def test_sentences_end_where_they_end(text, wanted):
    assert cut(text) == wanted


def test_the_first_piece_ends_at_a_clause_and_later_ones_do_not():
    text = "When the sun goes down, the sky turns red. When it comes up, the sky turns blue."
    assert cut(text) == [
        "When the sun goes down,",
        "the sky turns red.",
        "When it comes up, the sky turns blue.",
    ]
    assert cut("Well, of course not.") == ["Well, of course not."]
    assert len("Well,") < FIRST_CLAUSE_CHARS


def test_short_sentences_are_spoken_together():
    assert cut("I think so. Yes. No. It is a hard question.") == [
        "I think so.",
        "Yes. No. It is a hard question.",
    ]


def test_numbers_of_a_list_stay_with_their_lines():
    text = "There are three of them:\n\n1. The first is a lion.\n2. The second is a bear."
    assert cut(text)[1:] == ["1. The first is a lion.", "2. The second is a bear."]


def test_a_sentence_that_never_ends_is_cut_all_the_same():
    cuts = cut("word " * 500)
    assert max(map(len, cuts)) <= MAX_CHARS
    assert " ".join(cuts) == ("word " * 500).strip()
    clauses = cut("Short start. " + "and so it goes on, " * 40)
    assert all(piece.endswith(",") for piece in clauses[1:])


def test_a_piece_is_given_as_soon_as_the_next_word_begins():
    splitter = SentenceSplitter()
    assert splitter.push("It is") == []
    assert splitter.push(" Paris.") == []
    assert splitter.push(" It") == ["It is Paris."]
    assert splitter.push(" lies there") == []
    assert splitter.flush() == ["It lies there"]
    assert splitter.flush() == []


def test_flushing_starts_over():
    splitter = SentenceSplitter()
    text = "When the sun goes down, the sky is red. ```open"
    first = splitter.push(text) + splitter.flush()
    assert splitter.push(text) + splitter.flush() == first


# Properties, on texts put together at random


FRAGMENTS = [
    *("Paris", "is", "big", "Dr.", "e.g.", "3.14", "1.", "2)", "No.", "U.S.", "end.", "what?!"),
    *("so,", "thus:", "—", "**bold**", "*it.*", "`code`", "```", "[a link](http://x.y/z)", "-"),
    *('"Yes."', "(really.)", "https://a.bc/d.e", "#", "...", "…", "x" * 70, "1969.", "ﬁn.", "😀"),
]
SPACES = [" ", " ", " ", " ", "\n", "\n\n", "  ", "\t"]


def random_text(rng: random.Random) -> str:
    return "".join(rng.choice(FRAGMENTS) + rng.choice(SPACES) for _ in range(rng.randint(0, 80)))


def random_chunks(rng: random.Random, text: str) -> list[str]:
    places = sorted(rng.choices(range(len(text) + 1), k=rng.randint(0, 40)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@pytest.mark.parametrize("seed", range(200))
def test_nothing_is_lost_and_chunks_do_not_matter(seed):
    rng = random.Random(seed)
    text = random_text(rng)
    chunks = random_chunks(rng, text)
    assert "".join(pieces(chunks, raw=True)) == text
    assert list(pieces(chunks, raw=True)) == list(pieces(text, raw=True))
    assert list(pieces(chunks)) == list(pieces(text))


@pytest.mark.parametrize("seed", range(50))
def test_every_word_is_spoken_once_and_in_order(seed):
    rng = random.Random(seed)
    words = [f"word{number}" for number in range(60)]
    ends = [rng.choice(["", "", ",", ".", "?", "**", "\n", ".\n\n- "]) for _ in words]
    text = " ".join(word + end for word, end in zip(words, ends, strict=True))
    assert re.findall(r"word\d+", " ".join(cut(text))) == words


# What is said of what is written


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Paris** is *the* one, __really__ and _truly_.", "Paris is the one, really and truly."),
        ("## A title\nand `text`", "A title. and text"),
        ("- one\n* two\n+ three", "one. two. three"),
        ("> quoted ~~badly~~", "quoted badly"),
        ("see [the map](https://maps.example.com/x) now", "see the map now"),
        ("![a lion](lion.png)", "a lion"),
        ("at https://www.example.com/a", "at example.com/a"),
        ("2*3 and 3 * 4 and snake_case", "2*3 and 3 * 4 and snake_case"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b. 1, 2"),
        ("before\n```python\nprint(1)\n```\nafter", "before. after"),
        ("good 👍 day ☀️", "good day"),
        ("20 °C costs $5 & 3 % more", "20 °C costs $5 & 3 % more"),
        ("---", ""),
        ("?!", ""),
        ("  ", ""),
    ],
)
def test_markdown_is_not_read_aloud(written, said):
    assert speakable(written) == said


def test_a_piece_with_nothing_to_say_is_left_out():
    assert cut("It begins here now.\n\n---\n\n```\ncode. Code.\n```\n\nIt ends here.") == [
        "It begins here now.",
        "It ends here.",
    ]
