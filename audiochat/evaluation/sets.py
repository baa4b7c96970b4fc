"""The test sets that a data folder gives: their names, their voices, and what each one holds.

All speech is by voices that are never trained on. `set_building` makes the recordings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from audiochat.errors import DataError, MissingPartError
from audiochat.evaluation.set_names import Vocabulary
from audiochat.evaluation.set_plans import PLANNERS, Plan, Sizes, Texts, new_plan
from audiochat.evaluation.set_texts import (
    QUESTION_FILES,
    STORY_FILE,
    LeftOut,
    Question,
    read_questions,
    read_rows,
    read_stories,
)
from audiochat.speech_data.flite import FliteVoice
from audiochat.speech_data.manifest import read_manifest
from audiochat.speech_data.speakers import HELD_OUT_ESPEAK, HELD_OUT_FLITE

HUMAN = "human"
SETS = ("questions", HUMAN, "context", "mixed", "tasks", "long", "orders")
FLITE_TURNS = 3
"""flite's voice was made from a person's recordings, so it speaks as often as 3 of the others."""

_NEEDS_QUESTIONS = {"questions", "context", "mixed", "tasks"}
_NEEDS_STORIES = {"tasks", "long", "orders"}


def held_out_voices() -> tuple[list[str], list[str]]:
    """The engines that may speak, and a sentence for each held-out voice that cannot."""
    voices, absent = [f"espeak:{name}" for name in HELD_OUT_ESPEAK], []
    for name in HELD_OUT_FLITE:
        try:
            FliteVoice(name)
        except MissingPartError as error:
            absent.append(f"flite {name} is left out: {error}")
        else:
            voices += [name] * FLITE_TURNS
    absent.append("festival ked is left out: there is no engine for festival in this program.")
    return voices, absent


def plan_sets(
    data: Path, names: Sequence[str], sizes: Sizes, *, seed: int, voices: Sequence[str]
) -> Iterator[Plan]:
    """Choose the cases of the sets asked for; the texts are read once.

    Raises:
        DataError: a file is missing in `data`, or gives a set no case.
    """
    left_out = {name: LeftOut() for name in (*QUESTION_FILES, STORY_FILE)}
    texts = _read_texts(data / "text", set(names), left_out)
    for name in names:
        plan = _plan_human(data / "speech_dev") if name == HUMAN else new_plan(name, voices, seed)
        if name != HUMAN:
            PLANNERS[name](plan, texts, sizes)
        if name == "questions":
            plan.left_out.update(sum((left_out[source] for source in QUESTION_FILES), Counter()))
        if name in {"long", "orders"}:
            plan.left_out.update(left_out[STORY_FILE])
        if not plan.rows:
            raise DataError(
                f"Nothing in {data} is fit for the set {name}. Give more lines, or name the other "
                "sets with --only."
            )
        yield plan


def _read_texts(folder: Path, names: set[str], left_out: dict[str, LeftOut]) -> Texts:
    questions: dict[str, list[Question]] = {}
    if names & _NEEDS_QUESTIONS:
        for source, file in QUESTION_FILES.items():
            questions[source] = read_questions(folder / file, left_out[source])
    named = _named(folder, questions) if "context" in names else []
    needs_stories = names & _NEEDS_STORIES
    stories = read_stories(folder / STORY_FILE, left_out[STORY_FILE]) if needs_stories else []
    if needs_stories and not stories:
        raise DataError(f"{folder / STORY_FILE} has no story that can be said. Give more lines.")
    return Texts(questions, named, stories)


def _named(folder: Path, questions: dict[str, list[Question]]) -> list[tuple[str, Question]]:
    """Questions with a rare name, by source, the rarest first; ties in the order of the file."""
    paths = [p for p in sorted(folder.glob("*.jsonl.gz")) if not p.name.startswith("eval_")]
    words = Vocabulary(row.get("text", "") for path in paths for row in read_rows(path))
    named = []
    for rank, asked in enumerate(questions.values()):
        for question in asked:
            if found := words.rare_name(question.text):
                named.append((rank, found[1], found[0], question))
    named.sort(key=lambda each: each[:2])
    return [(name, question) for _, _, name, question in named]


def _plan_human(folder: Path) -> Plan:
    """The clips of people, as they are; their sets keep telephone apart from the rest."""
    plan = new_plan(HUMAN, (), 0)
    read = read_manifest(folder / "manifest.jsonl", folder)
    plan.left_out["not a usable line of the manifest"] += len(read.problems)
    for line in read.lines:
        name = f"{HUMAN}/{line.audio.relative_to(folder).with_suffix('.flac').as_posix()}"
        plan.copied[name] = line.audio
        row = {"audio": name, "text": line.text, **line.extra, "set": line.set_name}
        row |= {"spoken": line.spoken} if line.spoken != line.text else {}
        plan.rows.append(row | {"human": True})
    return plan
