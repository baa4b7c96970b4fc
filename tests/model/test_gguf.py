from pathlib import Path

import numpy as np
import pytest

from audiochat.errors import ModelError
from audiochat.model.gguf import GgufFile, stack_rows
from tests.model import tiny_llama


@pytest.fixture
def tiny(tiny_folder: Path) -> GgufFile:
    return GgufFile(tiny_folder / "tiny.gguf")


def test_metadata_comes_back(tiny: GgufFile) -> None:
    for name, value in tiny_llama.METADATA.items():
        found = tiny.metadata[name]
        assert found == pytest.approx(value) if isinstance(value, float) else found == value


def test_q4_1_by_its_formula(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    _, _, content = tiny_llama.quantised(random, 2, 64)
    expected = np.zeros((4, 32))
    for row, block in enumerate(np.frombuffer(content, np.uint8).reshape(4, 20)):
        scale, minimum = block[:4].view("<f2").astype(float)
        for place, byte in enumerate(block[4:]):
            expected[row, place] = scale * (byte & 15) + minimum
            expected[row, place + 16] = scale * (byte >> 4) + minimum
    found = read_one(tmp_path, (2, 64), 3, content).matrix("w").dense()
    np.testing.assert_allclose(found, expected.reshape(2, 64), rtol=1e-6, atol=1e-7)


def test_q8_0_by_its_formula(tmp_path: Path) -> None:
    _, _, content = tiny_llama.quantised(np.random.default_rng(2), 2, 64, bits=8)
    blocks = np.frombuffer(content, np.uint8).reshape(4, 34).copy()
    expected = blocks[:, 2:].view(np.int8) * blocks[:, :2].copy().view("<f2").astype(float)
    found = read_one(tmp_path, (2, 64), 8, content).matrix("w").dense()
    np.testing.assert_allclose(found, expected.reshape(2, 64), rtol=1e-6)


def read_one(folder: Path, shape: tuple[int, ...], kind: int, content: bytes) -> GgufFile:
    """A file with one tensor, `w`."""
    pack = tiny_llama.struct.pack
    info = tiny_llama.string("w") + pack("<IQQ", 2, *shape[::-1]) + pack("<IQ", kind, 0)
    head = b"GGUF" + pack("<IQQ", 3, 1, 0) + info
    path = folder / "one.gguf"
    path.write_bytes(head + bytes(-len(head) % 32) + content)
    return GgufFile(path)


def test_rows_and_stacks_keep_the_weights(tiny: GgufFile) -> None:
    query, key = (tiny.matrix(f"blk.0.attn_{name}.weight") for name in "qk")
    both = stack_rows([query, key])
    assert np.array_equal(both.dense(), np.concatenate([query.dense(), key.dense()]))
    order = np.array([3, 0, 0])
    assert np.array_equal(both.rows(order).dense(), both.dense()[order])


@pytest.mark.parametrize("kept", [0, 3, 40, 1000])
def test_a_file_cut_short_is_a_sentence(tiny_folder: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes((tiny_folder / "tiny.gguf").read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"cut\.gguf is not a whole GGUF file"):
        GgufFile(path)
