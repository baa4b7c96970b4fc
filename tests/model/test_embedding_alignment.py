"""Audio embeddings beside the words: the path, the number, and the real model on a real clip."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audiochat.audio import SAMPLE_RATE, Waveform, decode
from audiochat.errors import ModelError
from audiochat.model.alignment import Reading, timed_words
from audiochat.model.audio_embeds import (
    audio_embeds,
    embed_spans,
    embedding_alignment,
    heard_tokens,
)
from audiochat.model.embedding_alignment import (
    alignment_score,
    best_path,
    cosines,
    shuffled_orders,
)
from audiochat.model.streaming import frame_samples
from audiochat.model.windows import part_of

RNG = np.random.default_rng(1)


def test_equal_embeddings_lie_on_the_diagonal() -> None:
    embeds = RNG.standard_normal((7, 64)).astype(np.float32)
    cosine = cosines(embeds * 3.0, embeds)
    assert cosine.dtype == np.float32
    assert np.diag(cosine) == pytest.approx(np.ones(7), abs=1e-5)
    path, mean = best_path(cosine)
    assert path == tuple(range(7))
    assert mean == pytest.approx(1.0, abs=1e-5)
    assert alignment_score(cosine, shuffled_orders(7)) > 0.5


def test_embeddings_said_twice_stay_at_their_token() -> None:
    tokens = RNG.standard_normal((4, 64))
    order = [0, 0, 0, 1, 2, 2, 3]
    assert best_path(cosines(tokens[order], tokens))[0] == tuple(order)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (9, 4), (4, 9), (2, 9), (6, 6)])
def test_a_path_goes_from_end_to_end_and_never_back(shape: tuple[int, int]) -> None:
    cosine = RNG.uniform(-1, 1, shape)
    path, mean = best_path(cosine)
    steps = np.diff(path)
    assert len(path) == shape[0]
    assert mean == pytest.approx(np.mean([cosine[at, token] for at, token in enumerate(path)]))
    if shape[0] > 1:
        assert (path[0], path[-1]) == (0, shape[1] - 1)
        assert steps.min() >= 0
        assert steps.max() <= max(1, -(-(shape[1] - 1) // (shape[0] - 1)))


def test_no_monotone_path_is_better() -> None:
    cosine = RNG.uniform(-1, 1, (6, 4))

    def all_paths(at: int, token: int):
        if at == 5:
            if token == 3:
                yield [token]
            return
        for following in {token, min(token + 1, 3)}:
            for rest in all_paths(at + 1, following):
                yield [token, *rest]

    means = [cosine[range(6), path].mean() for path in all_paths(0, 0)]
    assert best_path(cosine)[1] == pytest.approx(max(means))


def test_shuffles_are_other_orders_and_the_same_each_time() -> None:
    orders = shuffled_orders(2)
    assert all(order.tolist() == [1, 0] for order in orders)
    first, second = shuffled_orders(6, seed=3), shuffled_orders(6, seed=3)
    assert np.array_equal(first, second)
    assert not any((order == np.arange(6)).all() for order in first)
    assert shuffled_orders(1) == []
    assert alignment_score(np.ones((3, 1)), []) == 0.0


@pytest.fixture(scope="module")
def clips(assets: Path) -> list[tuple[Waveform, str]]:
    folder = assets / "examples"
    rows = map(json.loads, (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    return [(decode(folder / row["audio"]), row["text"]) for row in rows]


@pytest.mark.parametrize("arm", ["hybrid", "end_to_end"])
def test_the_real_model_lies_nearer_to_what_was_said(bot, clips, arm: str) -> None:
    for waveform, text in clips:
        hearing = bot.hear(waveform)
        said = embedding_alignment(arm, bot.parts, bot.lm, hearing, text)
        n_audio = len(audio_embeds(arm, bot.parts, bot.lm, hearing))
        assert said.cosine.shape == (n_audio, len(said.tokens))
        assert "".join(said.tokens) == text
        assert said.score > 0.1
        assert said.along_path > said.shuffled
        other = embedding_alignment(arm, bot.parts, bot.lm, hearing, "Please close the window.")
        assert other.score < said.score
        assert embed_spans(arm, bot.parts, bot.lm, hearing) == sorted(
            embed_spans(arm, bot.parts, bot.lm, hearing)
        )


def test_a_token_is_as_doubtful_as_the_word_it_belongs_to(bot, clips) -> None:
    for waveform, _ in clips:
        hearing = bot.hear(waveform)
        heard = heard_tokens(hearing, bot.parts.units, bot.lm)
        confidences = {round(1 - word.confidence, 5) for word in hearing.reading.words}
        assert {round(doubt, 5) for doubt in heard.doubts} == confidences
        assert len(heard.doubts) == len(heard.spans) == len(heard.ids)
        # The tokens of one word are of one mind.
        first = hearing.reading.words[0]
        begin = len(bot.lm.tokenizer.encode(first.text.strip(), add_special_tokens=False).ids)
        assert heard.doubts[:begin] == pytest.approx([1 - first.confidence] * begin)
        # Cut anywhere, through words too, what is left has its tokens.
        for cut in range(1, len(hearing.frames)):
            part = heard_tokens(part_of(hearing, 0, cut, bot.parts.units), bot.parts.units, bot.lm)
            assert all(0 <= doubt <= 1 for doubt in part.doubts)
    unheard = replace(hearing, reading=Reading("", (), 0.0, ()))
    assert set(heard_tokens(unheard, bot.parts.units, bot.lm).doubts) == {1.0}


def test_what_cannot_be_aligned_is_said(bot, clips) -> None:
    hearing = bot.hear(clips[0][0])
    with pytest.raises(ModelError, match="words alone"):
        embedding_alignment("cascade", bot.parts, bot.lm, hearing)
    with pytest.raises(ModelError, match="No words"):
        embedding_alignment("hybrid", bot.parts, bot.lm, hearing, " ")


def test_word_times_lie_inside_the_clip_and_do_not_go_back(bot, clips) -> None:
    frame_s = frame_samples(bot.parts.config.encoder) / SAMPLE_RATE
    for waveform, _ in clips:
        reading = bot.hear(waveform).reading
        words = timed_words(reading, frame_s, waveform)
        assert " ".join(word.text for word in words) == reading.text
        times = [at for word in words for at in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert times[0] >= 0.0
        assert times[-1] <= waveform.duration_s


def test_words_come_when_they_are_said(bot, clips) -> None:
    """A second of silence in front moves every word by a second."""
    waveform = clips[0][0]
    late = Waveform(np.concatenate([np.zeros(SAMPLE_RATE, np.float32), waveform.samples]))
    frame_s = frame_samples(bot.parts.config.encoder) / SAMPLE_RATE
    now, then = (timed_words(bot.hear(one).reading, frame_s, one) for one in (waveform, late))
    assert [word.text.lower() for word in now][:4] == [word.text.lower() for word in then][:4]
    for early, later in zip(now[:4], then[:4], strict=True):
        assert later.start_s - early.start_s == pytest.approx(1.0, abs=0.2)
