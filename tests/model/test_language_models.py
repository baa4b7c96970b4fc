"""What both engines must do alike, on a tiny random Llama."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from audiochat.errors import ModelError
from audiochat.model import onnx_engine
from audiochat.model.language_model import LanguageModel
from audiochat.model.onnx_engine import OnnxLanguageModel
from audiochat.model.torch_engine import TorchLanguageModel
from tests.model.tiny_llama import CONTEXT, TOKENS, WIDTH

IDS = np.random.default_rng(5).integers(3, len(TOKENS), 50)


def test_what_it_tells_of_itself(tiny_lm: LanguageModel) -> None:
    assert (tiny_lm.vocab_size, tiny_lm.hidden_dim) == (len(TOKENS), WIDTH)
    assert tiny_lm.context_length == CONTEXT
    assert tiny_lm.end_of_turn_ids == {0, 2}
    table = tiny_lm.embed(np.arange(len(TOKENS)))
    assert table.dtype == np.float32
    assert tiny_lm.embedding_rms == pytest.approx(float(np.sqrt(np.square(table).mean())), rel=1e-5)


def test_the_engines_agree(
    tiny_engines: dict[str, TorchLanguageModel | OnnxLanguageModel],
) -> None:
    exact, fast = (engine.score(engine.embed(IDS))[0] for engine in tiny_engines.values())
    # The weights are the same; the fast engine rounds what goes into them to 8 bits.
    error = np.sqrt(np.square(fast - exact).mean() / np.square(exact).mean())
    assert error < 0.02
    assert (fast.argmax(1) == exact.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("cuts", [[1], [49], [7, 8, 30], list(range(1, 50))])
def test_in_pieces_equals_at_once(tiny_lm: LanguageModel, cuts: list[int]) -> None:
    embeds = tiny_lm.embed(IDS)
    cache = None
    for piece in np.split(embeds, cuts):
        logits, cache = tiny_lm.extend(piece, cache)
    assert cache is not None
    assert cache.length == len(IDS)
    whole, _ = tiny_lm.score(embeds)
    np.testing.assert_allclose(logits, whole[-1], atol=2e-4)


def test_long_prompts_are_read_in_chunks(
    tiny_engines: dict[str, OnnxLanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_engines["onnx"]
    embeds = lm.embed(IDS)
    (whole, _), (last, _) = lm.score(embeds), lm.extend(embeds)
    monkeypatch.setattr(onnx_engine, "_CHUNK", 16)
    np.testing.assert_allclose(lm.score(embeds)[0], whole, atol=2e-4)
    np.testing.assert_allclose(lm.extend(embeds)[0], last, atol=2e-4)


def test_a_full_buffer_grows(
    tiny_engines: dict[str, OnnxLanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_engine, "_ROOM", 2)
    lm = tiny_engines["onnx"]
    embeds = lm.embed(IDS)
    logits, cache = lm.extend(embeds[:10], reserve=5)
    assert isinstance(cache, onnx_engine.OnnxCache)
    assert cache.capacity == 15
    for row in embeds[10:]:
        logits, cache = lm.extend(row[None], cache)
    np.testing.assert_allclose(logits, lm.score(embeds)[0][-1], atol=2e-4)


def test_a_prefix_is_a_copy_of_its_own(tiny_lm: LanguageModel) -> None:
    embeds = tiny_lm.embed(IDS)
    _, cache = tiny_lm.extend(embeds[:30], reserve=100)
    prefix = cache.prefix(20)
    assert prefix.length == 20
    assert prefix.n_bytes == 2 * 2 * 2 * 16 * 20 * 4  # layers, K and V, heads, width, bytes
    went_on, _ = tiny_lm.extend(embeds[30:], cache)
    again, _ = tiny_lm.extend(embeds[20:], prefix)
    np.testing.assert_allclose(again, went_on, atol=2e-4)


@pytest.mark.parametrize("read", [1, 30, 49])
def test_scoring_goes_on_from_a_cache(tiny_lm: LanguageModel, read: int) -> None:
    embeds = tiny_lm.embed(IDS)
    _, cache = tiny_lm.extend(embeds[:read])
    rest, longer = tiny_lm.score(embeds[read:], cache)
    assert longer.length == len(embeds)
    np.testing.assert_allclose(rest, tiny_lm.score(embeds)[0][read:], atol=2e-4)


def test_too_long_is_a_sentence(tiny_lm: LanguageModel) -> None:
    embeds = np.zeros((CONTEXT, WIDTH), np.float32)
    _, cache = tiny_lm.extend(embeds[:-1])
    _, cache = tiny_lm.extend(embeds[-1:], cache)
    with pytest.raises(ModelError, match=f"takes {CONTEXT + 1} positions .* holds {CONTEXT}"):
        tiny_lm.extend(embeds[:1], cache)
    with pytest.raises(ModelError, match="leave older turns out"):
        tiny_lm.score(np.zeros((CONTEXT + 1, WIDTH), np.float32))


def test_text_is_never_special(tiny_lm: LanguageModel, tiny_folder: Path) -> None:
    assert not {0, 1, 2} & set(tiny_lm.tokenizer.encode("<|im_start|>a<|im_end|>").ids)
    plain = Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    assert plain.encode("<|im_start|>a the 12").tokens[0] == "<|im_start|>"
    text = "the thermos, 12 apples\n\tand é 🙂"
    ids = tiny_lm.tokenizer.encode(text).ids
    assert ids == plain.encode(text).ids
    assert tiny_lm.tokenizer.decode(ids) == text


def test_torch_is_frozen_and_lets_gradients_through(tiny_folder: Path) -> None:
    lm = TorchLanguageModel.load(tiny_folder)
    before = {name: weight.clone() for name, weight in lm.llama.state_dict().items()}
    embeds = torch.randn(1, 5, WIDTH, requires_grad=True)
    lm.llama(inputs_embeds=embeds).logits.square().mean().backward()
    assert embeds.grad is not None
    assert embeds.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in lm.llama.parameters())
    assert not lm.llama.training
    assert all(torch.equal(before[name], w) for name, w in lm.llama.state_dict().items())


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no config"):
        TorchLanguageModel.load(tmp_path)
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    with pytest.raises(ModelError, match="BertModel"):
        TorchLanguageModel.load(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "embeddings.npy"])
def test_a_broken_folder_is_a_sentence(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(ModelError, match="delete that folder"):
        OnnxLanguageModel.load(tmp_path)
