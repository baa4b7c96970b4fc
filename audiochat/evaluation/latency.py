"""Speed and memory of the embedded default on this machine, each figure with all its runs.

Nothing here passes or fails: targets stand beside the figures for the reader.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from audiochat.audio import SAMPLE_RATE, Waveform, decode, encode_wav, resample
from audiochat.backends import load_backend
from audiochat.backends.base import Backend, TextPiece
from audiochat.conversation import Conversation, Message
from audiochat.errors import ModelError
from audiochat.evaluation import page_in_browser
from audiochat.evaluation.page_process import page
from audiochat.model.embedded_llm import embedded_llm
from audiochat.model.language_model import LanguageModel
from audiochat.model.prompt import TokenSegment, assemble
from audiochat.sampling import Sampling
from audiochat.turn import answer
from audiochat.voices import load_voice

QUESTIONS = (
    "What is the capital of France, and which river runs through it?",
    "Can you tell me how many days there are in a leap year?",
    "Who wrote the play Romeo and Juliet, and when was that?",
    "What is the largest planet of our solar system called?",
    "Why does ice float on water instead of sinking down?",
    "How do I cook rice so that it does not stick to the pot?",
)
QUESTION_S = 5.0
"""Length of a spoken question here: the one the target speaks of."""

REPLY_TOKENS = 32
N_RUNS = 5


@dataclass(frozen=True)
class Figure:
    """One measured quantity."""

    unit: str
    target: str
    """What the project aims for on 2 cores, in words."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the runs."""
        return statistics.median(self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest run."""
        return min(self.runs), max(self.runs)


def first_text_ms() -> Figure:
    """Time from a 5 s recording's last sample to the first text of the reply, warm.

    Each question is new to the model: only the system prompt can be reused.
    """
    backend = load_backend("embedded")
    recordings = [encode_wav(_spoken(text)) for text in QUESTIONS]
    _time_to_first_text(backend, recordings[0])
    runs = [_time_to_first_text(backend, recording) for recording in recordings[1:][:N_RUNS]]
    backend.close()
    return Figure("ms", "at most 600", tuple(1000 * seconds for seconds in runs))


def tokens_per_s_at_200() -> Figure:
    """Tokens written per second with 200 positions of context."""
    return Figure("tokens/s", "at least 80", _rates(n_positions=200))


def tokens_per_s_at_2000() -> Figure:
    """Tokens written per second with 2,000 positions of context."""
    return Figure("tokens/s", "at least 50", _rates(n_positions=2000))


def perplexity_ratio() -> Figure:
    """Perplexity of the CPU engine over that of fp32 torch, on the replies torch itself writes.

    One run is one question; its reply is scored by both engines after the same prompt.
    """
    cpu, reference = embedded_llm("onnx"), embedded_llm("torch")
    runs = []
    for question in QUESTIONS:
        prompt = _chat_ids(reference, question)
        reply = _greedy(reference, prompt)
        losses = [_loss(model, prompt, reply) for model in (cpu, reference)]
        runs.append(float(np.exp(losses[0] - losses[1])))
    return Figure("ratio", "at most 1.01", tuple(runs))


def page_up_s() -> Figure:
    """Time from `python app.py` to the page's first answer, the model being cached."""
    embedded_llm("onnx")
    runs = []
    for _ in range(3):
        with page() as running:
            runs.append(running.up_s)
    return Figure("s", "at most 8", tuple(runs))


def resident_mb() -> Figure:
    """Memory the page's process holds after a spoken turn with its voiced reply."""
    with page() as running:
        running.ask(encode_wav(_spoken(QUESTIONS[0])))
        return Figure("MB", "at most 1200", (running.resident_mb(),))


def page_sound_ms() -> Figure:
    """Time from a press on Stop to the reply's first sound, in Chromium."""
    runs = page_in_browser.recorder_to_sound_ms(_question(), N_RUNS)
    return Figure("ms", "at most 700", runs)


def hands_free_sound_ms() -> Figure:
    """Time from the end of a hands-free turn to the reply's first sound, in Chromium."""
    return Figure("ms", "at most 700", page_in_browser.turn_to_sound_ms(_question(), N_RUNS))


def stop_silence_ms() -> Figure:
    """Time from a press on Stop to the voice's silence, in Chromium."""
    return Figure("ms", "at most 300", page_in_browser.stop_to_silence_ms(_question(), N_RUNS))


MEASURES: dict[str, Callable[[], Figure]] = {
    measure.__name__: measure
    for measure in (
        first_text_ms,
        tokens_per_s_at_200,
        tokens_per_s_at_2000,
        perplexity_ratio,
        page_up_s,
        resident_mb,
        page_sound_ms,
        hands_free_sound_ms,
        stop_silence_ms,
    )
}
"""All figures by name, in the order they are taken."""


def _question() -> Waveform:
    """The recorded question that ships with the page."""
    return decode(Path(__file__).parents[2] / "assets" / "examples" / "capital.flac")


def _spoken(text: str) -> Waveform:
    """The question in the default voice, cut or followed by silence to 5 s."""
    voice = load_voice("espeak")
    assert voice is not None
    spoken = voice.speak(text)
    voice.close()
    samples = np.zeros(int(QUESTION_S * SAMPLE_RATE), np.float32)
    made = resample(spoken.samples, spoken.sample_rate, SAMPLE_RATE)[: len(samples)]
    samples[: len(made)] = made
    return Waveform(samples)


def _time_to_first_text(backend: Backend, recording: bytes) -> float:
    start = time.perf_counter()
    asked = Conversation().add(Message.user(decode(recording)))
    for event in answer(asked, backend, sampling=Sampling(max_new_tokens=4)):
        if isinstance(event, TextPiece):
            return time.perf_counter() - start
    raise ModelError("The model wrote nothing. Run `python -m audiochat chat --text Hello`.")


def _chat_ids(model: LanguageModel, question: str) -> list[int]:
    segments = assemble(Conversation().add(Message.user(question)), model)
    return [id_ for segment in segments if isinstance(segment, TokenSegment) for id_ in segment.ids]


def _rates(n_positions: int) -> tuple[float, ...]:
    """Tokens per second of several runs, each reading the context and then writing a reply."""
    model = embedded_llm("onnx")
    words = model.tokenizer.encode(" ".join(QUESTIONS)).ids
    context = list(islice(cycle(words), n_positions))
    rates = []
    for _ in range(N_RUNS):
        steps = _greedy_steps(model, context)
        next(steps)
        start = time.perf_counter()
        written = sum(1 for _ in islice(steps, REPLY_TOKENS))
        rates.append(written / (time.perf_counter() - start))
    return tuple(rates)


def _greedy_steps(model: LanguageModel, prompt: list[int]) -> Iterator[int]:
    """The likeliest tokens one by one, going on past the end of the turn."""
    logits, cache = model.extend(model.embed(prompt), None, reserve=REPLY_TOKENS + 2)
    while True:
        token = int(logits.argmax())
        yield token
        logits, cache = model.extend(model.embed([token]), cache)


def _greedy(model: LanguageModel, prompt: list[int]) -> list[int]:
    reply = []
    for token in islice(_greedy_steps(model, prompt), REPLY_TOKENS):
        reply.append(token)
        if token in model.end_of_turn_ids:
            break
    return reply


def _loss(model: LanguageModel, prompt: list[int], reply: list[int]) -> float:
    """Mean negative log-likelihood of the reply's tokens after the prompt."""
    logits = model.score(model.embed([*prompt, *reply]))[0][len(prompt) - 1 : -1].astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = logits[np.arange(len(reply)), reply]
    return float((np.log(np.exp(logits).sum(axis=-1)) - chosen).mean())
