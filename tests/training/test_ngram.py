"""N-gram estimation: probabilities that sum to 1 through back-off, and a model that has learnt."""

import gzip
import math
import random
from pathlib import Path

import pytest

from audiochat.errors import DataError, ModelError
from audiochat.model.ngram import END, START, UNKNOWN, Ngrams, plain_word, plain_words
from audiochat.training.ngram import NgramRecipe, estimate, write_arpa

PLACES = ("bank", "station", "market", "library", "old harbour")
THINGS = ("the key", "my bag", "a red coat", "two tickets", "the map")
TEXT = [
    f"{who} left {thing} at the {place}{mark}"
    for who in ("I", "She", "We", "My brother")
    for thing in THINGS
    for place in PLACES
    for mark in ".?"
] + ["Where is the station?", "The map is red.", "My brother's coat is old!"]


def model(folder: Path, recipe: NgramRecipe, texts: list[str] = TEXT) -> Ngrams:
    path = folder / "lm.arpa"
    write_arpa(estimate(texts, recipe), path)
    return Ngrams.load(path)


def contexts(ngrams: Ngrams) -> set[str]:
    """Every context the model may be in, and two it never saw."""
    seen = {"", "tickets zebra", UNKNOWN}
    for text in TEXT:
        context = ngrams.extended("", START)
        for word in plain_words(text):
            seen.add(context)
            context = ngrams.extended(context, word)
        seen.add(context)
    return seen


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("min_counts", [(1, 1, 1, 1), (1, 2, 4, 4), (5, 5, 5, 5)])
def test_every_context_shares_out_one(
    order: int, min_counts: tuple[int, ...], tmp_path: Path
) -> None:
    ngrams = model(tmp_path, NgramRecipe(order, min_counts))
    events = [*ngrams.vocabulary(), END, UNKNOWN]
    for context in contexts(ngrams):
        total = sum(math.exp(ngrams.log_prob(context, word)) for word in events)
        assert total == pytest.approx(1.0, abs=2e-3), context


def test_text_it_knows_is_likelier_than_other_text_and_than_the_words_shuffled(
    tmp_path: Path,
) -> None:
    ngrams = model(tmp_path, NgramRecipe())
    draw = random.Random(1)
    shuffled = [" ".join(draw.sample(words, len(words))) for words in map(str.split, TEXT)]
    known = ngrams.perplexity(TEXT)
    assert known < 0.3 * ngrams.perplexity(shuffled)
    assert known < 0.3 * ngrams.perplexity(["A zebra read its newspaper in silence."])


def test_held_out_text_gains_from_more_words_together(tmp_path: Path) -> None:
    kept = [text for index, text in enumerate(TEXT) if index % 7]
    held_out = TEXT[::7]
    perplexities = []
    for order in (1, 2, 3):
        ngrams = model(tmp_path, NgramRecipe(order, (1, 1, 1)), kept)
        perplexities.append(ngrams.perplexity(held_out))
    assert perplexities == sorted(perplexities, reverse=True)


def test_a_word_follows_where_it_followed_before(tmp_path: Path) -> None:
    ngrams = model(tmp_path, NgramRecipe())
    assert ngrams.log_prob("two", "tickets") > ngrams.log_prob("red", "tickets") + 1
    assert ngrams.log_prob("two", "tickets") > ngrams.log_prob("two", "zebra") + 1
    assert ngrams.log_prob("two", "zebra") == ngrams.log_prob("two", UNKNOWN)


def test_pruning_makes_fewer_of_the_longest_alone(tmp_path: Path) -> None:
    whole = estimate(TEXT, NgramRecipe(3, (1, 1, 1)))
    pruned = estimate(TEXT, NgramRecipe(3, (1, 1, 9)))
    sizes = [[len(one.probabilities) for one in found] for found in (whole, pruned)]
    assert sizes[0][:2] == sizes[1][:2]
    assert sizes[1][2] < sizes[0][2]


def test_gzipped_is_the_same_model_and_the_same_bytes_again(tmp_path: Path) -> None:
    estimates = estimate(TEXT, NgramRecipe())
    for name in ("a.arpa.gz", "b.arpa.gz", "c.arpa"):
        write_arpa(estimates, tmp_path / name)
    assert (tmp_path / "a.arpa.gz").read_bytes() == (tmp_path / "b.arpa.gz").read_bytes()
    plain = (tmp_path / "c.arpa").read_bytes()
    assert gzip.decompress((tmp_path / "a.arpa.gz").read_bytes()) == plain
    assert len(Ngrams.load(tmp_path / "a.arpa.gz")) == len(Ngrams.load(tmp_path / "c.arpa"))


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert plain_word.cache_info().maxsize  # a public page hears words without end
    assert [plain_word(word) for word in ("Don't,", "Twenty-one.", "'tis", "-", "OK!")] == [
        "don't",
        "twenty-one",
        "tis",
        "",
        "ok",
    ]


def test_text_without_words_is_refused() -> None:
    with pytest.raises(DataError, match="no words"):
        estimate(["...", ""], NgramRecipe())


@pytest.mark.parametrize(
    ("order", "min_counts"), [(0, (1,)), (5, (1,) * 5), (3, (1, 1)), (2, (2, 1)), (2, (0, 0))]
)
def test_a_recipe_that_cannot_be_estimated_is_refused(
    order: int, min_counts: tuple[int, ...]
) -> None:
    with pytest.raises(DataError, match=r"--order|--min-counts"):
        NgramRecipe(order, min_counts)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    write_arpa(estimate(TEXT, NgramRecipe()), path)
    whole = path.read_text()
    cut = tmp_path / "cut.arpa.gz"
    cut.write_bytes(gzip.compress(whole.encode())[:-20])
    fewer = tmp_path / "fewer.arpa"
    fewer.write_text(whole.replace("\ttwo\t", "\tone\n-1\t", 1).replace("\t<s>\t", "\t", 1))
    text = tmp_path / "text.arpa"
    text.write_text("hello")
    for damaged in (cut, fewer, text, tmp_path / "absent.arpa"):
        with pytest.raises(ModelError, match=damaged.name):
            Ngrams.load(damaged)
