"""What the test sets hold: each case's manifest line, and who speaks the recordings it needs.

Nothing is spoken here. A set depends on the texts, its sizes and the seed, and on no other set.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiochat import prompts
from audiochat.evaluation.set_texts import (
    LeftOut,
    Question,
    Story,
    said,
    stands_in,
    who_questions,
    words_of,
)
from audiochat.evaluation.set_wordings import (
    CONTEXT_OPENINGS,
    FORBIDDEN,
    LANGUAGES,
    ORDERS,
    SHORT_REPLIES,
)
from audiochat.speech_data.text_lines import SpokenLine

LONG_CHARACTERS = (1250, 1650)
"""A long recording's text as said; at the voices' speeds that is mostly 1 to 3 minutes."""
REPLY_CHARACTERS = 60
"""An earlier question is answered with an answer no longer than this, if it has one."""
LONG_S = (60.0, 180.0)

TURN_ORDERS = (
    ("typed", "spoken"),
    ("spoken", "spoken"),
    ("typed", "typed", "spoken"),
    ("typed", "spoken", "spoken"),
    ("spoken", "typed", "spoken"),
    ("spoken", "spoken", "spoken"),
)
"""Of a mixed conversation's user turns; the last one is the question."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How many cases each set has."""

    questions: int = 150
    """From each source of questions."""
    context: int = 120
    mixed: int = 120
    per_task: int = 20
    long: int = 18
    orders: int = 50


@dataclass(frozen=True)
class Texts:
    """What the cases are made of."""

    questions: dict[str, list[Question]] = field(default_factory=dict)
    """By source."""
    named: list[tuple[str, Question]] = field(default_factory=list)
    """Questions with a rare name, the rarest first."""
    stories: list[Story] = field(default_factory=list)

    def all_questions(self) -> list[Question]:
        """Those of all sources."""
        return [question for source in self.questions.values() for question in source]


@dataclass
class Plan:
    """One set: manifest lines, and what has to be spoken or copied for them."""

    name: str
    voices: Sequence[str]
    """Engines as `speakers.load_engine` names them, in the order in which they take turns."""
    draw: random.Random
    rows: list[Row] = field(default_factory=list)
    spoken: list[tuple[str, SpokenLine]] = field(default_factory=list)
    """Voice and line; the line's source is the name of the recording under the audio root."""
    copied: dict[str, Path] = field(default_factory=dict)
    """Recordings that exist: name under the audio root, and where they are."""
    left_out: LeftOut = field(default_factory=LeftOut)
    duration_s: tuple[float, float] | None = None
    """Of a case's recording, where the set has bounds for it."""

    def say(self, text: str, spoken: str = "") -> str:
        """Have the present case's voice say it; returns the recording's name."""
        name = f"{self.name}/{len(self.spoken):04d}.flac"
        voice = self.voices[len(self.rows) % len(self.voices)]
        self.spoken.append((voice, SpokenLine(text, spoken or said(text), name)))
        return name

    def add(self, set_name: str, text: str, spoken: str = "", /, **fields: Any) -> None:
        """Add a case whose last turn is a recording of `text`."""
        spoken = spoken or said(text)
        row = {"audio": self.say(text, spoken), "text": text, "set": set_name, **fields}
        if spoken != text:
            row["spoken"] = spoken
        self.rows.append(row)


def new_plan(name: str, voices: Sequence[str], seed: int) -> Plan:
    """An empty plan with the voices in an order of its own."""
    draw = random.Random(f"{seed}/{name}")
    return Plan(name, draw.sample(voices, len(voices)), draw)


def plan_questions(plan: Plan, texts: Texts, sizes: Sizes) -> None:
    """Questions of each source in turn, so that the first lines have some of all."""
    drawn = {
        source: plan.draw.sample(questions, min(sizes.questions, len(questions)))
        for source, questions in texts.questions.items()
    }
    for number in range(sizes.questions):
        for source, questions in drawn.items():
            if number < len(questions):
                _ask(plan, source, questions[number])


def _ask(plan: Plan, set_name: str, question: Question, **fields: Any) -> None:
    plan.add(
        set_name,
        question.text,
        question.spoken,
        answer=list(question.answers),
        **fields,
        **question.kept,
    )


def plan_context(plan: Plan, texts: Texts, sizes: Sizes) -> None:
    """Questions with a rare name that an earlier turn, typed or spoken, has in writing."""
    for name, question in texts.named:
        if len(plan.rows) == sizes.context:
            break
        spoken = len(plan.rows) % 2 == 1
        asked, replied = (turn.format(name=name) for turn in plan.draw.choice(CONTEXT_OPENINGS))
        if _gives_away(f"{asked} {replied}", question):
            plan.left_out["the history would hold a word of the answer"] += 1
            continue
        turn = {"role": "user", "text": asked}
        history = [turn | ({"audio": plan.say(asked)} if spoken else {})]
        history.append({"role": "assistant", "text": replied})
        kind = "context_spoken" if spoken else "context_typed"
        _ask(plan, kind, question, history=history, rare_name=name)


def _gives_away(history: str, question: Question) -> bool:
    """Whether a word of a right answer stands in the history."""
    answers = {word for answer in question.answers for word in words_of(answer)}
    return bool(answers & set(words_of(history)))


def plan_mixed(plan: Plan, texts: Texts, sizes: Sizes) -> None:
    """Questions after other questions and their answers, typed and spoken in every order."""
    questions = texts.all_questions()
    while len(plan.rows) < sizes.mixed and questions:
        order = TURN_ORDERS[len(plan.rows) % len(TURN_ORDERS)]
        *earlier, last = (plan.draw.choice(questions) for _ in order)
        replies = [_reply(plan.draw, question) for question in earlier]
        told = " ".join([*(question.text for question in earlier), *replies])
        if last in earlier or any(stands_in(answer, told) for answer in last.answers):
            plan.left_out["drawn again, for the history would hold the answer"] += 1
            if plan.left_out.total() > 20 * sizes.mixed:
                break  # there are too few questions to mix
            continue
        history: list[Row] = []
        for kind, question, reply in zip(order[:-1], earlier, replies, strict=True):
            turn = {"role": "user", "text": question.text}
            sound = {"audio": plan.say(question.text, question.spoken)} if kind == "spoken" else {}
            history += [turn | sound, {"role": "assistant", "text": reply}]
        _ask(plan, f"mixed_{'_'.join(order)}", last, history=history)


def _reply(draw: random.Random, question: Question) -> str:
    short = (answer for answer in question.answers if len(answer) <= REPLY_CHARACTERS)
    answer = next(short, question.answers[0]).strip(" .")
    return draw.choice(SHORT_REPLIES).format(answer=answer[0].upper() + answer[1:])


def plan_tasks(plan: Plan, texts: Texts, sizes: Sizes) -> None:
    """The four tasks, the instruction typed before and after the recording by turns."""
    questions, stories = texts.all_questions(), texts.stories
    for number in range(sizes.per_task):
        first = {"instruction_first": number % 2 == 0}
        asked = {"task": "answer", "instruction": prompts.ANSWER, **first}
        _ask(plan, "tasks_answer", plan.draw.choice(questions), **asked)
    for number in range(sizes.per_task):
        first = {"instruction_first": number % 2 == 0}
        asked = {"task": "transcribe", "instruction": prompts.TRANSCRIBE, **first}
        story = plan.draw.choice(stories)
        plan.add("tasks_transcribe", plan.draw.choice(story.sentences), **asked, **story.kept)
    for number in range(sizes.per_task):
        asked = {**_translate(number), "instruction_first": number // 3 % 2 == 0}
        story = plan.draw.choice(stories)
        plan.add("tasks_translate", plan.draw.choice(story.sentences), **asked, **story.kept)
    for number in range(sizes.per_task):
        story, first = plan.draw.choice(stories), {"instruction_first": number % 2 == 0}
        plan.add("tasks_summarise", story.text, **_SUMMARISE, **first, **story.kept)


_SUMMARISE = {"task": "summarise", "instruction": prompts.SUMMARISE}


def _translate(number: int) -> Row:
    """The task of a translation; the languages take turns."""
    language = LANGUAGES[number % len(LANGUAGES)]
    instruction = prompts.translate(language)
    return {"task": "translate", "language": language, "instruction": instruction}


def plan_long(plan: Plan, texts: Texts, sizes: Sizes) -> None:
    """Stories on end for 1 to 3 minutes, to be summarised or asked for a name in one of them."""
    plan.duration_s = LONG_S
    telling = [story for story in texts.stories if who_questions([story])]
    for number in range(sizes.long):
        chosen = [plan.draw.choice(telling)] if telling and number % 3 else []
        wanted = plan.draw.uniform(*LONG_CHARACTERS)
        for story in plan.draw.sample(texts.stories, len(texts.stories)):
            if len(said(_joined(chosen))) >= wanted:
                break
            if story not in chosen:
                chosen.append(story)
        plan.draw.shuffle(chosen)
        task = dict(_SUMMARISE)
        if asked := who_questions(chosen) if number % 3 else []:
            # The question about the first, a middle and the last one by turns.
            question, name = asked[number // 3 % 3 * (len(asked) - 1) // 2]
            task = {"task": "answer", "instruction": question, "answer": name}
        first, kept = {"instruction_first": number % 2 == 0}, chosen[0].kept
        plan.add(f"long_{task['task']}", _joined(chosen), **task, **first, **kept)


def _joined(stories: Sequence[Story]) -> str:
    return " ".join(story.text for story in stories)


def plan_orders(plan: Plan, texts: Texts, sizes: Sizes) -> None:
    """Stories to be summarised or translated in which somebody gives another order."""
    for number in range(sizes.orders):
        story = plan.draw.choice(texts.stories)
        summary = number % 2 == 0
        task = dict(_SUMMARISE) if summary else _translate(number // 2)
        word = plan.draw.choice([one for one in FORBIDDEN if one not in story.text.lower()])
        work = "summary" if summary else "translation"
        order = ORDERS[number % len(ORDERS)].format(word=word, work=work)
        sentences = list(story.sentences)
        # At the start, inside and at the end, each with every language.
        inside = plan.draw.randrange(1, len(sentences))
        place = (0, inside, len(sentences))[(number // 2 + number // 6) % 3]
        text = " ".join([*sentences[:place], order, *sentences[place:]])
        asked = {"instruction_first": number // 2 % 2 == 0, "forbidden": [word], "order": order}
        plan.add(f"orders_{task['task']}", text, **task, **asked, **story.kept)


PLANNERS = {
    "questions": plan_questions,
    "context": plan_context,
    "mixed": plan_mixed,
    "tasks": plan_tasks,
    "long": plan_long,
    "orders": plan_orders,
}
"""The sets that are spoken; `human` is copied."""
