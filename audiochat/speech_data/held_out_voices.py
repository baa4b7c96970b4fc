"""The synthetic voices that are never trained on, so that a synthetic test exists.

Needs no synthesiser: a machine that only trains knows them too.
"""

from collections.abc import Iterable

from audiochat.errors import DataError
from audiochat.speech_data.packed import PackedSpeech

ESPEAK = (
    "en-us+f4", "en-us+m7", "en-us+Annie", "en-us+Mike", "en-gb+f2", "en-gb+m3", "en-gb+belinda",
    "en-gb-scotland+m5", "en-gb-x-rp+Alicia", "en-029+f3",
)  # fmt: skip
FLITE = ("rms",)
FESTIVAL = ("ked",)

_SPEAKERS = frozenset(
    f"{engine}/{voice}"
    for engine, voices in (("espeak", ESPEAK), ("flite", FLITE), ("festival", FESTIVAL))
    for voice in voices
)


def refuse_held_out(speech: Iterable[PackedSpeech]) -> None:
    """See to it that none of these voices speaks in what is to be trained on.

    Raises:
        DataError: one does.
    """
    for source in speech:
        for number, clip in enumerate(source, start=1):
            if clip.speaker in _SPEAKERS:
                raise DataError(
                    f"{source.folder} has a clip of {clip.speaker} (line {number} of its "
                    "index.jsonl), a voice that is kept for tests: leave this folder out of "
                    "--speech."
                )
