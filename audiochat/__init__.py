"""Talk to a speech LLM: a page, a terminal client and a Python API over one model.

Importing the package loads nothing; `load` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiochat.model.audio_chat_llama import AudioChatLlama

__all__ = ["__version__", "load"]

__version__ = "0.1.0"


def load(name: str = "embedded") -> AudioChatLlama:
    """Load AudioChatLlama, ready to answer speech and text.

    The embedded default fetches its LLM (93 MB) on the first call and keeps it in the cache
    folder (`AUDIOCHAT_CACHE`).

    Args:
        name: "embedded", or the folder of a trained model.

    Raises:
        ModelError: The weights are not at hand and cannot be fetched, or the name is unknown.
    """
    from audiochat.model.loading import load as load_model

    return load_model(name)
