from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest
from tokenizers import Tokenizer

from audiochat.model.chat_template import ChatTemplate
from audiochat.model.generate import StreamedText, circling, generate
from audiochat.model.language_model import Cache, LanguageModel
from audiochat.sampling import Sampling

PLAIN = Sampling(repetition_penalty=1.0, max_new_tokens=8)
PROMPT = np.zeros((3, 1), np.float32)


class CountedCache:
    n_bytes = 0

    def __init__(self, length: int):
        self.length = length

    def prefix(self, n: int) -> "CountedCache":
        return CountedCache(n)


class FixedLm:
    """Gives the same logits at every position, and counts its steps."""

    hidden_dim, embedding_rms, context_length = 1, 1.0, 100
    chat_template = ChatTemplate("")

    def __init__(self, logits: Sequence[float], tokenizer: Tokenizer, end: int = -1):
        self.logits = np.array(logits, np.float32)
        self.vocab_size = len(logits)
        self.tokenizer = tokenizer
        self.end_of_turn_ids = frozenset({end})
        self.n_steps = 0

    def embed(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        return np.zeros((len(ids), 1), np.float32)

    def extend(
        self, embeds: np.ndarray, cache: Cache | None = None, *, reserve: int = 0
    ) -> tuple[np.ndarray, Cache]:
        self.n_steps += 1
        return self.logits, CountedCache((cache.length if cache else 0) + len(embeds))

    def score(self, embeds: np.ndarray) -> np.ndarray:
        return np.tile(self.logits, (len(embeds), 1))


@pytest.fixture
def tokenizer(tiny_engines: dict[str, LanguageModel]) -> Tokenizer:
    return tiny_engines["onnx"].tokenizer


def ids_of(lm: LanguageModel, sampling: Sampling) -> list[int]:
    return [token.id for token in generate(lm, PROMPT, sampling)]


def test_greedy_takes_the_likeliest(tokenizer: Tokenizer) -> None:
    assert ids_of(FixedLm([0, 3, 1], tokenizer), PLAIN) == [1] * 8


def test_penalty_counts_the_reply(tokenizer: Tokenizer) -> None:
    lm = FixedLm([3.0, 2.9, 2.8, -1.0], tokenizer)
    sampling = Sampling(repetition_penalty=1.5, max_new_tokens=3)
    assert ids_of(lm, sampling) == [0, 1, 2]


def test_penalty_counts_the_replies_before(tokenizer: Tokenizer) -> None:
    lm = FixedLm([3.0, 2.9, 2.8, -1.0], tokenizer)
    sampling = Sampling(repetition_penalty=1.5, max_new_tokens=2)
    tokens = generate(lm, PROMPT, sampling, replied=[0, 0, 1])
    assert [token.id for token in tokens] == [2, 0]


def test_penalty_pushes_negative_scores_down(tokenizer: Tokenizer) -> None:
    lm = FixedLm([-1.0, -1.2], tokenizer)
    assert ids_of(lm, Sampling(repetition_penalty=1.5, max_new_tokens=2)) == [0, 1]


def test_seed_repeats(tokenizer: Tokenizer) -> None:
    lm = FixedLm(list(np.random.default_rng(0).normal(size=50)), tokenizer)
    drawn = [ids_of(lm, Sampling(1.0, seed=seed, max_new_tokens=30)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_temperature_follows_the_model(tokenizer: Tokenizer) -> None:
    lm = FixedLm(list(np.log([0.5, 0.3, 0.2])), tokenizer)
    lm.context_length = 5000
    drawn = ids_of(lm, Sampling(1.0, repetition_penalty=1.0, seed=0, max_new_tokens=1000))
    assert np.bincount(drawn, minlength=3) / 1000 == pytest.approx([0.5, 0.3, 0.2], abs=0.05)


@pytest.mark.parametrize("n_others", [10, 5000])
def test_top_p_keeps_the_smallest_set(tokenizer: Tokenizer, n_others: int) -> None:
    others = [np.log(0.1 / n_others)] * n_others
    lm = FixedLm([*others, *np.log([0.3, 0.6])], tokenizer)
    for top_p, kept in ((0.5, {n_others + 1}), (0.85, {n_others, n_others + 1})):
        sampling = Sampling(1.0, top_p, repetition_penalty=1.0, seed=0, max_new_tokens=90)
        assert set(ids_of(lm, sampling)) == kept
    wide = Sampling(1.0, 0.99, repetition_penalty=1.0, seed=0, max_new_tokens=90)
    assert len(set(ids_of(lm, wide))) > 3


def test_stops_at_the_end_of_turn(tokenizer: Tokenizer) -> None:
    (token,) = generate(FixedLm([0, 1, 5], tokenizer, end=2), PROMPT, PLAIN)
    assert (token.id, token.piece, token.finish_reason) == (2, "", "stop")
    assert token.cache.length == len(PROMPT)


def test_stops_at_the_longest(tokenizer: Tokenizer) -> None:
    lm = FixedLm([0, 0, 0, 1], tokenizer)
    tokens = list(generate(lm, PROMPT, PLAIN))
    assert [token.finish_reason for token in tokens] == [None] * 7 + ["length"]
    assert tokens[-1].cache.length == len(PROMPT) + 7
    lm.context_length = 5
    assert [t.finish_reason for t in generate(lm, PROMPT, PLAIN)] == [None, None, "length"]


def test_a_reply_that_goes_round_in_circles_is_cut(tokenizer: Tokenizer) -> None:
    endless = Sampling(repetition_penalty=1.0, max_new_tokens=90)
    tokens = list(generate(FixedLm([0, 0, 0, 1], tokenizer), PROMPT, endless))
    assert len(tokens) == 32
    assert [token.finish_reason for token in tokens] == [None] * 31 + ["length"]


@pytest.mark.parametrize("length", [1, 3, 8, 20, 48])
def test_circles_are_known_by_their_last_round(length: int) -> None:
    run = list(range(length))
    rounds = max(4, -(-32 // length))
    assert circling([99, 98, *run * rounds])
    assert not circling([99, *run * (rounds - 1)])
    assert not circling([*run * rounds, 99])


def test_counting_is_no_circle() -> None:
    counted = [token for number in range(100) for token in (7, 8, number + 20, 9)]
    assert not any(circling(counted[:n]) for n in range(len(counted)))


def test_no_step_before_it_is_asked_for(tokenizer: Tokenizer) -> None:
    lm = FixedLm([0, 1], tokenizer)
    tokens = generate(lm, PROMPT, PLAIN)
    assert lm.n_steps == 0
    list(islice(tokens, 2))
    tokens.close()  # type: ignore[attr-defined]
    assert lm.n_steps == 2


@pytest.mark.parametrize("seed", range(5))
def test_pieces_make_the_whole_text(tiny_lm: LanguageModel, seed: int) -> None:
    sampling = Sampling(temperature=2.0, seed=seed, max_new_tokens=60)
    prompt = tiny_lm.embed(tiny_lm.tokenizer.encode("hello").ids)
    tokens = list(generate(tiny_lm, prompt, sampling))
    whole = tiny_lm.tokenizer.decode([token.id for token in tokens])
    assert "".join(token.piece for token in tokens) == whole


def test_never_half_a_character(tokenizer: Tokenizer) -> None:
    text = "naïve 日本語 🙂👍🏽 the end"
    streamed = StreamedText(tokenizer)
    pieces = [streamed.push(id_) for id_ in tokenizer.encode(text).ids]
    assert "".join(pieces) + streamed.flush() == text
    assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize(
    "content", [b"a\xf0\x9f\x99", b"\xff\xfe then a", b"\xe2\x82\xe2\x82\xac", b"\x80" * 5 + b"b"]
)
def test_bytes_that_are_no_text(tokenizer: Tokenizer, content: bytes) -> None:
    # A byte-level token's name is how the tokenizer spells that byte.
    spelled = {byte: name for name, byte in zip(*byte_names(), strict=True)}
    ids = [tokenizer.token_to_id(spelled[byte]) for byte in content]
    streamed = StreamedText(tokenizer)
    text = "".join(streamed.push(id_) for id_ in ids) + streamed.flush()
    assert text == tokenizer.decode(ids) == content.decode(errors="replace")


def byte_names() -> tuple[list[str], list[int]]:
    """The byte-level alphabet: printable bytes are themselves, the others follow from U+0100."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    names = [chr(byte) for byte in plain] + [chr(256 + i) for i in range(len(rest))]
    return names, plain + rest
