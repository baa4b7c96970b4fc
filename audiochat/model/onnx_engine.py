"""The language model on ONNX Runtime: the engine for CPUs.

Keys and values stay in buffers that the graph writes into, so that a step copies none of them.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state
from tokenizers import Tokenizer

from audiochat.errors import ModelError
from audiochat.model.chat_template import ChatTemplate, read_chat_template
from audiochat.model.language_model import (
    Cache,
    check_room,
    read_end_of_turn_ids,
    read_tokenizer,
)

_ONNX_ERRORS = (
    ort_state.Fail,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NoSuchFile,
    ort_state.RuntimeException,
)

GRAPH_FILE = "model.onnx"
EMBEDDINGS_FILE = "embeddings.npy"

_CHUNK = 256
"""Positions read at once: attention's scores need memory in proportion."""
_ROOM = 256
"""Positions by which a full buffer grows."""


class OnnxCache:
    """Keys and values of an `OnnxLanguageModel`, in buffers with room for more."""

    def __init__(self, buffers: list[np.ndarray], length: int):
        """Takes the buffers (1, heads, capacity, width), keys and values of each layer in turn."""
        self.buffers = buffers
        self.values = [ort.OrtValue.ortvalue_from_numpy(buffer, "cpu") for buffer in buffers]
        self.length = length

    @property
    def n_bytes(self) -> int:
        """Memory it holds."""
        return sum(buffer.nbytes for buffer in self.buffers)

    @property
    def capacity(self) -> int:
        """Positions there is room for."""
        return int(self.buffers[0].shape[2])

    def prefix(self, n: int) -> "OnnxCache":
        """Copies the first n positions."""
        assert 0 < n <= self.length
        return self.moved(n, n)

    def moved(self, length: int, capacity: int) -> "OnnxCache":
        """Copies the first positions into buffers of another capacity."""
        buffers = []
        for buffer in self.buffers:
            _, n_heads, _, width = buffer.shape
            new = np.zeros((1, n_heads, capacity, width), np.float32)
            new[:, :, :length] = buffer[:, :, :length]
            buffers.append(new)
        return OnnxCache(buffers, length)


class OnnxLanguageModel:
    """A graph of `onnx_graph` behind the `LanguageModel` port."""

    def __init__(
        self,
        session: ort.InferenceSession,
        embeddings: np.ndarray,
        tokenizer: Tokenizer,
        *,
        chat_template: ChatTemplate,
        end_of_turn_ids: frozenset[int],
    ):
        """Takes what `load` reads."""
        self.session = session
        self.embeddings = embeddings
        self.tokenizer = tokenizer
        self.chat_template = chat_template
        self.end_of_turn_ids = end_of_turn_ids
        self.vocab_size, self.hidden_dim = (int(n) for n in embeddings.shape)
        metadata = session.get_modelmeta().custom_metadata_map
        self.context_length = int(metadata["context_length"])
        self.embedding_rms = float(metadata["embedding_rms"])
        self._past = [input_ for input_ in session.get_inputs() if input_.name.startswith("past.")]

    @classmethod
    def load(cls, folder: Path, *, n_threads: int | None = None) -> "OnnxLanguageModel":
        """Reads a folder that `gguf_conversion` wrote.

        Args:
            folder: Where the graph, the embeddings and the tokenizer are.
            n_threads: Threads that work on one step; by default one for each core allowed.

        Raises:
            ModelError: The folder is not such a model.
        """
        tokenizer = read_tokenizer(folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = n_threads or _n_cores()
        # Shapes change at every call, so a plan of the memory would be made anew each time.
        options.enable_mem_pattern = False
        # Idle threads wait busily between two steps of a reply, not between replies.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            session = ort.InferenceSession(
                str(folder / GRAPH_FILE), options, providers=["CPUExecutionProvider"]
            )
            embeddings = np.load(folder / EMBEDDINGS_FILE, mmap_mode="r")
        except (*_ONNX_ERRORS, OSError, ValueError) as error:
            raise ModelError(
                f"The language model in {folder} cannot be read ({error}): delete that folder and "
                "start again, so that it is converted anew."
            ) from error
        return cls(
            session,
            embeddings,
            tokenizer,
            chat_template=read_chat_template(folder),
            end_of_turn_ids=read_end_of_turn_ids(folder, tokenizer),
        )

    def embed(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Gives the embeddings (L, H) float32 of tokens."""
        return np.asarray(self.embeddings[np.asarray(ids, np.int64)], np.float32)

    def extend(
        self, embeds: np.ndarray, cache: Cache | None = None, *, reserve: int = 0
    ) -> tuple[np.ndarray, Cache]:
        """Reads positions after those of the cache; see `LanguageModel.extend`."""
        assert cache is None or isinstance(cache, OnnxCache)
        assert len(embeds) > 0
        filled = cache.length if cache else 0
        check_room(filled, len(embeds), self.context_length)
        longer = self._with_room(cache, filled + len(embeds), reserve)
        for start in range(0, len(embeds), _CHUNK):
            chunk = embeds[start : start + _CHUNK]
            logits = self._run(chunk, longer, keep=[len(chunk) - 1])
        return logits[0], longer

    def score(self, embeds: np.ndarray, cache: Cache | None = None) -> tuple[np.ndarray, Cache]:
        """Gives the logits (L, V) after every position; see `LanguageModel.score`."""
        assert cache is None or isinstance(cache, OnnxCache)
        filled = cache.length if cache else 0
        check_room(filled, len(embeds), self.context_length)
        longer = self._with_room(cache, filled + len(embeds), 0)
        chunks = [embeds[start : start + _CHUNK] for start in range(0, len(embeds), _CHUNK)]
        logits = [self._run(chunk, longer, range(len(chunk))) for chunk in chunks]
        return np.concatenate(logits), longer

    def _with_room(self, cache: OnnxCache | None, length: int, reserve: int) -> OnnxCache:
        """Gives the cache itself while it has room, and else a larger copy."""
        if cache is not None and cache.capacity >= length:
            return cache
        capacity = min(length + max(reserve, _ROOM), self.context_length)
        if cache is not None:
            return cache.moved(cache.length, capacity)
        # A buffer's own pages come into being only when they are written.
        shapes = [(1, past.shape[1], capacity, past.shape[3]) for past in self._past]
        return OnnxCache([np.zeros(shape, np.float32) for shape in shapes], 0)

    def _run(self, embeds: np.ndarray, cache: OnnxCache, keep: Sequence[int]) -> np.ndarray:
        """Reads positions into the cache; gives the logits (n, V) of those to keep."""
        length = cache.length + len(embeds)
        binding = self.session.io_binding()
        binding.bind_cpu_input("inputs_embeds", np.ascontiguousarray(embeds, np.float32))
        binding.bind_cpu_input("keep", np.asarray(keep, np.int64))
        binding.bind_cpu_input("seqlens_k", np.array([length - 1], np.int32))
        binding.bind_cpu_input("total_sequence_length", np.array(length, np.int32))
        binding.bind_output("logits", "cpu")
        for past, value in zip(self._past, cache.values, strict=True):
            binding.bind_ortvalue_input(past.name, value)
            binding.bind_ortvalue_output(past.name.replace("past", "present"), value)
        self.session.run_with_iobinding(binding)
        cache.length = length
        logits: np.ndarray = binding.get_outputs()[0].numpy()
        return logits


def _n_cores() -> int:
    """Counts the cores that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
