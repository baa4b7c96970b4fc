"""Turns a Llama's GGUF file into a folder that both engines read.

The folder has the Hugging Face layout (config, tokenizer, chat template) and an ONNX graph;
safetensors, which only torch needs and which are large, are written when they are asked for.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from audiochat.model.gguf import BlockWeight, GgufFile, stack_rows
from audiochat.model.onnx_engine import EMBEDDINGS_FILE
from audiochat.model.onnx_graph import LlamaShape, Weight, write_graph

_CONTROL_TOKEN = 3
"""The GGUF token type of special tokens."""

_HEAD = "output.weight"
"""Absent where the embeddings are the head too."""

_GRAPH_PARTS = {
    "input_norm": ["attn_norm"],
    "qkv": ["attn_q", "attn_k", "attn_v"],
    "o": ["attn_output"],
    "post_norm": ["ffn_norm"],
    "gate_up": ["ffn_gate", "ffn_up"],
    "down": ["ffn_down"],
}
"""The graph's names of a layer's weights, and the GGUF's."""

_LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write_configs(gguf: GgufFile, folder: Path) -> None:
    """Writes the config, the tokenizer and the chat template."""
    config = llama_config(gguf)
    _write_json(folder / "config.json", config)
    tokens = _strings(gguf, "tokenizer.ggml.tokens")
    build_tokenizer(gguf).save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": gguf.metadata["tokenizer.chat_template"],
            "bos_token": tokens[config["bos_token_id"]],
            "eos_token": tokens[config["eos_token_id"]],
            "model_max_length": config["max_position_embeddings"],
            "clean_up_tokenization_spaces": False,
        },
    )


def llama_config(gguf: GgufFile) -> dict[str, Any]:
    """Gives the model's config as `LlamaConfig` takes it."""
    found = gguf.metadata
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": found["llama.embedding_length"],
        "intermediate_size": found["llama.feed_forward_length"],
        "num_hidden_layers": found["llama.block_count"],
        "num_attention_heads": found["llama.attention.head_count"],
        "num_key_value_heads": found["llama.attention.head_count_kv"],
        "rms_norm_eps": found["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": found["llama.rope.freq_base"],
        "max_position_embeddings": found["llama.context_length"],
        "vocab_size": found["llama.vocab_size"],
        "bos_token_id": found["tokenizer.ggml.bos_token_id"],
        "eos_token_id": found["tokenizer.ggml.eos_token_id"],
        "pad_token_id": found["tokenizer.ggml.padding_token_id"],
        "tie_word_embeddings": _HEAD not in gguf.names,
        "hidden_act": "silu",
        "dtype": "float32",
    }


def build_tokenizer(gguf: GgufFile) -> Tokenizer:
    """Builds the byte-level BPE tokenizer; digits are cut one by one, as SmolLM2's are."""
    tokens = _strings(gguf, "tokenizer.ggml.tokens")
    pairs = [merge.partition(" ") for merge in _strings(gguf, "tokenizer.ggml.merges")]
    merges = [(left, right) for left, _, right in pairs]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = gguf.metadata["tokenizer.ggml.token_type"]
    assert isinstance(kinds, list)
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == _CONTROL_TOKEN
        ]
    )
    return tokenizer


def write_onnx(gguf: GgufFile, folder: Path) -> None:
    """Writes the graph, its weights exactly as quantised, and the embeddings for lookup."""
    config = llama_config(gguf)
    shape = LlamaShape(
        n_layers=config["num_hidden_layers"],
        n_heads=config["num_attention_heads"],
        n_kv_heads=config["num_key_value_heads"],
        head_dim=config["hidden_size"] // config["num_attention_heads"],
        hidden_dim=config["hidden_size"],
        vocab_size=config["vocab_size"],
        context_length=config["max_position_embeddings"],
        rope_theta=config["rope_theta"],
        norm_epsilon=config["rms_norm_eps"],
    )
    metadata = {
        "embedding_rms": repr(_write_embeddings(gguf, folder / EMBEDDINGS_FILE)),
        "context_length": str(shape.context_length),
    }
    write_graph(shape, lambda name: _graph_weight(gguf, name), folder, metadata)


def _write_embeddings(gguf: GgufFile, path: Path) -> float:
    """Writes the table (V, H) as a float32 .npy and gives its root mean square."""
    table = gguf.matrix("token_embd.weight")
    written = np.lib.format.open_memmap(path, "w+", np.float32, table.quants.shape)
    square = 0.0
    for rows in np.array_split(np.arange(len(written)), 16):
        part = table.rows(rows).dense()
        square += float(np.square(part, dtype=np.float64).sum())
        written[rows] = part
    written.flush()
    return float(np.sqrt(square / written.size))


def _graph_weight(gguf: GgufFile, name: str) -> Weight:
    """Gives a weight by the name that `onnx_graph` has for it."""
    if name == "norm":
        return gguf.array("output_norm.weight")
    if name == "head":
        return gguf.matrix(_HEAD if _HEAD in gguf.names else "token_embd.weight")
    _, layer, part = name.split(".")
    names = [f"blk.{layer}.{tensor}.weight" for tensor in _GRAPH_PARTS[part]]
    if part.endswith("norm"):
        return gguf.array(names[0])
    return stack_rows([_matrix(gguf, name) for name in names])


def _matrix(gguf: GgufFile, name: str) -> BlockWeight:
    """Gives a matrix, the rows of queries and keys in the order that Hugging Face's have."""
    weight = gguf.matrix(name)
    order = rotary_row_order(gguf, name)
    return weight if order is None else weight.rows(order)


def write_safetensors(gguf: GgufFile, path: Path, progress: Callable[[float], None]) -> None:
    """Writes the weights as float32 in the names of `LlamaForCausalLM`."""
    tensors = {}
    for done, name in enumerate(gguf.names):
        is_norm = name.endswith("norm.weight")
        tensor = gguf.array(name) if is_norm else _matrix(gguf, name).dense()
        tensors[_hugging_face_name(name)] = tensor
        progress(done / len(gguf.names))
    save_file(tensors, path, metadata={"format": "pt"})


def rotary_row_order(gguf: GgufFile, name: str) -> np.ndarray | None:
    """Gives the order that undoes llama.cpp's reordering of query and key rows, if it has one.

    llama.cpp rotates neighbouring pairs, Hugging Face the two halves of a head, so llama.cpp's
    converter interleaves the halves of each head: its row 2i + j is row i + j * width / 2.
    """
    n_heads = {
        "attn_q.weight": gguf.metadata["llama.attention.head_count"],
        "attn_k.weight": gguf.metadata["llama.attention.head_count_kv"],
    }.get(name.split(".", 2)[-1])
    if n_heads is None:
        return None
    head_dim = gguf.metadata["llama.rope.dimension_count"]
    assert isinstance(n_heads, int)
    assert isinstance(head_dim, int)
    return np.arange(n_heads * head_dim).reshape(n_heads, -1, 2).swapaxes(1, 2).reshape(-1)


def _hugging_face_name(name: str) -> str:
    top = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        _HEAD: "lm_head.weight",
    }
    if name in top:
        return top[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{_LAYER_TENSORS[part]}.weight"


def _strings(gguf: GgufFile, key: str) -> list[str]:
    values = gguf.metadata[key]
    assert isinstance(values, list)
    return [str(value) for value in values]


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
