"""A hearing to audio embeddings of the LLM, by either connector."""

import numpy as np
import torch
from torch import Tensor

from audiochat.model.checkpoint import TrainedParts
from audiochat.model.connector import EndToEndConnector, HybridConnector, frames_beneath
from audiochat.model.ear import Hearing
from audiochat.model.language_model import LanguageModel
from audiochat.model.units import Units


def audio_embeds(kind: str, parts: TrainedParts, lm: LanguageModel, hearing: Hearing) -> Tensor:
    """The audio embeddings (L, H) of one hearing, by the connector of that kind."""
    connector = parts.connectors[kind]
    if isinstance(connector, EndToEndConnector):
        n_frames = torch.tensor([len(hearing.frames)])
        embeds, n_out = connector(hearing.frames[None], hearing.log_probs[None], n_frames)
        return embeds[0, : int(n_out)]
    assert isinstance(connector, HybridConnector)
    ids, spans = token_spans(hearing, parts.units, lm)
    tokens = torch.from_numpy(np.array(lm.embed(ids)))
    result: Tensor = connector(tokens, frames_beneath(hearing.frames, spans))
    return result


def token_spans(
    hearing: Hearing, units: Units, lm: LanguageModel
) -> tuple[list[int], list[tuple[int, int]]]:
    """The LLM's tokens of the words heard, and the first and last frame beneath each."""
    found = list(zip(hearing.reading.units, hearing.reading.frames, strict=True))
    text = "".join(units.piece(unit) for unit, _ in found)
    lead = len(text) - len(text.lstrip())
    frame_of_character: list[int] = []
    for unit, frame in found:
        frame_of_character += [frame] * len(units.piece(unit))
    frame_of_character = frame_of_character[lead:]
    encoding = lm.tokenizer.encode(text.strip() or " ", add_special_tokens=False)
    spans = []
    for start, stop in encoding.offsets:
        beneath = frame_of_character[start:stop] or [0]
        spans.append((min(beneath), max(beneath)))
    return list(encoding.ids), spans


def unit_text_embeds(units: Units, lm: LanguageModel) -> Tensor:
    """The mean of the LLM's embeddings of each unit's text: (V, H), the start of connector A."""
    rows = []
    for unit in range(units.size):
        ids = lm.tokenizer.encode(units.piece(unit), add_special_tokens=False).ids
        rows.append(lm.embed(ids).mean(0) if ids else np.zeros(lm.hidden_dim, np.float32))
    return torch.from_numpy(np.stack(rows))
