"""The loop and the CTC stage, on speech made on the spot."""

import os
import signal
from pathlib import Path

import pytest
import torch

from audiochat.cli.train import main
from audiochat.errors import DataError
from audiochat.model.checkpoint import load_parts
from audiochat.model.units import Units
from audiochat.speech_data.packed import PackedSpeech, packed_folders
from audiochat.speech_data.synthesis import SpokenLine, plan_parts, synthesize_part
from audiochat.training.batches import SpeechBatches
from audiochat.training.config import CTC_RECIPES, OptimizerConfig
from audiochat.training.ctc import CtcStage
from audiochat.training.optimizer import orthogonalised, rate_at
from audiochat.training.train import Run, RunSettings

WORDS = ["red", "green", "blue", "seven", "music", "window", "water", "yellow", "paper", "orange"]
LINES = [
    SpokenLine(text, text, "made")
    for text in (f"{a.title()} {b}." for a in WORDS[:5] for b in WORDS[5:9])
]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty clips of two words."""
    folder = tmp_path_factory.mktemp("speech")
    (part,) = plan_parts(LINES, "espeak:en-us", 0.0045, folder=folder, seed=1)
    synthesize_part(part)
    return folder


def stage(speech: Path, **changes: object) -> CtcStage:
    from dataclasses import replace

    recipe = replace(CTC_RECIPES["tiny"], **changes)  # type: ignore[arg-type]
    sources = packed_folders(speech)
    units = Units.trained([clip.spoken for clip in sources[0]], 60)
    return CtcStage(recipe, sources, sources, units=units)


@pytest.mark.slow
def test_the_tiny_recipe_overfits_twenty_clips(speech: Path, tmp_path: Path) -> None:
    rates = Run(stage(speech), RunSettings(tmp_path, steps=160)).run()
    assert rates["made"] < 0.2


def test_two_clips_are_overfit_quickly(speech: Path, tmp_path: Path) -> None:
    small = stage(speech, batch_s=18.0)
    first, _ = small.loss(0, 0.0)
    run = Run(small, RunSettings(tmp_path, steps=40))
    run.run()
    last, _ = small.loss(0, 1.0)
    assert float(last) < 0.5 * float(first)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(speech: Path, tmp_path: Path) -> None:
    whole = Run(stage(speech), RunSettings(tmp_path / "whole", steps=6))
    whole.run()
    settings = RunSettings(tmp_path / "cut", steps=6)
    cut = Run(stage(speech), settings)
    original = cut.stage.loss

    def stopping(step: int, share: float):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(step, share)

    cut.stage.loss = stopping  # type: ignore[method-assign]
    cut.run()
    assert cut.progress.step == 3
    resumed = Run(stage(speech), settings)
    assert resumed.progress.step == 3
    resumed.run()
    for one, two in zip(
        whole.stage.modules.parameters(), resumed.stage.modules.parameters(), strict=True
    ):
        torch.testing.assert_close(one, two)


def test_a_loss_that_is_no_number_ends_with_a_sentence(speech: Path, tmp_path: Path) -> None:
    broken = stage(speech)
    broken.loss = lambda step, share: (torch.tensor(float("nan"), requires_grad=True), {})  # type: ignore[method-assign,assignment]
    with pytest.raises(DataError, match="no finite loss"):
        Run(broken, RunSettings(tmp_path, steps=50)).run()


def test_batches_depend_on_seed_and_step_alone(speech: Path) -> None:
    sources = packed_folders(speech)
    units = Units.trained([clip.spoken for clip in sources[0]], 60)
    one, two = (SpeechBatches(sources, units, batch_s=6, max_clip_s=5, seed=4) for _ in range(2))
    far = two.batch(9).texts
    assert [one.batch(step).texts for step in range(10)][9] == far
    assert two.batch(0).texts == one.batch(0).texts


def test_batches_hold_what_fits_and_weigh_people_up(speech: Path) -> None:
    (source,) = packed_folders(speech)
    units = Units.trained([clip.spoken for clip in source], 60)
    batches = SpeechBatches([source], units, batch_s=6, max_clip_s=5)
    seen = [batches.batch(step) for step in range(30)]
    assert all(batch.samples.numel() <= 6 * 16_000 for batch in seen)
    with pytest.raises(DataError, match="No clip is usable"):
        SpeechBatches([source], units, batch_s=6, max_clip_s=0.1)


def test_human_clips_are_drawn_more_often(speech: Path) -> None:
    from dataclasses import replace

    (source,) = packed_folders(speech)
    source.clips[0] = replace(source.clips[0], human=True)
    units = Units.trained([clip.spoken for clip in source], 60)
    batches = SpeechBatches([source], units, batch_s=6, max_clip_s=5, human_weight=4.0)
    (epoch,) = [batches._plan(0)]
    counts = [sum(batch.count((0, index)) for batch in epoch) for index in range(len(source))]
    assert counts[0] == 4
    assert set(counts[1:]) == {1}


def test_orthogonalised_singular_values_are_near_one() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(3, 24, 60), steps=6))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.4


def test_the_rate_warms_up_and_ends_low() -> None:
    config = OptimizerConfig(warm_up_share=0.1, floor=0.01)
    assert rate_at(0.05, config) == pytest.approx(0.5)
    assert rate_at(0.1, config) == pytest.approx(1.0)
    assert rate_at(1.0, config) == pytest.approx(0.01)


def test_the_command_packs_trains_and_writes_weights(speech: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    arguments = ["ctc", "--recipe", "tiny", "--speech", str(speech), "--dev", str(speech)]
    arguments += ["--out", str(tmp_path / "run"), "--weights", str(weights), "--steps", "3"]
    assert main(arguments) == 0
    parts = load_parts(weights)
    assert isinstance(packed_folders(speech)[0], PackedSpeech)
    assert parts.config.encoder == CTC_RECIPES["tiny"].encoder
    assert (tmp_path / "run" / "validation.csv").read_text().startswith("step,elapsed_s,made")
