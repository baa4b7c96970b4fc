"""AudioChatLlama: the ear and a connector before a frozen instruct Llama.

Knows conversations and how to answer them, as pieces of text; it knows no voice and no page.
"""

from collections import deque
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch

from audiochat.audio import SAMPLE_RATE, Waveform, decode
from audiochat.conversation import Conversation, Message
from audiochat.errors import AudioError, ModelError
from audiochat.model.audio_embeds import UNHEARD, audio_embeds
from audiochat.model.checkpoint import TrainedParts
from audiochat.model.conformer import Context
from audiochat.model.ear import Hearing, Read, listen
from audiochat.model.generate import Token, generate
from audiochat.model.hearings import Hearings, in_words, in_writing, to_be_heard
from audiochat.model.language_model import LanguageModel
from audiochat.model.prefix_store import PrefixStore
from audiochat.model.prompt import AudioSegment, assemble, newest_replies
from audiochat.model.reader import Reader
from audiochat.model.streaming import STREAM_CONTEXT, StreamedHearing
from audiochat.model.windows import in_one_window
from audiochat.sampling import Sampling

Arm = Literal["hybrid", "end_to_end", "cascade"]
ARMS: tuple[Arm, ...] = ("hybrid", "end_to_end", "cascade")
"""How a recording reaches the LLM: by connector B, by connector A, or as the words heard."""

MAX_CONTEXT = 4096
"""Positions a conversation may take, reply included, where the LLM would hold more."""
MAX_STORE_BYTES = 128 * 2**20
"""Keys and values of earlier turns kept: about 2,800 positions of the embedded LLM."""


Places: TypeAlias = Mapping[tuple[int, int], Hearing]
"""Hearings by message and part, messages counted from the end: old ones may fall out before."""


@dataclass(frozen=True)
class Prompt:
    """A conversation ready for the LLM."""

    conversation: Conversation
    """What is left of it after trimming."""
    n_dropped: int
    """Old turns that fell out."""
    hearings: tuple[tuple[int, int, Hearing], ...]
    """Message, part, and what was heard there, of the conversation as it was given."""
    embeds: np.ndarray
    """(L, H)"""
    keys: tuple[Hashable, ...]
    """What was read at each position: a token's id, or a recording's digest and place."""
    replied: tuple[int, ...]
    """Tokens of the newest replies in it, not to be given once more."""


class AudioChatLlama:
    """Answers conversations of text and speech."""

    def __init__(
        self,
        parts: TrainedParts,
        lm: LanguageModel,
        *,
        arm: Arm | None = None,
        read: Read | None = None,
    ) -> None:
        """Join the trained parts and the LLM they were trained for; words are read by `read`.

        Raises:
            ModelError: a connector does not fit the LLM, or `arm` has no weights.
        """
        self.parts, self.lm = parts, lm
        best: Arm = next((one for one in ARMS if one in parts.connectors), "cascade")
        self.arm: Arm = arm or best
        if self.arm != "cascade" and self.arm not in parts.connectors:
            raise ModelError(
                f"These weights have no {self.arm} connector: train it, or take another."
            )
        for config in parts.config.connectors:
            if config.llm_dim != lm.hidden_dim:
                raise ModelError(
                    f"The connector was trained for an LLM of width {config.llm_dim}, this one has "
                    f"{lm.hidden_dim}: take the LLM named in the weights' config.json."
                )
        self.read = read  # greedily when None
        self._hearings = Hearings(parts)
        self._store = PrefixStore(MAX_STORE_BYTES)

    def hear_while_speaking(self, context: Context = STREAM_CONTEXT) -> StreamedHearing:
        """A recording of which nothing has been heard yet; `hear` takes it when it is over."""
        return StreamedHearing.begin(self.parts.ear, self.parts.units, context)

    def hear(self, waveform: Waveform, streamed: StreamedHearing | None = None) -> Hearing:
        """What the ear makes of a recording, of which `streamed` may have heard the beginning.

        It is kept, so a second call costs nothing.
        """
        return self._hearings.of(waveform, self.read, streamed)

    def hear_for(
        self, arm: Arm, waveform: Waveform, expected: frozenset[str] = frozenset()
    ) -> Hearing:
        """What the ear makes of a recording, as far as an arm needs it.

        Connector A takes the sound: words that are chosen with care can wait for its reply.
        """
        if arm == "end_to_end" and in_one_window(waveform, self.parts.ear):
            unread = self._hearings.unread(waveform)
            if unread.text:  # else the search may find words where no unit was the likeliest
                return unread
        return self._hearings.of(waveform, self.read, expected=expected)

    def hear_told(self, waveform: Waveform, text: str) -> Hearing:
        """The hearing of which a conversation has the words; a new one where it is forgotten."""
        return self._hearings.told(waveform, text) or self.hear(waveform)

    def keep(self, waveform: Waveform, hearing: Hearing) -> None:
        """Take what was heard elsewhere of a recording."""
        self._hearings.keep(waveform, hearing)

    def hear_long(self, conversation: Conversation) -> Iterator[tuple[int, int]]:
        """Hear long recordings ahead of `prepare`; gives each window's number and how many."""
        for _, _, waveform in to_be_heard(conversation):
            yield from self._hearings.follow(waveform, self.read)

    def warm_up(self) -> None:
        """Hear some noise and read the system prompt, so that the first turn is like later ones."""
        noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * 0.01
        listen(self.parts.ear, self.parts.units, [Waveform(noise)])
        one_token = Sampling(max_new_tokens=1)
        prompt = self.prepare(Conversation().add(Message.user("Hello.")), one_token)
        deque(self.stream(prompt, one_token), maxlen=0)

    def prepare(
        self, conversation: Conversation, sampling: Sampling, *, arm: Arm | None = None
    ) -> Prompt:
        """Hear, trim to the context, and embed a conversation whose last message is the user's.

        Raises:
            AudioError: no words were heard in the newest recording.
            ConversationError: the newest turn alone does not fit.
        """
        room = self.room(sampling)
        arm = arm or self.arm
        hearings = self.heard(conversation, arm)
        places = _from_the_end(conversation, hearings)
        trimmed, n_dropped = conversation.trimmed(lambda one: self.count(one, arm, places) <= room)
        segments = list(self._segments(trimmed, arm, places))
        embeds = np.concatenate([part for part, _ in segments])
        keys = tuple(key for _, keys in segments for key in keys)
        return Prompt(trimmed, n_dropped, hearings, embeds, keys, newest_replies(trimmed, self.lm))

    def room(self, sampling: Sampling) -> int:
        """Positions that a conversation may take beside a reply.

        Raises:
            ModelError: the reply may be so long that there are none.
        """
        context = min(MAX_CONTEXT, self.lm.context_length)
        if sampling.max_new_tokens >= context:
            raise ModelError(
                f"--max-new-tokens {sampling.max_new_tokens} leaves no room for the question: this "
                f"model takes {context} positions in all."
            )
        return context - sampling.max_new_tokens

    def heard(
        self, conversation: Conversation, arm: Arm | None = None
    ) -> tuple[tuple[int, int, Hearing], ...]:
        """Message, part, and what was heard there, of every recording, as far as `arm` needs it.

        Raises:
            AudioError: no words were heard in the newest message.
        """
        hearings = tuple(self.hear_all(conversation, arm))
        newest = len(conversation.messages) - 1
        if any(index == newest and not heard.text for index, _, heard in hearings):
            raise AudioError(
                "No words were heard in the recording. Speak closer to the microphone, in English, "
                "or type the question."
            )
        return hearings

    def expected(self, messages: Iterable[Message]) -> frozenset[str]:
        """Rare words that messages have in writing: whoever speaks next is likely to say them."""
        if not isinstance(self.read, Reader):
            return frozenset()
        return self.read.worth_expecting(text for one in messages for text in in_writing(one))

    def hear_all(
        self, conversation: Conversation, arm: Arm | None = None
    ) -> Iterator[tuple[int, int, Hearing]]:
        """Message, part, and what was heard there, with or without words; for any arm when None.

        Rare words that the messages before have in writing are expected.
        """
        expected, n_read = frozenset[str](), 0
        for message_index, part_index, waveform in to_be_heard(conversation):
            expected |= self.expected(conversation.messages[n_read:message_index])
            n_read = message_index
            yield message_index, part_index, self.hear_for(arm or "hybrid", waveform, expected)

    def _segments(
        self, conversation: Conversation, arm: Arm, places: Places
    ) -> Iterator[tuple[np.ndarray, list[Hashable]]]:
        """Embeddings (L, H) and keys of each run of tokens and each recording."""
        n_messages = len(conversation.messages)
        if arm == "cascade":
            heard = (
                places[message_index - n_messages, part_index].text or UNHEARD
                for message_index, part_index, _ in to_be_heard(conversation)
            )
            conversation = in_words(conversation, heard)
        for segment in assemble(conversation, self.lm):
            if isinstance(segment, AudioSegment):
                hearing = places[segment.message_index - n_messages, segment.part_index]
                with torch.inference_mode():
                    embeds = audio_embeds(arm, self.parts, self.lm, hearing).numpy()
                # The same sound may be read as other words, which the hybrid goes by.
                words = hearing.text if arm == "hybrid" else ""
                name = segment.part.waveform.digest, arm, words
                yield embeds, [(*name, at) for at in range(len(embeds))]
            else:
                yield self.lm.embed(segment.ids), list(segment.ids)

    def count(self, conversation: Conversation, arm: Arm, places: Places | None = None) -> int:
        """Positions that a conversation takes; heard anew where `places` does not say how."""
        if places is None:
            places = _from_the_end(conversation, self.hear_all(conversation, arm))
        return sum(len(keys) for _, keys in self._segments(conversation, arm, places))

    def stream(self, prompt: Prompt, sampling: Sampling) -> Generator[Token, None, int]:
        """The reply to a prompt, token by token; returns how many positions were not read anew.

        What was read is kept for the next turn, also when the generator is closed early.
        """
        cache = self._store.longest(prompt.keys)
        reused = cache.length if cache else 0
        said: list[int] = []
        token: Token | None = None
        try:
            for token in generate(
                self.lm,
                prompt.embeds[reused:],
                sampling,
                cache=cache,
                replied=prompt.replied,
            ):
                said.append(token.id)
                yield token
        finally:
            if token is not None:
                keys = [*prompt.keys, *said][: token.cache.length]
                self._store.put(keys, token.cache)
        return reused

    def reply(
        self,
        audio: str | Path | Waveform | None = None,
        text: str = "",
        *,
        sampling: Sampling = Sampling(),  # noqa: B008 (a frozen value)
    ) -> Iterator[str]:
        """Answer one recording, a text, or both, in pieces of text.

        Args:
            audio: a sound file, or a waveform.
            text: words that go with it, or stand alone.
            sampling: how tokens are drawn.

        Raises:
            AudioError: the recording cannot be used.
        """
        parts: list[Waveform | str] = []
        if audio is not None:
            parts.append(audio if isinstance(audio, Waveform) else decode(audio))
        conversation = Conversation().add(Message.user(*parts, *([text] if text else [])))
        for token in self.stream(self.prepare(conversation, sampling), sampling):
            if token.piece:
                yield token.piece

    def close(self) -> None:
        """Forget what was heard and read."""
        self._hearings.clear()
        self._store = PrefixStore(MAX_STORE_BYTES)


def _from_the_end(
    conversation: Conversation, hearings: Iterable[tuple[int, int, Hearing]]
) -> Places:
    n_messages = len(conversation.messages)
    return {(index - n_messages, part): hearing for index, part, hearing in hearings}
