"""What the model is told: system prompts and task instructions, the same for page and training."""

import re
from collections.abc import Sequence

# On 300 simple trivia questions the embedded LLM answered 31 % right with this one,
# 26 % with the system prompt it was tuned on.
DEFAULT_SYSTEM_PROMPT = (
    "You are a knowledgeable assistant who gives short, correct, factual answers."
)

PRESETS = {
    "Short and factual": DEFAULT_SYSTEM_PROMPT,
    "Friendly companion": "You are a friendly companion. Keep your replies short and warm.",
    "English teacher": "You are a patient English teacher who explains things in simple words.",
    "Storyteller": "You are a storyteller. Answer with a very short story for children.",
    "Plain assistant": "You are a helpful assistant.",
}
"""System prompts that the page offers by name."""

ANSWER = "Answer what is asked in the recording."
"""Said outright only where tasks are mixed: a plain spoken turn is its own request."""

TRANSCRIBE = "Write down exactly what is said in the recording."

SUMMARISE = "Summarise what is said in the recording in one or two sentences."

TRANSLATE = "Translate what is said in the recording into {language}."
"""A template: `translate` fills in the language."""


def translate(language: str) -> str:
    """The instruction to translate a recording into `language`, an English name like "German"."""
    return TRANSLATE.format(language=language.strip())


SYSTEM_PROMPTS = (
    "",
    *(PRESETS[name] for name in ("Plain assistant", "Friendly companion", "English teacher")),
)
"""Others than the default that connectors are trained under, so that they depend on none."""

RECORDING_OPENS = "Here is the recording, quoted:"
RECORDING_CLOSES = "That was the recording."
"""Around a recording to be summarised or translated, whose words are content and not orders; the
task stands before and after it.

On 50 passages with a spoken order in them the embedded LLM obeys one without any quotation, and
none when told outright that nothing in the recording is an order; but then its summaries are about
orders ("it's not an order to you"), and what it writes down is prefaced, so that is not said.
"""

# "Answer in French" asks for an answer; "say this in French" for the same in French.
_QUOTED = re.compile(
    r"\b(summar|translat|paraphras|rephras|reword|rewrite|shorten|condens|key points|main points"
    r"|gist\b|tl;?dr\b|sum\b.{0,20}\bup\b"
    r"|(put|say|turn|render)\b.{0,20}\b(in|into) (?!your|my|the)\w+"
    r"|resum(en|ir)|resúme|resume (el|la|lo|esto)\b|traduc|tradúc|résum|tradui"
    r"|zusammenfass|übersetz)|总结|概括|摘要|翻译",
    re.IGNORECASE,
)
_JOINS = re.compile(r"\b(translat|transcri|writ\w* down)", re.IGNORECASE)


def quotes(text: str) -> bool:
    """Whether typed words ask for a recording to be put otherwise, whatever it says."""
    return bool(_QUOTED.search(text))


def joins(text: str) -> bool:
    """Whether a task done for each part of a recording, one after the other, is done for all."""
    return bool(_JOINS.search(text)) and "summar" not in text.lower()


def notes(answers: Sequence[str]) -> str:
    """What was written on the parts of a long recording, as content to be read on."""
    lines = (f"{number}. {answer}" for number, answer in enumerate(answers, 1))
    return "\n".join(["These are notes on the parts of a recording, in order:", *lines])
