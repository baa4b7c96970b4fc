"""Builds the ONNX graph of a Llama: embeddings and a shared key-value buffer in, logits out.

Each weight goes to the data file as it comes, so that building needs the memory of one weight and
not of the model. It knows weights as arrays; where they come from is its caller's matter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper

from audiochat.model.gguf import BlockWeight
from audiochat.model.onnx_engine import GRAPH_FILE

_DATA_FILE = "model.onnx.data"

_MICROSOFT = "com.microsoft"
_OPSETS = {"": 21, _MICROSOFT: 1}
_IR_VERSION = 10

_PAGE = 4096
"""Weights start on a page, so that ONNX Runtime can map them into memory."""

_INT8_ACTIVATIONS = 4
"""MatMulNBits' accuracy level: activations as 8-bit blocks too.

The other levels unpack the weights at every token: 4 to 5 tokens/s a core against 65.
"""

Weight = np.ndarray | BlockWeight
Weights = Callable[[str], Weight]
"""Gives a weight by the graph's own name of it.

`head`, `norm`, and for each layer `layers.I.` and `input_norm`, `qkv` (the rows of queries, keys
and values, one under another), `o`, `post_norm`, `gate_up` (gate rows, then up rows) or `down`.
Matrices are (out, in).
"""


@dataclass(frozen=True)
class LlamaShape:
    """The numbers that fix a Llama's graph."""

    n_layers: int
    """Decoder layers."""
    n_heads: int
    """Query heads of each."""
    n_kv_heads: int
    """Key and value heads of each."""
    head_dim: int
    """Width of a head."""
    hidden_dim: int
    """H, width of an embedding."""
    vocab_size: int
    """V, number of tokens."""
    context_length: int
    """Most positions."""
    rope_theta: float
    """Base of the rotary frequencies."""
    norm_epsilon: float
    """What keeps RMSNorm from dividing by zero."""


def write_graph(
    shape: LlamaShape, weights: Weights, folder: Path, metadata: Mapping[str, str]
) -> None:
    """Writes the graph and its weights into a folder.

    Inputs: `inputs_embeds` (L, H); `keep` (n), the positions whose logits are wanted; `past.I.key`
    and `past.I.value` (1, heads, capacity, width); `seqlens_k` (1) and `total_sequence_length` (),
    which both tell how many positions are filled after this call (the first minus one). Outputs:
    `logits` (n, V); `present.I.key` and `present.I.value`, to be bound to the buffers of the past.

    Args:
        shape: The numbers of the model.
        weights: Its weights.
        folder: Where to write.
        metadata: What to keep beside the graph, for whoever loads it.
    """
    with (folder / _DATA_FILE).open("wb") as file:
        graph = _Graph(shape, weights, _Data(file))
        nodes, initializers = graph.build()
    model = helper.make_model(
        helper.make_graph(nodes, "llama", _inputs(shape), _outputs(shape), initializers),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()],
        ir_version=_IR_VERSION,
    )
    helper.set_model_props(model, dict(metadata))
    onnx.save(model, folder / GRAPH_FILE)


class _Data:
    """The data file, and the graph's record of what is where in it."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.initializers: list[TensorProto] = []

    def add(self, name: str, array: np.ndarray) -> str:
        array = np.ascontiguousarray(array)
        self.file.seek(-(-self.file.tell() // _PAGE) * _PAGE)
        proto = TensorProto(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            data_location=TensorProto.EXTERNAL,
        )
        place = {"location": _DATA_FILE, "offset": self.file.tell(), "length": array.nbytes}
        for key, value in place.items():
            proto.external_data.add(key=key, value=str(value))
        self.file.write(array.data)
        self.initializers.append(proto)
        return name


class _Graph:
    """The nodes, in the order in which they run; values are known by their names."""

    def __init__(self, shape: LlamaShape, weights: Weights, data: _Data):
        self.shape = shape
        self.weights = weights
        self.data = data
        self.nodes: list[onnx.NodeProto] = []
        self.block_sums: dict[str, str] = {}

    def build(self) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
        shape = self.shape
        axis = onnx.numpy_helper.from_array(np.zeros(1, np.int64), "batch_axis")
        powers = np.arange(0, shape.head_dim, 2) / shape.head_dim
        angles = np.outer(np.arange(shape.context_length), shape.rope_theta**-powers)
        self.data.add("cos", np.cos(angles).astype(np.float32))
        self.data.add("sin", np.sin(angles).astype(np.float32))
        hidden, change = self.layer(0, "inputs_embeds", None)
        for layer in range(1, shape.n_layers):
            hidden, change = self.layer(layer, hidden, change)
        # The head is as large as a fifth of the model: only wanted positions go through it.
        hidden = self.op("Gather", [hidden, "keep"], axis=0)
        change = self.op("Gather", [change, "keep"], axis=0)
        normed, _ = self.norm("norm", hidden, change)
        self.op("Identity", [self.linear("head", normed)], outputs=["logits"])
        return self.nodes, [axis, *self.data.initializers]

    def layer(self, index: int, hidden: str, change: str | None) -> tuple[str, str]:
        """Adds a layer; the sum of the two values that it takes and gives is the residual."""
        name = f"layers.{index}."
        normed, hidden = self.norm(name + "input_norm", hidden, change)
        attended = self.attention(index, self.linear(name + "qkv", normed))
        change = self.linear(name + "o", attended)
        normed, hidden = self.norm(name + "post_norm", hidden, change)
        halves = [name + "gate", name + "up"]
        gate_up = self.linear(name + "gate_up", normed)
        self.op("Split", [gate_up], outputs=halves, axis=-1, num_outputs=2)
        # x * sigmoid(x) in one step.
        gate = self.op("QuickGelu", [halves[0]], domain=_MICROSOFT, alpha=1.0)
        return hidden, self.linear(name + "down", self.op("Mul", [gate, halves[1]]))

    def norm(self, name: str, hidden: str, change: str | None) -> tuple[str, str]:
        """Adds the change to the residual and normalises; gives the normalised and the sum."""
        weight = self.weights(name)
        assert isinstance(weight, np.ndarray)
        scale, epsilon = self.data.add(name, weight), self.shape.norm_epsilon
        if change is None:
            kind = "SimplifiedLayerNormalization"
            return self.op(kind, [hidden, scale], epsilon=epsilon, axis=-1), hidden
        outputs = [f"{name}.normed", "", "", f"{name}.sum"]
        kind = "SkipSimplifiedLayerNormalization"
        inputs = [hidden, change, scale]
        self.op(kind, inputs, outputs=outputs, domain=_MICROSOFT, epsilon=epsilon)
        return outputs[0], outputs[3]

    def attention(self, index: int, qkv: str) -> str:
        past, present = _key_values("past", index), _key_values("present", index)
        batch = self.op("Unsqueeze", [qkv, "batch_axis"])
        counts = ["seqlens_k", "total_sequence_length"]
        attended = self.op(
            "GroupQueryAttention",
            [batch, "", "", *past, *counts, "cos", "sin"],
            outputs=[f"layers.{index}.attended", *present],
            domain=_MICROSOFT,
            num_heads=self.shape.n_heads,
            kv_num_heads=self.shape.n_kv_heads,
            do_rotary=1,
        )
        return self.op("Squeeze", [attended, "batch_axis"])

    def linear(self, name: str, inputs: str) -> str:
        weight = self.weights(name)
        if isinstance(weight, np.ndarray):
            return self.op("MatMul", [inputs, self.data.add(name, weight.T)])
        n_rows, width = weight.quants.shape
        result = self.op(
            "MatMulNBits",
            [
                inputs,
                self.data.add(f"{name}.quants", _packed(weight)),
                self.data.add(f"{name}.scales", weight.scales),
            ],
            domain=_MICROSOFT,
            K=width,
            N=n_rows,
            bits=weight.bits,
            block_size=weight.block_size,
            accuracy_level=_INT8_ACTIVATIONS,
        )
        if weight.offsets is None:
            return result
        # A block's offset multiplies the sum of that block's inputs, so the offsets are one small
        # matrix of their own. MatMulNBits' own fractional zero points say the same 18x slower.
        sums = self.sums_of_blocks(inputs, width, weight.block_size)
        offsets = self.data.add(f"{name}.offsets", weight.offsets.T)
        return self.op("Gemm", [sums, offsets, result])

    def sums_of_blocks(self, inputs: str, width: int, block_size: int) -> str:
        """Gives (L, width / block_size): the inputs summed over each block."""
        ones = f"block_sums.{width}.{block_size}"
        if ones not in self.block_sums:
            matrix = np.repeat(np.eye(width // block_size, dtype=np.float32), block_size, axis=0)
            self.block_sums[ones] = self.data.add(ones, matrix)
        return self.op("MatMul", [inputs, ones])

    def op(
        self,
        kind: str,
        inputs: list[str],
        *,
        outputs: list[str] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Adds a node and gives the name of its first output."""
        name = f"{kind}.{len(self.nodes)}"
        outputs = outputs or [name]
        node = helper.make_node(kind, inputs, outputs, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return outputs[0]


def _packed(weight: BlockWeight) -> np.ndarray:
    """Gives (N, blocks, bytes): two 4-bit weights share a byte, the first in its lower half."""
    n_rows, width = weight.quants.shape
    quants = weight.quants.reshape(n_rows, width // weight.block_size, weight.block_size)
    return quants if weight.bits == 8 else quants[:, :, ::2] | (quants[:, :, 1::2] << 4)


def _key_values(time: str, layer: int) -> list[str]:
    return [f"{time}.{layer}.key", f"{time}.{layer}.value"]


def _buffers(shape: LlamaShape, time: str) -> list[onnx.ValueInfoProto]:
    dims: list[str | int | None] = [1, shape.n_kv_heads, "capacity", shape.head_dim]
    names = [name for layer in range(shape.n_layers) for name in _key_values(time, layer)]
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in names]


def _inputs(shape: LlamaShape) -> list[onnx.ValueInfoProto]:
    info = helper.make_tensor_value_info
    return [
        info("inputs_embeds", TensorProto.FLOAT, ["L", shape.hidden_dim]),
        info("keep", TensorProto.INT64, ["n"]),
        info("seqlens_k", TensorProto.INT32, [1]),
        info("total_sequence_length", TensorProto.INT32, []),
        *_buffers(shape, "past"),
    ]


def _outputs(shape: LlamaShape) -> list[onnx.ValueInfoProto]:
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", shape.vocab_size])
    return [logits, *_buffers(shape, "present")]
