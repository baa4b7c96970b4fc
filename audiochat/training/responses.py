"""Responses of the frozen LLM to transcripts: the targets that audio must draw too.

No curated pairs: whatever the LLM answers to the words is what it must answer to the sound.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from audiochat.conversation import Conversation, Message
from audiochat.errors import DataError
from audiochat.model.prompt import TokenSegment, assemble
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.speech_data.packed import PackedSpeech


@dataclass(frozen=True)
class Response:
    """What the LLM answered to one clip's transcript."""

    folder: str
    """The packed folder's name."""
    index: int
    """The clip in it."""
    text: str
    """The transcript it was given."""
    ids: tuple[int, ...]
    """Its tokens, greedy; the end of turn is the last one only if it was reached."""


def choose_clips(
    speech: Sequence[PackedSpeech], count: int, *, human_share: float, seed: int
) -> list[tuple[int, int]]:
    """(source, clip) of `count` clips of 1 to 10 s and at least three words."""
    by_kind: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for at, source in enumerate(speech):
        for index, clip in enumerate(source):
            if 1 <= clip.duration_s <= 10 and len(clip.text.split()) >= 3:
                by_kind[clip.human].append((at, index))
    draw = random.Random(seed)
    n_human = min(len(by_kind[True]), round(count * human_share))
    chosen = draw.sample(by_kind[True], n_human)
    chosen += draw.sample(by_kind[False], min(len(by_kind[False]), count - n_human))
    draw.shuffle(chosen)
    return chosen


def transcript_ids(lm: TorchLanguageModel, text: str) -> list[int]:
    """The whole prompt's tokens for a typed turn under the default system prompt."""
    segments = assemble(Conversation().add(Message.user(text)), lm)
    ids: list[int] = []
    for segment in segments:
        assert isinstance(segment, TokenSegment)
        ids += segment.ids
    return ids


@torch.inference_mode()
def respond(lm: TorchLanguageModel, texts: Sequence[str], max_new_tokens: int) -> list[list[int]]:
    """Greedy replies to a batch of texts, cut after the end of turn."""
    prompts = [transcript_ids(lm, text) for text in texts]
    length = max(map(len, prompts))
    ids = np.zeros((len(prompts), length), np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = prompt
        mask[row, length - len(prompt) :] = 1
    device = lm.llama.device
    out = lm.llama.generate(
        input_ids=torch.from_numpy(ids).to(device),
        attention_mask=torch.from_numpy(mask).to(device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(lm.end_of_turn_ids),
        pad_token_id=0,
    )[:, length:].tolist()
    return [_until_end(reply, lm.end_of_turn_ids) for reply in out]


def _until_end(reply: list[int], end_ids: frozenset[int]) -> list[int]:
    for at, token in enumerate(reply):
        if token in end_ids:
            return reply[: at + 1]
    return reply


def write_responses(
    lm: TorchLanguageModel,
    speech: Sequence[PackedSpeech],
    chosen: Sequence[tuple[int, int]],
    path: Path,
    *,
    max_new_tokens: int,
    batch: int = 16,
) -> Iterator[int]:
    """Append responses to `path` after those it has; yields the count after each batch."""
    done = _whole_lines(path)
    with path.open("a", encoding="utf-8") as handle:
        for start in range(done, len(chosen), batch):
            clips = chosen[start : start + batch]
            texts = [speech[at][index].text for at, index in clips]
            replies = respond(lm, texts, max_new_tokens)
            for (at, index), text, reply in zip(clips, texts, replies, strict=True):
                row = Response(speech[at].folder.name, index, text, tuple(reply))
                handle.write(json.dumps(asdict(row)) + "\n")
            handle.flush()
            yield start + len(clips)


def _whole_lines(path: Path) -> int:
    """Drop a last line that a kill cut, and count the others."""
    if not path.exists():
        return 0
    whole = path.read_bytes().rpartition(b"\n")
    path.write_bytes(whole[0] + whole[1])
    return (whole[0] + whole[1]).count(b"\n")


def read_responses(path: Path) -> list[Response]:
    """The responses of a file; a last line that a kill cut is left out.

    Raises:
        DataError: it is not a file of responses.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        fields = [json.loads(line) for line in lines]
        return [Response(**{**row, "ids": tuple(row["ids"])}) for row in fields]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no file of `train responses` ({error}).") from error
