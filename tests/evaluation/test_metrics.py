import numpy as np
import pytest

from audiochat.evaluation.metrics import (
    N_RESAMPLES,
    bleu,
    chrf,
    chrf_ci95,
    chrf_difference_ci95,
    count_errors,
    difference_ci95,
    normalise,
    perplexity,
    perplexity_ci95,
    perplexity_difference_ci95,
    perplexity_ratio_ci95,
    ratio,
    ratio_ci95,
    succeeds,
)


def test_spelling_case_and_numbers_do_not_count() -> None:
    assert normalise("What's the colour, Mr. Brown?") == "what is the color mister brown"
    assert count_errors("It costs twenty one dollars!", "it costs $21").errors == 0


def test_errors_are_counted_in_words_and_characters() -> None:
    found = count_errors("the cat sat", "the hat sat down")
    assert (found.errors, found.words) == (2, 3)
    assert (found.char_errors, found.chars) == (6, 11)


def test_hearing_nothing_is_all_deletions_and_hearing_ghosts_all_insertions() -> None:
    assert count_errors("the cat sat", "").errors == 3
    ghosts = count_errors("[noise]", "somebody spoke")
    assert (ghosts.errors, ghosts.words) == (2, 0)


def test_a_rate_is_weighted_by_its_words() -> None:
    assert ratio([1, 0], [1, 9]) == 0.1
    assert ratio([], []) == 0.0


def test_the_interval_holds_the_rate_and_repeats() -> None:
    rng = np.random.default_rng(1)
    errors, words = list(rng.integers(0, 4, 200)), [10] * 200
    low, high = ratio_ci95(errors, words)
    assert low < ratio(errors, words) < high
    assert (low, high) == ratio_ci95(errors, words)
    # The standard error of the mean of 200 draws, seen from the normal distribution.
    assert high - low == pytest.approx(2 * 1.96 * np.std(errors) / 10 / np.sqrt(200), rel=0.1)


def test_published_intervals_stay_as_they_are() -> None:
    rng = np.random.default_rng(7)
    errors, words = rng.integers(0, 5, 300).tolist(), rng.integers(3, 12, 300).tolist()
    losses = (rng.random(300) * 9).tolist()
    # As computed from one whole table of float64, before it was kept small.
    assert ratio_ci95(errors, words) == pytest.approx((0.27577970385838396, 0.32614948992242565))
    assert perplexity_ci95(losses, words) == pytest.approx((1.8215420580827117, 2.0166920402542963))
    n = 301  # the draws of an odd row do not end where the generator's own blocks do
    drawn = np.random.default_rng(0).integers(0, n, size=(N_RESAMPLES, n))
    low, high = np.percentile((np.arange(n) ** 2)[drawn].mean(axis=1), [2.5, 97.5])
    assert ratio_ci95(np.arange(n) ** 2, [1] * n) == pytest.approx((low, high))


def test_more_clips_narrow_the_interval() -> None:
    few, many = ratio_ci95([0, 1] * 10, [1] * 20), ratio_ci95([0, 1] * 1000, [1] * 2000)
    assert many[1] - many[0] < (few[1] - few[0]) / 5


def test_a_difference_of_equals_is_none() -> None:
    assert difference_ci95([1, 0, 1], [1, 0, 1]) == (0.0, 0.0)
    low, high = difference_ci95([1] * 30, [0] * 30)
    assert low == high == 1.0


def test_success_wants_whole_words() -> None:
    assert succeeds("It was Paris, in France.", ["London", "paris"])
    assert not succeeds("It was comparison.", ["Paris"])
    assert succeeds("There are twelve.", ["12"])
    assert not succeeds("Anything", [""])


def test_chrf_is_a_fraction() -> None:
    assert chrf(["the same"], ["the same"]) == pytest.approx(1.0)
    assert chrf(["quite other"], ["xyz"]) < 0.1


def test_perplexity_is_weighted_by_tokens() -> None:
    assert perplexity([np.log(2) * 3, np.log(8)], [3, 1]) == pytest.approx(2**1.5)
    assert perplexity([], []) is None


def test_the_interval_of_chrf_is_around_sacrebleus_own() -> None:
    rng = np.random.default_rng(2)
    words = ["the cat", "sat on", "a mat", "", "x", "and then it slept", "in the sun"]
    replies = [" ".join(rng.choice(words, 3)) for _ in range(80)]
    references = [" ".join(rng.choice(words, 3)) for _ in range(80)]
    low, high = chrf_ci95(replies, references)
    assert low < chrf(replies, references) < high
    # One row in every resample: the interval is the figure itself.
    for ours, theirs in [("the cat sat", "a cat sat down"), ("", "cat"), ("cat", ""), ("x", "x")]:
        assert chrf_ci95([ours], [theirs]) == pytest.approx((chrf([ours], [theirs]),) * 2)


def test_chrf_differs_by_nothing_from_itself() -> None:
    assert chrf_difference_ci95(["a b", "c"], ["a b", "c"], ["a", "d"]) == (0.0, 0.0)
    low, _ = chrf_difference_ci95(["right"] * 9, ["wrong"] * 9, ["right"] * 9)
    assert low > 0.5


def test_bleu_takes_as_many_references_as_each_reply_has() -> None:
    right = "le chat est sur le tapis"
    assert bleu([right, right], [("un chien", right), (right,)]) == pytest.approx(1.0)
    assert bleu(["rien du tout ici"], [(right,)]) == pytest.approx(0.0, abs=0.1)
    assert bleu([], []) is None


def test_intervals_of_perplexities() -> None:
    tokens = [3, 5, 4]
    losses = [n * np.log(2) for n in tokens]
    worse = [n * np.log(3) for n in tokens]
    assert perplexity_ci95(losses, tokens) == pytest.approx((2.0, 2.0))
    assert perplexity_difference_ci95(worse, losses, tokens) == pytest.approx((1.0, 1.0))
    assert perplexity_ratio_ci95(worse, losses, tokens) == pytest.approx((1.5, 1.5))
    assert perplexity_ci95([], []) is perplexity_ratio_ci95([], [], []) is None
