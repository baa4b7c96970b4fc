"""From a conversation to what the language model reads: tokens, with a place for each recording.

The model's own chat template is rendered with a mark for each text and each recording, so that it
works for any template, and so that nobody's words can pass for the template's special tokens.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer

from audiochat import prompts
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import ModelError
from audiochat.model.language_model import LanguageModel

PART_SEPARATOR = "\n"
"""What stands between the parts of one message."""


MAX_REPLIES = 2
"""Newest replies whose words count as said: what a small model falls into giving again is one of
them, and of all replies the common words would come to be avoided."""


@dataclass(frozen=True)
class TokenSegment:
    """Tokens to look up."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class AudioSegment:
    """A recording to hear, and where it stands in the conversation."""

    part: AudioPart
    message_index: int
    part_index: int


Segment = TokenSegment | AudioSegment


def assemble(conversation: Conversation, lm: LanguageModel) -> list[Segment]:
    """Gives what the language model reads, up to where its reply begins.

    A recording whose words a person put right becomes those words; any other stays a recording.
    Token segments are never empty, and never stand next to each other.

    Raises:
        ModelError: The model's chat template cannot write this conversation.
    """
    contents: list[str | AudioSegment] = []
    messages: list[dict[str, str]] = []

    def mark(content: str | AudioSegment) -> str:
        contents.append(content)
        return _mark(len(contents) - 1)

    if conversation.system_prompt.strip():
        messages.append({"role": "system", "content": mark(conversation.system_prompt)})
    for message_index, message in enumerate(conversation.messages):
        marks = [mark(content) for content in _contents(message, message_index)]
        messages.append({"role": message.role, "content": PART_SEPARATOR.join(marks)})
    return _segments(lm.chat_template.render(messages), contents, lm.tokenizer)


def prompt_ids(lm: LanguageModel, conversation: Conversation) -> list[int]:
    """The tokens of a conversation without recordings, up to where the reply begins."""
    ids: list[int] = []
    for segment in assemble(conversation, lm):
        assert isinstance(segment, TokenSegment)
        ids += segment.ids
    return ids


def newest_replies(conversation: Conversation, lm: LanguageModel) -> tuple[int, ...]:
    """Gives the tokens of the newest replies, for the repetition penalty of the next one."""
    replies = [message.text for message in conversation.messages if message.role == "assistant"]
    encoded = lm.tokenizer.encode_batch(replies[-MAX_REPLIES:], add_special_tokens=False)
    return tuple(id_ for reply in encoded for id_ in reply.ids)


def _contents(message: Message, message_index: int) -> Iterator[str | AudioSegment]:
    """The parts of a message; recordings to be put otherwise are marked as quoted.

    Words in a recording that is to be summarised or translated are no orders.
    """
    typed = " ".join(part for part in message.parts if isinstance(part, str))
    quoted = message.role == "user" and prompts.quotes(typed)
    for part_index, part in enumerate(message.parts):
        if isinstance(part, str):
            yield part
            continue
        if quoted:
            yield prompts.RECORDING_OPENS
        yield part.corrected or AudioSegment(part, message_index, part_index)
        if quoted:
            yield f"{prompts.RECORDING_CLOSES} {typed}"


# Private-use characters, which no template tests for and no trimming removes.
_MARK = re.compile("\ue000(\\d+)\ue001")


def _mark(index: int) -> str:
    return f"\ue000{index}\ue001"


def _segments(
    rendered: str, contents: list[str | AudioSegment], tokenizer: Tokenizer
) -> list[Segment]:
    """Puts the contents where their marks are, and cuts all text into tokens."""
    pieces = _MARK.split(rendered)
    if [int(piece) for piece in pieces[1::2]] != list(range(len(contents))):
        raise ModelError(
            "The model's chat template leaves out or reorders what was said: take a model whose "
            "template writes every message once, in order."
        )
    segments: list[Segment] = []
    ids: list[int] = []
    for run in _runs(pieces, contents, tokenizer):
        if isinstance(run, str):
            ids += tokenizer.encode(run, add_special_tokens=False).ids
        elif isinstance(run, int):
            ids.append(run)
        else:
            segments += [TokenSegment(tuple(ids)), run] if ids else [run]
            ids = []
    return [*segments, TokenSegment(tuple(ids))] if ids else segments


def _runs(
    pieces: list[str], contents: list[str | AudioSegment], tokenizer: Tokenizer
) -> Iterator[str | int | AudioSegment]:
    """Gives the template's special tokens, the recordings, and all text between two of them.

    Text runs over the seams of template and content, so that it is cut into the same tokens as
    when a person's words are plainly written into the template.
    """
    special = {
        token.content: id_
        for id_, token in tokenizer.get_added_tokens_decoder().items()
        if token.special
    }
    names = sorted(special, key=len, reverse=True)
    pattern = re.compile("(" + "|".join(re.escape(name) for name in names) + ")")
    text = ""
    for index, piece in enumerate(pieces):
        content = contents[int(piece)] if index % 2 else None
        if isinstance(content, str):
            text += content
            continue
        parts = [content] if content else pattern.split(piece) if special else [piece]
        for part in parts:
            if isinstance(part, str) and part not in special:
                text += part
                continue
            if text:
                yield text
                text = ""
            yield special[part] if isinstance(part, str) else part
    if text:
        yield text
