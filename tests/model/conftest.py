"""The tiny Llama, made once."""

from pathlib import Path

import pytest

from audiochat.model.onnx_engine import OnnxLanguageModel
from audiochat.model.torch_engine import TorchLanguageModel
from tests.model import tiny_llama


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write_folder(tmp_path_factory.mktemp("tiny_llama"))


@pytest.fixture(scope="session")
def tiny_engines(tiny_folder: Path) -> dict[str, TorchLanguageModel | OnnxLanguageModel]:
    return tiny_llama.load_both(tiny_folder)


@pytest.fixture(params=["torch", "onnx"])
def tiny_lm(
    request: pytest.FixtureRequest, tiny_engines: dict[str, TorchLanguageModel | OnnxLanguageModel]
) -> TorchLanguageModel | OnnxLanguageModel:
    return tiny_engines[request.param]
