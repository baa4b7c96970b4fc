"""Speech made on the spot for the training tests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audiochat.model.units import Units
from audiochat.speech_data.packed import packed_folders
from audiochat.speech_data.synthesis import SpokenLine, plan_parts, synthesize_part
from audiochat.training.config import CTC_RECIPES
from audiochat.training.ctc import CtcStage

WORDS = ["red", "green", "blue", "seven", "music", "window", "water", "yellow", "paper", "orange"]
LINES = [
    SpokenLine(text, text, "made")
    for text in (f"{a.title()} {b}." for a in WORDS[:5] for b in WORDS[5:9])
]

MakeStage = Callable[..., CtcStage]


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty clips of two words."""
    folder = tmp_path_factory.mktemp("speech")
    (part,) = plan_parts(LINES, "espeak:en-us", 0.0045, folder=folder, seed=1)
    synthesize_part(part)
    return folder


@pytest.fixture
def stage(speech: Path) -> MakeStage:
    """Makes a stage of the tiny recipe, with changes."""

    def make(units: Units | None = None, start_from: object = None, **changes: object) -> CtcStage:
        recipe = replace(CTC_RECIPES["tiny"], **changes)  # type: ignore[arg-type]
        sources = packed_folders(speech)
        units = units or Units.trained([clip.spoken for clip in sources[0]], 60)
        return CtcStage(recipe, sources, sources, units=units, start_from=start_from)  # type: ignore[arg-type]

    return make
