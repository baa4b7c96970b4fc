"""Reads a GGUF file: its metadata, and its tensors as memory-mapped quantised blocks.

Only the three tensor types that the embedded LLM has (F32, Q8_0, Q4_1) are known. The layout is
that of the GGUF specification, version 3, in the ggml repository (docs/gguf.md).
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from audiochat.errors import ModelError

Value: TypeAlias = "bool | int | float | str | list[Value]"

BLOCK_SIZE = 32
"""Weights that share one scale, in both quantised types."""

_F32, _Q4_1, _Q8_0 = 0, 3, 8
_BYTES_PER_BLOCK = {_Q4_1: 20, _Q8_0: 34}
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class BlockWeight:
    """A weight matrix (N, K) whose rows are cut into blocks, each with a scale and an offset.

    weight = scale * (quants - 2^(bits - 1)) + offset, and no offset at all where it is None.
    """

    bits: int
    """4 or 8."""
    block_size: int
    """Weights of one block."""
    quants: np.ndarray
    """(N, K) uint8, one weight a byte whatever `bits` is."""
    scales: np.ndarray
    """(N, K / block_size) float32."""
    offsets: np.ndarray | None = None
    """(N, K / block_size) float32."""

    def dense(self) -> np.ndarray:
        """Gives the weights (N, K) as float32, exactly."""
        n_rows, n_blocks = self.scales.shape
        centred = self.quants.reshape(n_rows, n_blocks, -1).astype(np.float32)
        centred -= 2 ** (self.bits - 1)
        centred *= self.scales[:, :, None]
        if self.offsets is not None:
            centred += self.offsets[:, :, None]
        return centred.reshape(n_rows, -1)

    def rows(self, index: np.ndarray) -> "BlockWeight":
        """Gives the same matrix with its rows picked and ordered by `index`."""
        offsets = None if self.offsets is None else self.offsets[index]
        return BlockWeight(
            self.bits, self.block_size, self.quants[index], self.scales[index], offsets
        )


def stack_rows(weights: list[BlockWeight]) -> BlockWeight:
    """Puts matrices of the same kind and width one under another."""
    first = weights[0]
    offsets = [weight.offsets for weight in weights if weight.offsets is not None]
    assert len(offsets) in (0, len(weights))
    return BlockWeight(
        first.bits,
        first.block_size,
        np.concatenate([weight.quants for weight in weights]),
        np.concatenate([weight.scales for weight in weights]),
        np.concatenate(offsets) if offsets else None,
    )


@dataclass(frozen=True)
class _TensorInfo:
    shape: tuple[int, ...]
    kind: int
    start: int


class _Cursor:
    """Reads values one after another."""

    def __init__(self, buffer: mmap.mmap):
        self.buffer = buffer
        self.position = 0

    def scalar(self, form: str) -> bool | int | float:
        (value,) = struct.unpack_from(form, self.buffer, self.position)
        self.position += struct.calcsize(form)
        return value

    def integer(self, form: str) -> int:
        return int(self.scalar(form))

    def string(self) -> str:
        length = self.integer("<Q")
        self.position += length
        return self.buffer[self.position - length : self.position].decode("utf-8")

    def value(self, kind: int) -> Value:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        item_kind, length = self.integer("<I"), self.integer("<Q")
        return [self.value(item_kind) for _ in range(length)]


class GgufFile:
    """An open GGUF file.

    Attributes:
        metadata: The file's key-value pairs.
    """

    def __init__(self, path: Path):
        """Reads the header.

        Raises:
            ModelError: The file is not a GGUF file, or is cut short.
        """
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.metadata, self._tensors = _read_header(_Cursor(self._bytes))
        except (struct.error, KeyError, ValueError) as error:  # an empty file cannot be mapped
            raise ModelError(
                f"{path.name} is not a whole GGUF file, so the language model cannot be read "
                "from it: delete it, so that it is fetched again."
            ) from error

    @property
    def names(self) -> list[str]:
        """The tensors' names."""
        return list(self._tensors)

    def array(self, name: str) -> np.ndarray:
        """Gives an unquantised tensor."""
        info = self._tensors[name]
        assert info.kind == _F32, f"{name} is of type {info.kind}"
        count = int(np.prod(info.shape))
        return np.frombuffer(self._bytes, np.float32, count, info.start).reshape(info.shape)

    def matrix(self, name: str) -> BlockWeight:
        """Gives a quantised matrix (N, K)."""
        info = self._tensors[name]
        n_rows, width = info.shape
        n_bytes = _BYTES_PER_BLOCK[info.kind]
        shape = (n_rows, width // BLOCK_SIZE, n_bytes)
        count = int(np.prod(shape))
        blocks = np.frombuffer(self._bytes, np.uint8, count, info.start).reshape(shape)
        return (_unpack_q4_1 if info.kind == _Q4_1 else _unpack_q8_0)(blocks)


def _read_header(cursor: _Cursor) -> tuple[dict[str, Value], dict[str, _TensorInfo]]:
    if cursor.buffer[:4] != b"GGUF":
        raise ValueError("not GGUF")
    cursor.position = 8
    n_tensors, n_pairs = cursor.integer("<Q"), cursor.integer("<Q")
    metadata: dict[str, Value] = {}
    for _ in range(n_pairs):
        name = cursor.string()
        metadata[name] = cursor.value(cursor.integer("<I"))
    found = []
    for _ in range(n_tensors):
        name, n_dims = cursor.string(), cursor.integer("<I")
        # The file lists the fastest dimension first; numpy the slowest.
        shape = tuple(cursor.integer("<Q") for _ in range(n_dims))[::-1]
        found.append((name, shape, cursor.integer("<I"), cursor.integer("<Q")))
    alignment = metadata.get("general.alignment", 32)
    assert isinstance(alignment, int)
    base = -(-cursor.position // alignment) * alignment
    if found and base + found[-1][3] >= len(cursor.buffer):
        raise ValueError("no tensors")
    return metadata, {
        name: _TensorInfo(shape, kind, base + offset) for name, shape, kind, offset in found
    }


def _halves(blocks: np.ndarray, first_byte: int) -> np.ndarray:
    two_bytes = np.ascontiguousarray(blocks[:, :, first_byte : first_byte + 2])
    return two_bytes.view(np.float16)[:, :, 0].astype(np.float32)


def _unpack_q4_1(blocks: np.ndarray) -> BlockWeight:
    """Q4_1: scale d, minimum m, then 16 bytes; byte i holds weights i (low) and i + 16 (high)."""
    scales, minima, packed = _halves(blocks, 0), _halves(blocks, 2), blocks[:, :, 4:]
    quants = np.concatenate([packed & 15, packed >> 4], axis=2).reshape(len(blocks), -1)
    return BlockWeight(4, BLOCK_SIZE, quants, scales, minima + 8 * scales)


def _unpack_q8_0(blocks: np.ndarray) -> BlockWeight:
    """Q8_0: scale d, then 32 signed bytes; adding 128 to a signed byte flips its top bit."""
    quants = (blocks[:, :, 2:] ^ 128).reshape(len(blocks), -1)
    return BlockWeight(8, BLOCK_SIZE, quants, _halves(blocks, 0))
