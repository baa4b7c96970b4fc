"""Other people's recognisers to compare with, each from a package of the extra `peers`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from audiochat.audio import Waveform, to_int16
from audiochat.errors import MissingPartError
from audiochat.evaluation.asr import Hear


def pocketsphinx() -> Hear:
    """CMU Sphinx with the English model of its own wheel; n-gram language model, no punctuation.

    Raises:
        MissingPartError: The package is not installed.
    """
    if find_spec("pocketsphinx") is None:
        raise MissingPartError(
            "The peer pocketsphinx is not installed. "
            'Install it with `pip install -e ".[peers]"` on Python 3.11.'
        )
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=16_000, loglevel="FATAL")

    def hear(waveform: Waveform) -> str:
        decoder.start_utt()
        decoder.process_raw(to_int16(waveform).tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""

    return hear


PEERS: dict[str, Callable[[], Hear]] = {"pocketsphinx": pocketsphinx}
"""The recognisers by the name that `--peer` takes."""
