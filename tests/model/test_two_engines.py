"""The two engines on the embedded LLM itself: the fast one says what the exact one says."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from audiochat.conversation import Conversation, Message
from audiochat.errors import ModelError
from audiochat.model.embedded_llm import embedded_llm
from audiochat.model.generate import generate
from audiochat.model.onnx_engine import OnnxLanguageModel
from audiochat.model.prompt import TokenSegment, assemble
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.sampling import Sampling

PROMPTS = """What is the capital of Portugal?
Why is the sky blue?
Tell me a short story about a lighthouse.
How many legs does a spider have?
Write a poem about rain in four lines.
What should I cook with rice and beans?
Explain gravity to a child.
Who wrote Romeo and Juliet?
Name three colours.
What is seven times eight?
How do I tie a tie?
Is the moon larger than the earth?
Give me a name for a black cat.
What do bees make?
How does a bicycle stay upright?
List five fruits.
What is a noun?
Can you help me write a letter to my landlord?
Which ocean is the deepest?
What is the opposite of cold?
Why do leaves turn red in autumn?
How long does it take to boil an egg?
Tell me a joke about a dog.
What is the freezing point of water?
Who painted the Mona Lisa?
How can I sleep better?
What does a carpenter do?
Say good morning in French.
What is the largest planet?
How do birds fly?
What is a good gift for my sister?
Describe the taste of a lemon.
When did the Second World War end?
What is the difference between a crocodile and an alligator?
How do I make coffee?
What are the seasons of the year?
Why do we yawn?
What is the square root of one hundred and forty four?
Recommend a book about the sea.
How do I say thank you politely?
What language do people speak in Brazil?
Where do penguins live?
What is photosynthesis?
How many minutes are there in a day?
What is the tallest mountain?
Give me one tip for learning the piano.
What is salt made of?
Who was the first person on the moon?
What do I need to repair a flat tyre?
Write one sentence about friendship.""".splitlines()

REPLY_TOKENS = 24


@dataclass(frozen=True)
class Engines:
    exact: TorchLanguageModel
    fast: OnnxLanguageModel
    asked: list[tuple[int, ...]]
    replied: list[list[int]]
    losses: list[list[float]]
    """Of the exact engine, for each token of each reply."""


@pytest.fixture(scope="module")
def engines() -> Engines:
    try:
        exact, fast = embedded_llm("torch"), embedded_llm("onnx")
    except ModelError as error:
        pytest.skip(f"the embedded LLM is not at hand: {error}")
    assert isinstance(exact, TorchLanguageModel)
    assert isinstance(fast, OnnxLanguageModel)
    asked = [prompt_ids(exact, prompt) for prompt in PROMPTS]
    return Engines(exact, fast, asked, *greedy_replies(exact, asked))


def prompt_ids(lm: TorchLanguageModel, text: str) -> tuple[int, ...]:
    (segment,) = assemble(Conversation().add(Message.user(text)), lm)
    assert isinstance(segment, TokenSegment)
    return segment.ids


def greedy_replies(
    lm: TorchLanguageModel, asked: list[tuple[int, ...]]
) -> tuple[list[list[int]], list[list[float]]]:
    """All replies in one batch, padded on the left, by transformers' own loop; their losses."""
    width, end = max(map(len, asked)), min(lm.end_of_turn_ids)
    written = lm.llama.generate(
        input_ids=torch.tensor([[end] * (width - len(ids)) + list(ids) for ids in asked]),
        attention_mask=torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in asked]),
        do_sample=False,
        max_new_tokens=REPLY_TOKENS,
        eos_token_id=sorted(lm.end_of_turn_ids),
        pad_token_id=end,
        output_logits=True,
        return_dict_in_generate=True,
    )
    tokens = written.sequences[:, width:]
    chosen = [
        torch.log_softmax(logits, -1).gather(1, tokens[:, [step]])
        for step, logits in enumerate(written.logits)
    ]
    replies, losses = [], []
    for reply, row in zip(tokens.tolist(), (-torch.cat(chosen, 1)).tolist(), strict=True):
        ends = [place + 1 for place, id_ in enumerate(reply) if id_ in lm.end_of_turn_ids]
        length = ends[0] if ends else len(reply)
        replies.append(reply[:length])
        losses.append(row[:length])
    return replies, losses


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def test_perplexity_within_one_percent_and_same_top_token(engines: Engines) -> None:
    losses: list[float] = []
    same: list[bool] = []
    for asked, replied in zip(engines.asked, engines.replied, strict=True):
        embeds = engines.fast.embed([*asked, *replied[:-1]])
        logits = engines.fast.score(embeds)[0][len(asked) - 1 :]
        losses.extend(-log_softmax(logits)[np.arange(len(replied)), replied])
        # The reply is greedy, so its tokens are the exact engine's top ones.
        same.extend(logits.argmax(axis=-1) == replied)
    exact_loss = np.mean([loss for row in engines.losses for loss in row])
    ratio = np.exp(np.mean(losses) - exact_loss)
    print(f"{len(same)} tokens, perplexity {np.exp(exact_loss):.3f} x{ratio:.4f}, ", end="")
    print(f"same top token {np.mean(same):.3f}")
    assert len(same) > 500
    assert ratio == pytest.approx(1.0, abs=0.01)
    assert np.mean(same) >= 0.95


def test_both_look_up_the_same_embeddings(engines: Engines) -> None:
    ids = [0, 1, 17, 49151]
    assert np.array_equal(engines.exact.embed(ids), engines.fast.embed(ids))
    assert engines.fast.embedding_rms == pytest.approx(engines.exact.embedding_rms, rel=1e-5)
    assert engines.fast.context_length == engines.exact.context_length == 8192


def test_the_loop_writes_what_transformers_writes(engines: Engines) -> None:
    sampling = Sampling(repetition_penalty=1.0, max_new_tokens=6)
    for asked, replied in list(zip(engines.asked, engines.replied, strict=True))[:2]:
        embeds = engines.exact.embed(asked)
        assert [token.id for token in generate(engines.exact, embeds, sampling)] == replied[:6]


def test_known_answer(engines: Engines) -> None:
    ids = prompt_ids(engines.exact, "What is the capital of France?")
    tokens = generate(engines.fast, engines.fast.embed(ids), Sampling())
    assert "Paris" in "".join(token.piece for token in tokens)


def test_weights_never_change(engines: Engines) -> None:
    before = digest(engines.exact)
    embeds = torch.from_numpy(engines.exact.embed(engines.asked[0]))[None].requires_grad_()
    loss = engines.exact.llama(inputs_embeds=embeds).logits.float().logsumexp(-1).mean()
    loss.backward()
    assert embeds.grad is not None
    assert embeds.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in engines.exact.llama.parameters())
    list(generate(engines.exact, engines.exact.embed(engines.asked[0]), Sampling(max_new_tokens=3)))
    assert digest(engines.exact) == before


def digest(lm: TorchLanguageModel) -> str:
    state = hashlib.blake2b()
    for name, weight in sorted(lm.llama.state_dict().items()):
        state.update(name.encode())
        state.update(weight.numpy().data)
    return state.hexdigest()
