"""A Coqui model as an engine of the synthesis: a tiny random one made here."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from audiochat.errors import VoiceError
from audiochat.speech_data.packed import PackedSpeech
from audiochat.speech_data.synthesis import plan_parts, speak_part, synthesize_part
from audiochat.speech_data.text_lines import SpokenLine
from tests.voices.test_coqui import LETTERS, tiny_vits

LINES = [SpokenLine("Hello there.", "Hello there.", "made")]


@pytest.fixture
def threads() -> Iterator[None]:
    """The engine takes one thread, as its process is its own; here it is not."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_any_model_in_a_folder_speaks_the_same_bytes_again(tmp_path: Path) -> None:
    folder = tiny_vits(tmp_path / "letters", settings=LETTERS, args={})
    engine = f"coqui:{folder}"
    (one,), (other,) = (
        plan_parts(LINES, engine, 2e-4, folder=tmp_path / name, seed=1) for name in "ab"
    )
    assert one.folder.parent == tmp_path / "a"
    assert one.folder.name.startswith("coqui-letters-")
    assert synthesize_part(one).failed == 0
    packed = PackedSpeech(one.folder)
    assert packed[0].speaker == "coqui:letters"
    assert np.abs(packed.samples(0)).max() > 1000
    speak_part(other)
    assert (other.folder / "audio-000.i16").read_bytes() == (
        one.folder / "audio-000.i16"
    ).read_bytes()


def test_a_model_that_cannot_be_loaded_stops_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (part,) = plan_parts(LINES, f"coqui:{folder}", 1e-4, folder=tmp_path, seed=1)
    with pytest.raises(VoiceError, match=r"config\.json is no configuration"):
        synthesize_part(part)
