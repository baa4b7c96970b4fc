"""What the model is told: system prompts and task instructions, the same for page and training."""

# On 300 simple trivia questions the embedded LLM answered 31 % right with this one,
# 26 % with the system prompt it was tuned on.
DEFAULT_SYSTEM_PROMPT = (
    "You are a knowledgeable assistant who gives short, correct, factual answers."
)

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
    "You are a helpful assistant.",
    "You are a friendly companion. Keep your replies short and warm.",
    "You are a patient English teacher who explains things in simple words.",
)
"""Others than the default that connectors are trained under, so that they depend on none."""
