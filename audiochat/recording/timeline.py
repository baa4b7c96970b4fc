"""A recording laid out in time: each message after the one before, its sounds, its captions.

Captions, page and video are all made from this one layout, so that they agree.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from audiochat.audio import Waveform
from audiochat.conversation import AudioPart, Message, Role, TimedWord
from audiochat.recording import Recording, Reply

MAX_CUE_CHARS = 80
"""Two lines of a usual caption."""

GAP_S = 0.4
"""Quiet before each message, and after the last."""

READING_CHARS_PER_S = 15.0
"""How fast captions are read with ease; text without sound stays for as long."""

MIN_READING_S = 1.2
"""Shortest time for a caption without sound."""

MAX_BALANCED = 6
"""Captions of one text that are made of like length; in more, a short last one is not noticed."""

MIN_CUE_S = 0.1
"""Shortest time for any caption, so that none is lost where times are rounded."""

LINGER_S = 0.6
"""For so long a caption stays after its last word, if no other comes."""

STOPPED = "(stopped)"
NO_WORDS_HEARD = "(no words were heard)"
NO_WORDS_SAID = "(no words)"

_KEPT = "\n\t\u200c\u200d"  # the last two join letters and emoji


@dataclass(frozen=True)
class Cue:
    """One caption: who says what, from when to when."""

    start_s: float
    end_s: float
    """Seconds from the start of the recording, in whole milliseconds."""

    role: Role
    text: str
    """One line of words, none of them cut unless it is longer than a caption."""


@dataclass(frozen=True)
class PlacedSound:
    """A sound, and when it begins."""

    start_s: float
    role: Role
    waveform: Waveform


@dataclass(frozen=True)
class Span:
    """One message in time."""

    role: Role
    start_s: float
    end_s: float
    cues: tuple[Cue, ...]
    sounds: tuple[PlacedSound, ...]


@dataclass(frozen=True)
class Timeline:
    """The messages in order; spans and cues never overlap."""

    spans: tuple[Span, ...]
    """One for each message."""

    duration_s: float

    @property
    def cues(self) -> tuple[Cue, ...]:
        """Every caption, in order."""
        return tuple(cue for span in self.spans for cue in span.cues)

    @property
    def sounds(self) -> tuple[PlacedSound, ...]:
        """Every sound, in order."""
        return tuple(sound for span in self.spans for sound in span.sounds)


@dataclass(frozen=True)
class _Stretch:
    """Words to caption, with their sound if there is one; times count from the stretch's start."""

    text: str
    waveform: Waveform | None = None
    words: tuple[TimedWord, ...] = ()

    @property
    def sound_s(self) -> float:
        return self.waveform.duration_s if self.waveform is not None else 0.0


def lay_out(recording: Recording) -> Timeline:
    """Put every message after the one before."""
    spans: list[Span] = []
    now_s = GAP_S
    for index, message in enumerate(recording.conversation.messages):
        stretches = (
            _asked(message) if message.role == "user" else _replied(message, recording.reply(index))
        )
        span = _placed(stretches, message.role, now_s)
        spans.append(span)
        now_s = round(span.end_s + GAP_S, 3)
    return Timeline(tuple(spans), now_s)


def _asked(message: Message) -> list[_Stretch]:
    """A person's message, part by part."""
    return [
        _heard(part) if isinstance(part, AudioPart) else _Stretch(part) for part in message.parts
    ]


def _heard(part: AudioPart) -> _Stretch:
    # The times are those of the words heard: corrected ones are spread over the sound.
    timed = () if part.corrected else part.timed_words
    return _Stretch(part.words or NO_WORDS_HEARD, part.waveform, timed)


def _replied(message: Message, reply: Reply) -> list[_Stretch]:
    """A reply piece by piece as it was spoken, then what the voice did not get to."""
    # A model that answers in sound keeps it among the parts; our own speaks beside them.
    parts = [_heard(part) for part in message.audio_parts]
    spoken = [_Stretch(piece.text, piece.waveform) for piece in reply.pieces]
    if len(spoken) == 1 and not spoken[0].text.strip():
        spoken = [replace(spoken[0], text=message.text)]
    written = " ".join(part for part in message.parts if isinstance(part, str))
    rest = _unspoken(written, " ".join(one.text for one in spoken))
    if spoken and message.stopped:
        rest = ""  # nobody heard it
    stretches = [*parts, *spoken, *([_Stretch(rest)] if rest else [])]
    if not stretches:
        return [_Stretch(STOPPED if message.stopped else NO_WORDS_SAID)]
    if message.stopped:
        last = stretches[-1]
        stretches[-1] = replace(last, text=f"{last.text} {STOPPED}".strip(), words=())
    return stretches


def _unspoken(written: str, spoken: str) -> str:
    """What of a reply follows the spoken part; "" where the two cannot be matched."""
    said = [letter for letter in spoken.casefold() if letter.isalnum()]
    if not said:
        return written.strip()
    matched = 0
    for position, character in enumerate(written):
        if matched == len(said) and character.isalnum():
            return written[position:].strip()
        for letter in character.casefold():
            if letter.isalnum() and matched < len(said):
                if letter != said[matched]:
                    return ""
                matched += 1
    return ""


def _placed(stretches: Sequence[_Stretch], role: Role, start_s: float) -> Span:
    """The stretches one after the other, from `start_s` on."""
    cues: list[Cue] = []
    sounds: list[PlacedSound] = []
    now_s = start_s
    for stretch in stretches:
        if stretch.waveform is not None and len(stretch.waveform.samples):
            sounds.append(PlacedSound(now_s, role, stretch.waveform))
        timed = list(_cues(stretch, role, now_s))
        cues.extend(timed)
        # Not rounded: pieces of one sound follow each other without a gap.
        now_s = max([now_s + stretch.sound_s, *(cue.end_s for cue in timed)])
    return Span(role, start_s, now_s, tuple(cues), tuple(sounds))


def _cues(stretch: _Stretch, role: Role, start_s: float) -> Iterator[Cue]:
    """The captions of a stretch that begins at `start_s`."""
    timed = _by_word(stretch)
    for text, from_s, to_s in timed if timed is not None else _spread(stretch):
        yield Cue(round(start_s + from_s, 3), round(start_s + to_s, 3), role, text)


def _by_word(stretch: _Stretch) -> list[tuple[str, float, float]] | None:
    """Captions timed by the words in them; None where the words' times make no sense."""
    if not stretch.words or not all(word.text.split() for word in stretch.words):
        return None
    groups: list[list[TimedWord]] = [[]]
    for word in stretch.words:
        length = sum(len(one.text) + 1 for one in groups[-1]) + len(word.text)
        if groups[-1] and length > MAX_CUE_CHARS:
            groups.append([])
        groups[-1].append(word)
    starts = [group[0].start_s for group in groups]
    limits = [*starts[1:], stretch.sound_s]
    timed = []
    for group, limit_s in zip(groups, limits, strict=True):
        text = " ".join(" ".join(printable(word.text).split()) for word in group)
        timed.append((text, group[0].start_s, min(group[-1].end_s + LINGER_S, limit_s)))
    fits = all(to_s - from_s >= MIN_CUE_S and len(t) <= MAX_CUE_CHARS for t, from_s, to_s in timed)
    return timed if fits and starts[0] >= 0 else None


def _spread(stretch: _Stretch) -> Iterator[tuple[str, float, float]]:
    """Captions that share the sound's length by their letters, or have a reader's time each."""
    texts = caption_lines(stretch.text)
    if stretch.waveform is None:
        lengths = [max(MIN_READING_S, len(text) / READING_CHARS_PER_S) for text in texts]
    else:
        total = sum(map(len, texts))
        lengths = [max(MIN_CUE_S, stretch.sound_s * len(text) / total) for text in texts]
    now_s = 0.0
    for text, length_s in zip(texts, lengths, strict=True):
        yield text, now_s, now_s + length_s
        now_s += length_s


def caption_lines(text: str) -> list[str]:
    """Cut a text into captions, at words, the few of a short text of like length."""
    plain = " ".join(printable(text).split())
    lines = textwrap.wrap(plain, MAX_CUE_CHARS, break_on_hyphens=False)
    if not 1 < len(lines) <= MAX_BALANCED:
        return lines
    # The narrowest width that needs no more captions: no single word is left for the last one.
    for width in range(math.ceil(len(plain) / len(lines)), MAX_CUE_CHARS):
        narrower = textwrap.wrap(plain, width, break_on_hyphens=False)
        if len(narrower) == len(lines):
            return narrower
    return lines


def printable(text: str) -> str:
    """Without control characters, which no caption or page can show; line breaks stay."""
    return "".join(one if one.isprintable() or one in _KEPT else " " for one in text)
