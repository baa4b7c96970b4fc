"""A hearing to audio embeddings of the LLM, by either connector, and these beside the words."""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audiochat.audio import SAMPLE_RATE
from audiochat.errors import ModelError
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.connector import (
    EndToEndConnector,
    HybridConnector,
    frames_beneath,
    is_spoken,
)
from audiochat.model.ear import Hearing
from audiochat.model.embedding_alignment import (
    EmbeddingAlignment,
    best_path,
    cosines,
    shuffled_mean,
    shuffled_orders,
)
from audiochat.model.language_model import LanguageModel
from audiochat.model.streaming import frame_samples
from audiochat.model.units import Units

UNHEARD = "(unintelligible)"
"""What stands for a recording without words, in every way of hearing that begins with words."""


def audio_embeds(kind: str, parts: TrainedParts, lm: LanguageModel, hearing: Hearing) -> Tensor:
    """The audio embeddings (L, H) of one hearing, by the connector of that kind."""
    connector = parts.connectors[kind]
    device = next(connector.parameters()).device
    frames = hearing.frames.to(device)
    if isinstance(connector, EndToEndConnector):
        n_frames = torch.tensor([len(frames)], device=device)
        embeds, n_out = connector(frames[None], hearing.log_probs[None].to(device), n_frames)
        return embeds[0, : int(n_out)]
    assert isinstance(connector, HybridConnector)
    heard = heard_tokens(hearing, parts.units, lm)
    tokens = torch.from_numpy(np.array(lm.embed(heard.ids))).to(device)
    doubts = torch.tensor(heard.doubts, device=device)
    result: Tensor = connector(tokens, frames_beneath(frames, heard.spans), doubts)
    return result


@torch.inference_mode()
def embedding_alignment(
    arm: str,
    parts: TrainedParts,
    lm: LanguageModel,
    hearing: Hearing,
    transcript: str | None = None,
) -> EmbeddingAlignment:
    """The audio embeddings of one hearing beside the tokens of its transcript.

    Args:
        arm: the connector that makes the embeddings.
        parts: the ear's and connectors' weights.
        lm: the LLM they were trained for.
        hearing: the recording as the ear has it.
        transcript: what was said; the words heard when None.

    Raises:
        ModelError: the weights have no such connector, or there are no words.
    """
    if arm not in parts.connectors:
        raise ModelError(
            f"There are no audio embeddings by {arm}: this way of answering gives the LLM the "
            "words alone. Choose a model that answers by a connector."
        )
    text = (hearing.text if transcript is None else transcript).strip()
    if not text:
        raise ModelError("No words were heard, so there is nothing to lay the sound beside.")
    encoding = lm.tokenizer.encode(text, add_special_tokens=False)
    audio = audio_embeds(arm, parts, lm, hearing).numpy()
    cosine = cosines(audio, np.asarray(lm.embed(encoding.ids)))
    path, along_path = best_path(cosine)
    shuffled = shuffled_mean(cosine, shuffled_orders(len(encoding.ids)))
    frame_s = frame_samples(parts.config.encoder) / SAMPLE_RATE
    return EmbeddingAlignment(
        arm=arm,
        cosine=cosine,
        path=path,
        score=along_path - shuffled,
        shuffled=shuffled,
        tokens=tuple(text[start:stop] for start, stop in encoding.offsets),
        times_s=tuple(
            (first * frame_s, (last + 1) * frame_s)
            for first, last in embed_spans(arm, parts, lm, hearing)
        ),
    )


def embed_spans(
    kind: str, parts: TrainedParts, lm: LanguageModel, hearing: Hearing
) -> list[tuple[int, int]]:
    """First and last frame beneath each of the audio embeddings that connector makes."""
    connector = parts.connectors[kind]
    if isinstance(connector, HybridConnector):
        return heard_tokens(hearing, parts.units, lm).spans
    assert isinstance(connector, EndToEndConnector)
    stack = connector.config.stack
    kept = is_spoken(hearing.log_probs, connector.config.max_blank).nonzero().flatten().tolist()
    kept = kept or [0]
    groups = [kept[at : at + stack] for at in range(0, len(kept), stack)]
    return [(group[0], group[-1]) for group in groups]


@dataclass(frozen=True)
class HeardTokens:
    """The LLM's tokens of the words heard."""

    ids: list[int]
    spans: list[tuple[int, int]]
    """The first and last frame beneath each token."""
    doubts: list[float]
    """How unsure the ear is of the word that each belongs to, from 0 to 1."""


def heard_tokens(hearing: Hearing, units: Units, lm: LanguageModel) -> HeardTokens:
    """The LLM's tokens of a hearing; without words they are those of `UNHEARD`, wholly doubted."""
    words = hearing.reading.words
    begins = [word.first_frame for word in words]
    text = ""
    characters: list[tuple[int, float]] = []  # of each its frame and its word's doubt
    for unit, frame in zip(hearing.reading.units, hearing.reading.frames, strict=True):
        piece = units.piece(unit)
        text += piece
        # A part of a hearing may hold units of a word that lies half outside of it.
        word = words[max(0, bisect_right(begins, frame) - 1)] if words else None
        characters += [(frame, 1 - word.confidence if word else 1.0)] * len(piece)
    characters = characters[len(text) - len(text.lstrip()) :]
    encoding = lm.tokenizer.encode(text.strip() or UNHEARD, add_special_tokens=False)
    beneath = [characters[start:stop] or [(0, 1.0)] for start, stop in encoding.offsets]
    return HeardTokens(
        list(encoding.ids),
        [(min(places)[0], max(places)[0]) for places in beneath],
        [max(doubt for _, doubt in places) for places in beneath],
    )


def unit_text_embeds(units: Units, lm: LanguageModel) -> Tensor:
    """The mean of the LLM's embeddings of each unit's text: (V, H), the start of connector A."""
    rows = []
    for unit in range(units.size):
        ids = lm.tokenizer.encode(units.piece(unit), add_special_tokens=False).ids
        rows.append(lm.embed(ids).mean(0) if ids else np.zeros(lm.hidden_dim, np.float32))
    return torch.from_numpy(np.stack(rows))
