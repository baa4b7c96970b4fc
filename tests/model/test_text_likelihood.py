"""What the LLM finds likely: as if each text were scored by itself, though shared parts are not."""

import numpy as np
import pytest

from audiochat.conversation import Conversation, Message
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.model.language_model import LanguageModel
from audiochat.model.prompt import prompt_ids
from audiochat.model.text_likelihood import TextLikelihood

TEXTS = ["the cat sat", "a dog", "the cat ran", "the cat", "the cat sat", "the"]


def alone(lm: LanguageModel, text: str) -> float:
    """The likelihood of a chat's first turn, given how every chat begins, up to the turn's end."""
    ids = prompt_ids(lm, Conversation().add(Message.user(text)))
    other = prompt_ids(lm, Conversation().add(Message.user("No")))
    before = next(at for at, (a, b) in enumerate(zip(ids, other, strict=False)) if a != b)
    after = next(
        at for at, (a, b) in enumerate(zip(ids[::-1], other[::-1], strict=False)) if a != b
    )
    last = len(ids) - after + 1
    logits = lm.score(lm.embed(ids[: last - 1]))[0].astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(sum(log_probs[at - 1, ids[at]] for at in range(before, last)))


def test_each_is_scored_as_if_alone(tiny_lm: LanguageModel) -> None:
    likelihood = TextLikelihood(tiny_lm)
    expected = [alone(tiny_lm, text) for text in TEXTS]
    assert likelihood(TEXTS) == pytest.approx(expected, abs=2e-2)
    assert likelihood(TEXTS[::-1]) == pytest.approx(expected[::-1], abs=2e-2)
    assert likelihood([TEXTS[3]]) == pytest.approx([expected[3]], abs=2e-2)
    assert len(set(expected)) == len(set(TEXTS))


def test_what_people_say_is_likelier_than_what_sounds_like_it(bot: AudioChatLlama) -> None:
    likelihood = TextLikelihood(bot.lm)
    for said, misheard in (
        ("What is the capital of France?", "What is the cat it all of France?"),
        ("Please turn off the lights.", "Please turn of the lice."),
        ("How many days are in a week?", "How many days are in a weak?"),
    ):
        right, wrong = likelihood([said, misheard])
        assert right > wrong + 1
