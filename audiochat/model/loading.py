"""Loads AudioChatLlama: the shipped model, or a folder of trained weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from audiochat.model.audio_chat_llama import Arm, AudioChatLlama
from audiochat.model.checkpoint import load_parts
from audiochat.model.embedded_llm import embedded_llm
from audiochat.model.weights_folder import beam_reader, weights_folder


def load(
    name: str = "embedded",
    *,
    arm: Arm | None = None,
    engine: Literal["onnx", "torch"] | None = None,
    progress: Callable[[str, float | None], None] | None = None,
) -> AudioChatLlama:
    """Load the shipped model ("embedded") or a folder of trained weights.

    Args:
        name: "embedded" or a weights folder.
        arm: how recordings reach the LLM; the best the weights have when None.
        engine: of the LLM; torch on a GPU and ONNX Runtime elsewhere when None.
        progress: told what is being fetched or converted, and the share done.

    Raises:
        ModelError: the weights or the LLM cannot be had.
    """
    folder = weights_folder(name)
    parts = load_parts(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts.ear.to(device)
    llm = parts.config.llm
    if llm == "embedded":
        engine = engine or ("onnx" if device == "cpu" else "torch")
        lm = embedded_llm(engine, device=device, progress=progress)
    else:
        from audiochat.model.torch_engine import TorchLanguageModel

        lm = TorchLanguageModel.load(Path(llm), device=device)
    return AudioChatLlama(parts, lm, arm=arm, read=beam_reader(folder, parts.units, lm))
