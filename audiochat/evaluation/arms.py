"""One question through every arm: its written words, or its sound by each way of hearing.

All arms share the model, the system prompt and the decoding, so that they differ in hearing alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiochat.conversation import Conversation, Message
from audiochat.errors import AudioError
from audiochat.evaluation.clips import Clip
from audiochat.evaluation.metrics import succeeds
from audiochat.model.audio_chat_llama import ARMS as HEARING_ARMS
from audiochat.model.audio_chat_llama import AudioChatLlama, Prompt
from audiochat.model.language_model import LanguageModel
from audiochat.sampling import Sampling

TEXT = "text"
"""The arm that reads the written words: what the others are measured against."""

ARMS = (TEXT, *HEARING_ARMS)


@dataclass(frozen=True)
class Setting:
    """What all arms share."""

    system_prompt: str
    sampling: Sampling


@dataclass(frozen=True)
class Reply:
    """What one arm made of one clip."""

    heard: str | None
    """None for the arm that reads; empty where no word was heard, and then so is the reply."""

    text: str
    ids: tuple[int, ...]
    first_text_ms: float | None

    nll: float | None = None
    """Summed negative log-likelihood of the text arm's reply after this arm's prompt, in nats;
    None where nothing was heard."""

    n_tokens: int = 0
    """Tokens of the text arm's reply."""

    success: bool | None = None
    """Whether a right answer is in it; None where the manifest has none."""


def ask_all(
    model: AudioChatLlama, clip: Clip, arms: Sequence[str], setting: Setting
) -> dict[str, Reply]:
    """Ask one clip's question through the arms; the text arm is asked in any case."""
    found: dict[str, Reply] = {}
    reference: tuple[int, ...] = ()
    for arm in (TEXT, *(arm for arm in arms if arm != TEXT)):
        found[arm] = ask(model, clip, arm, setting, reference)
        reference = reference or found[arm].ids
    return found


def ask(
    model: AudioChatLlama, clip: Clip, arm: str, setting: Setting, reference: tuple[int, ...]
) -> Reply:
    """Ask one clip's question through one arm.

    Args:
        model: hears and answers.
        clip: the question.
        arm: one of ARMS.
        setting: what all arms share.
        reference: tokens of the text arm's reply; empty for the text arm itself, which scores
            its own.
    """
    # Nothing may be left from the arm before, or the second to hear a clip would be the faster.
    model.close()
    asked = Message.user(clip.line.text if arm == TEXT else clip.waveform)
    conversation = Conversation((asked,), setting.system_prompt)
    way = next((hearing for hearing in HEARING_ARMS if hearing == arm), None)
    start = time.perf_counter()
    success = False if clip.answers else None
    try:
        prompt = model.prepare(conversation, setting.sampling, arm=way)
    except AudioError:
        return Reply("", "", (), None, n_tokens=len(reference), success=success)
    reply, ids, first_text_ms = _write(model, prompt, setting.sampling, start)
    scored = reference or ids
    return Reply(
        heard=" ".join(hearing.text for _, _, hearing in prompt.hearings) if way else None,
        text=reply,
        ids=ids,
        first_text_ms=first_text_ms,
        nll=summed_nll(model.lm, prompt.embeds, scored),
        n_tokens=len(scored),
        success=succeeds(reply, clip.answers) if clip.answers else None,
    )


def summed_nll(lm: LanguageModel, prompt: np.ndarray, ids: Sequence[int]) -> float:
    """Summed negative log-likelihood of tokens after a prompt (L, H), in nats."""
    if not ids:
        return 0.0
    logits = lm.score(np.concatenate([prompt, lm.embed(ids)]))[len(prompt) - 1 : -1]
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = logits[np.arange(len(ids)), np.asarray(ids)]
    return float((np.log(np.exp(logits).sum(axis=-1)) - chosen).sum())


def _write(
    model: AudioChatLlama, prompt: Prompt, sampling: Sampling, start: float
) -> tuple[str, tuple[int, ...], float | None]:
    """The reply's text and tokens, and the milliseconds from `start` to its first text."""
    text, first_text_ms = "", None
    ids: list[int] = []
    for token in model.stream(prompt, sampling):
        ids.append(token.id)
        text += token.piece
        if token.piece and first_text_ms is None:
            first_text_ms = 1000 * (time.perf_counter() - start)
    return text.strip(), tuple(ids), first_text_ms
