"""One case through every arm: its written words, or its sound by each way of hearing.

All arms share the model, the system prompt and the decoding, so that they differ in hearing alone.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Hashable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from audiochat.conversation import Conversation, Message
from audiochat.errors import AudioError, ConversationError, ModelError
from audiochat.evaluation.cases import ANSWER, Case
from audiochat.evaluation.metrics import succeeds
from audiochat.model import long_recordings
from audiochat.model.audio_chat_llama import ARMS as HEARING_ARMS
from audiochat.model.audio_chat_llama import AudioChatLlama, Prompt
from audiochat.model.generate import Token, generate
from audiochat.model.language_model import Cache, LanguageModel
from audiochat.model.long_recordings import PartAnswer
from audiochat.model.prefix_store import n_common
from audiochat.sampling import Sampling

TEXT = "text"
"""The arm that reads the written words: what the others are measured against."""

CASCADE = "cascade"

ARMS = (TEXT, *HEARING_ARMS)


@dataclass(frozen=True)
class Setting:
    """What all arms share."""

    system_prompt: str
    sampling: Sampling


@dataclass(frozen=True)
class Reply:
    """What one arm made of one case."""

    heard: str | None
    """Of the newest recording. None for the arm that reads; empty where no word was heard, and
    then so is the reply, but for an arm that may have replied to the sound."""

    text: str
    ids: tuple[int, ...]
    first_text_ms: float | None

    nll: float | None = None
    """Summed negative log-likelihood of the text arm's reply after this arm's prompt, in nats;
    None where nothing was answered, and where the reply joins the answers to the parts of a long
    recording, for then there is no one prompt."""

    n_tokens: int = 0
    """Tokens of the text arm's reply."""

    success: bool | None = None
    """Whether a right answer is in it; None where the manifest has none."""

    n_dropped: int = 0
    """Turns of the history that did not fit into the model's context."""

    overflowed: bool = False
    """Whether the newest turn alone did not fit: it was heard, but not answered."""


class Examiner:
    """Asks one model cases, through each arm.

    The system prompt is read once, as a page does when it loads; all else is new to every arm.
    """

    def __init__(self, model: AudioChatLlama, setting: Setting) -> None:
        """Read the system prompt.

        Raises:
            ModelError: The language model cannot read it.
        """
        self.model, self.setting = model, setting
        self._system = _SystemPrompt.read(model, setting)

    def ask_all(
        self, case: Case, arms: Sequence[str], written: Reply | None = None
    ) -> dict[str, Reply]:
        """Ask one case through the arms; the text arm is asked in any case.

        Args:
            case: What to ask.
            arms: Of ARMS.
            written: The text arm's reply where it is known: no noise changes what it reads.
        """
        written = written or self.ask(case, TEXT)
        found = {TEXT: written}
        for arm in arms:
            if arm != TEXT:
                found[arm] = self.ask(case, arm, written.ids)
        return found

    def ask(self, case: Case, arm: str, reference: tuple[int, ...] | None = None) -> Reply:
        """Ask one case through one arm.

        Args:
            case: What to ask.
            arm: One of ARMS.
            reference: Tokens of the reply to score; the arm's own when None.
        """
        conversation, start = self._begin(case, arm)
        answers = case.answers if case.task == ANSWER else ()
        try:
            written = self._write(conversation, arm, start)
        except (AudioError, ConversationError) as error:
            return Reply(
                self._newest_words(conversation, arm),
                text="",
                ids=(),
                first_text_ms=None,
                n_tokens=len(reference or ()),
                success=False if answers else None,
                overflowed=isinstance(error, ConversationError),
            )
        scored = written.ids if reference is None else reference
        return Reply(
            heard=self._newest_words(conversation, arm),
            text=written.text,
            ids=written.ids,
            first_text_ms=written.first_text_ms,
            nll=written.nll(self.model.lm, scored),
            n_tokens=len(scored),
            success=succeeds(written.text, answers) if answers else None,
            n_dropped=written.prompt.n_dropped if written.prompt else 0,
        )

    def greedy_first_text_ms(self, case: Case) -> float | None:
        """Milliseconds to the first text of the cascade whose words are read greedily."""
        read, self.model.read = self.model.read, None
        try:
            conversation, start = self._begin(case, CASCADE)
            return self._write(conversation, CASCADE, start, whole=False).first_text_ms
        except (AudioError, ConversationError):
            return None
        finally:
            self.model.close()  # forget the greedy hearing
            self.model.read = read

    def _begin(self, case: Case, arm: str) -> tuple[Conversation, float]:
        """What is asked of an arm, and the time of the question."""
        # Nothing may be left from the arm before, or the second to hear a clip would be the faster.
        self.model.close()
        conversation = case.conversation(self.setting.system_prompt, written=arm == TEXT)
        return conversation, time.perf_counter()

    def _newest_words(self, conversation: Conversation, arm: str) -> str | None:
        """What is told of the newest recording; an arm may have answered before it was known."""
        if arm == TEXT:
            return None
        newest = len(conversation.messages) - 1
        hearings = self.model.hear_all(conversation)
        return " ".join(hearing.text for index, _, hearing in hearings if index == newest)

    def _write(
        self, conversation: Conversation, arm: str, start: float, *, whole: bool = True
    ) -> _Written:
        """The reply, or only its first text: as on the page, a long recording part by part."""
        model, sampling = self.model, self.setting.sampling
        way = next((hearing for hearing in HEARING_ARMS if hearing == arm), model.arm)
        recording = long_recordings.find(model, conversation, sampling, way)
        if recording:
            with closing(long_recordings.answered(model, recording, sampling, way)) as parts:
                if recording.joins:
                    return _Written.of((token for _, token in parts), None, start, whole=whole)
                conversation = recording.over(_notes(parts))
        prompt = model.prepare(conversation, sampling, arm=way)
        cache = self._system.beginning(prompt.keys)
        read = cache.length if cache else 0
        tokens = generate(
            model.lm, prompt.embeds[read:], sampling, cache=cache, replied=prompt.replied
        )
        return _Written.of(tokens, prompt, start, whole=whole)


def check_arms(model: AudioChatLlama, arms: Sequence[str]) -> None:
    """Make sure, before an hour of asking, that the weights have every arm.

    Raises:
        ModelError: One has no connector.
    """
    for arm in arms:
        if arm not in (TEXT, CASCADE, *model.parts.connectors):
            there = ", ".join((TEXT, CASCADE, *model.parts.connectors))
            raise ModelError(
                f"These weights have no {arm} connector. Leave {arm} out of --arms "
                f"(there are {there}), or train it."
            )


@dataclass(frozen=True)
class _Written:
    """A reply as it came."""

    tokens: tuple[Token, ...]
    prompt: Prompt | None
    """What it came after; None where it joins several replies."""
    first_text_ms: float | None

    @classmethod
    def of(
        cls, tokens: Iterable[Token], prompt: Prompt | None, start: float, *, whole: bool
    ) -> _Written:
        """Take the tokens, or only the first with text; `start` is when the question was asked."""
        taken: list[Token] = []
        first_text_ms = None
        for token in tokens:
            taken.append(token)
            if token.piece and first_text_ms is None:
                first_text_ms = 1000 * (time.perf_counter() - start)
                if not whole:
                    break
        return cls(tuple(taken), prompt, first_text_ms)

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens' ids."""
        return tuple(token.id for token in self.tokens)

    @property
    def text(self) -> str:
        """The reply as it is read."""
        return "".join(token.piece for token in self.tokens).strip()

    def nll(self, lm: LanguageModel, ids: Sequence[int]) -> float | None:
        """Summed negative log-likelihood of `ids` in place of this reply, in nats."""
        if self.prompt is None or not ids:
            return None
        return _summed_nll(lm, self.prompt, ids, self.tokens[-1].cache)


def _notes(parts: Generator[object, None, list[PartAnswer]]) -> list[str]:
    """The answers to the parts of a long recording, when all are there."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            answers: list[PartAnswer] = end.value
            return [answer.text for answer in answers]


@dataclass(frozen=True)
class _SystemPrompt:
    """What every prompt begins with, as the language model has read it."""

    keys: tuple[Hashable, ...]
    cache: Cache | None

    @classmethod
    def read(cls, model: AudioChatLlama, setting: Setting) -> _SystemPrompt:
        """Read what two questions have in common."""
        model.close()
        one, other = (
            model.prepare(
                Conversation((Message.user(word),), setting.system_prompt), setting.sampling
            )
            for word in ("yes", "no")
        )
        n = n_common(one.keys, other.keys)
        cache = model.lm.extend(one.embeds[:n])[1] if n else None
        return cls(one.keys[:n], cache)

    def beginning(self, keys: Sequence[Hashable]) -> Cache | None:
        """A copy of what a prompt has in common with it; the prompt's last position is new."""
        n = min(n_common(self.keys, keys), len(keys) - 1)
        return self.cache.prefix(n) if self.cache and n > 0 else None


def _summed_nll(lm: LanguageModel, prompt: Prompt, ids: Sequence[int], cache: Cache) -> float:
    """Summed negative log-likelihood of tokens after a prompt that the cache has read, in nats."""
    before = len(prompt.embeds) - 1
    again = cache.prefix(before) if before else None
    asked = np.concatenate([prompt.embeds[before:], lm.embed(ids)[:-1]])
    logits = lm.score(asked, again)[0].astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = logits[np.arange(len(ids)), np.asarray(ids)]
    return float((np.log(np.exp(logits).sum(axis=-1)) - chosen).sum())
