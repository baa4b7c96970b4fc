"""Responses of the frozen LLM to exercises in writing: the targets that speech must draw too.

No curated pairs: whatever the LLM answers to the words is what it must answer to the sound.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from audiochat.conversation import Conversation
from audiochat.errors import DataError
from audiochat.model.prompt import prompt_ids
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.training.exercises import Exercise, Part, Spoken
from audiochat.training.response_origin import Origin, check_llm, check_origin

_MIN_LOOP_WORDS = 4
_REFUSES_SOUND = re.compile(
    r"\b(can(no|')t|cannot|unable to|not able to|do(n't| not)) "
    r"(\w+ ){0,2}(hear|listen|audio|sound|recording)|text[- ]based",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Response:
    """What the LLM answered to one exercise."""

    exercise: Exercise
    replies: tuple[str, ...]
    """To the earlier turns."""
    ids: tuple[int, ...]
    """To the last one, greedy; the end of turn is the last token only if it was reached."""


def usable(reply: str) -> bool:
    """Whether a reply is worth learning: it has words, does not loop, and does not refuse sound."""
    words = re.findall(r"\w+", reply.lower())
    return bool(words) and not _loops(words) and not _REFUSES_SOUND.search(reply)


def _loops(words: Sequence[str]) -> bool:
    """Whether the last few words were said just so three times."""
    tail = tuple(words[-_MIN_LOOP_WORDS:])
    runs = [tuple(words[i : i + len(tail)]) for i in range(len(words) - len(tail) + 1)]
    return len(tail) == _MIN_LOOP_WORDS and runs.count(tail) >= 3


@torch.inference_mode()
def respond(
    lm: TorchLanguageModel, conversations: Sequence[Conversation], max_new_tokens: int
) -> list[list[int]]:
    """Greedy replies to a batch of conversations in writing, cut after the end of turn."""
    prompts = [prompt_ids(lm, conversation) for conversation in conversations]
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


def answered(
    lm: TorchLanguageModel, exercises: Sequence[Exercise], max_new_tokens: int
) -> list[Response]:
    """Answer a batch of exercises, the earlier turns of each first."""
    replies: list[list[str]] = [[] for _ in exercises]
    for n_turns in range(1, max(len(exercise.turns) for exercise in exercises)):
        longer = [at for at, exercise in enumerate(exercises) if len(exercise.turns) > n_turns]
        asked = [exercises[at].written(replies[at]) for at in longer]
        for at, ids in zip(longer, respond(lm, asked, max_new_tokens), strict=True):
            replies[at].append(lm.tokenizer.decode(ids).strip())
    asked = [exercise.written(said) for exercise, said in zip(exercises, replies, strict=True)]
    return [
        Response(exercise, tuple(said), tuple(ids))
        for exercise, said, ids in zip(
            exercises, replies, respond(lm, asked, max_new_tokens), strict=True
        )
    ]


@dataclass
class Written:
    """How far `write_responses` is."""

    done: int
    """Exercises answered, those of earlier calls among them."""
    new: int = 0
    """Of this call."""
    left_out: int = 0
    """Of these, those whose replies are not worth learning."""


def write_responses(
    lm: TorchLanguageModel,
    exercises: Sequence[Exercise],
    path: Path,
    *,
    max_new_tokens: int,
    batch: int = 32,
) -> Iterator[Written]:
    """Append a line for each exercise to `path` after those it has; yields after each batch.

    What is not `usable` has no tokens there, so that the next call knows it was answered.

    Raises:
        DataError: what `path` has answers other exercises, or is of another LLM.
    """
    progress = Written(_begun(path, exercises))
    check_origin(path, Origin.of(lm, max_new_tokens), begun=progress.done > 0)
    with path.open("a", encoding="utf-8") as handle:
        for start in range(progress.done, len(exercises), batch):
            for response in answered(lm, exercises[start : start + batch], max_new_tokens):
                good = all(map(usable, (*response.replies, lm.tokenizer.decode(response.ids))))
                progress.left_out += not good
                handle.write(json.dumps(_to_json(response, good)) + "\n")
                progress.done += 1
                progress.new += 1
            handle.flush()
            yield progress


def _to_json(response: Response, good: bool) -> dict[str, object]:
    exercise = response.exercise
    return {
        "task": exercise.task,
        "system_prompt": exercise.system_prompt,
        "turns": [
            [part if isinstance(part, str) else asdict(part) for part in turn]
            for turn in exercise.turns
        ],
        "replies": response.replies,
        "ids": response.ids if good else (),
    }


def _from_json(row: dict[str, object]) -> Response:
    turns = tuple(tuple(map(_part, turn)) for turn in row["turns"])  # type: ignore[attr-defined]
    exercise = Exercise(row["task"], turns, row["system_prompt"])  # type: ignore[arg-type]
    return Response(exercise, tuple(row["replies"]), tuple(row["ids"]))  # type: ignore[arg-type]


def _part(value: str | dict[str, object]) -> Part:
    if isinstance(value, str):
        return value
    clips = tuple((folder, index) for folder, index in value["clips"])  # type: ignore[attr-defined]
    return Spoken(clips, str(value["text"]))


def _begun(path: Path, exercises: Sequence[Exercise]) -> int:
    """Drop a last line that a kill cut, and count the others: these answer the first exercises."""
    if not path.exists():
        return 0
    written = path.read_bytes()
    whole = written.rfind(b"\n") + 1
    if whole < len(written):
        os.truncate(path, whole)
    before = _read(path)
    for number, (response, planned) in enumerate(zip(before, exercises, strict=False), start=1):
        if response.exercise != planned:
            raise DataError(
                f"{path}:{number} answers another exercise than this call has: it was begun with "
                "another --speech, --seed or --human-share. Give the same ones, or another --out."
            )
    return len(before)


def read_responses(path: Path, lm: TorchLanguageModel) -> list[Response]:
    """The usable responses of a file to learn from; a last line that a kill cut is left out.

    Raises:
        DataError: it is not a file of responses, or not of those of `lm`.
    """
    check_llm(path, lm)
    return [response for response in _read(path) if response.ids]


def _read(path: Path) -> list[Response]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        return [_from_json(json.loads(line)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no file of `train responses` ({error}).") from error
