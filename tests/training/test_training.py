"""The loop and the CTC stage, on speech made on the spot."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from audiochat.cli.train import main
from audiochat.errors import DataError
from audiochat.model.checkpoint import load_parts
from audiochat.model.units import Units
from audiochat.speech_data.augmentation import AugmentationConfig
from audiochat.speech_data.packed import PackedSpeech, packed_folders
from audiochat.training import ctc, curves, optimizer
from audiochat.training.batches import SpeechBatches
from audiochat.training.config import CTC_RECIPES, OptimizerConfig
from audiochat.training.exercises import Planner
from audiochat.training.losses import ctc_loss
from audiochat.training.optimizer import orthogonalised, rate_at
from audiochat.training.train import Run, RunSettings
from audiochat.training.word_errors import edit_distance, word_error_rate
from tests.conftest import ROOT
from tests.training.conftest import MakeStage


@pytest.mark.slow
def test_the_tiny_recipe_overfits_twenty_clips(stage: MakeStage, tmp_path: Path) -> None:
    rates = Run(stage(), RunSettings(tmp_path, steps=160)).run()
    assert rates["made"] < 0.2


def test_two_clips_are_overfit_quickly(stage: MakeStage, tmp_path: Path) -> None:
    small = stage(batch_s=18.0)
    first, _ = small.loss(0, 0.0)
    run = Run(small, RunSettings(tmp_path, steps=40))
    run.run()
    last, _ = small.loss(0, 1.0)
    assert last.item() < 0.5 * first.item()


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(stage: MakeStage, tmp_path: Path) -> None:
    encoder = replace(CTC_RECIPES["tiny"].encoder, dropout=0.2)
    whole = Run(stage(encoder=encoder), RunSettings(tmp_path / "whole", steps=6))
    whole.run()
    settings = RunSettings(tmp_path / "cut", steps=6)
    cut = Run(stage(encoder=encoder), settings)
    original = cut.stage.loss

    def stopping(step: int, share: float):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(step, share)

    cut.stage.loss = stopping  # type: ignore[method-assign]
    cut.run()
    assert cut.progress.step == 3
    resumed = Run(stage(encoder=encoder), settings)
    assert resumed.progress.step == 3
    torch.rand(5)  # what else was drawn does not matter
    resumed.run()
    for one, two in zip(
        whole.stage.modules.parameters(), resumed.stage.modules.parameters(), strict=True
    ):
        torch.testing.assert_close(one, two)


def test_a_loss_that_is_no_number_ends_with_a_sentence(stage: MakeStage, tmp_path: Path) -> None:
    broken = stage()
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
    source.clips[0] = replace(source.clips[0], human=True)
    units = Units.trained([clip.spoken for clip in source], 60)
    batches = SpeechBatches([source], units, batch_s=6, max_clip_s=5, human_weight=2.5)
    seen = [batches.batch(step) for step in range(30)]
    assert all(batch.samples.numel() <= 6 * 16_000 for batch in seen)
    drawn = Counter(text for batch in seen for text in batch.texts)
    person = drawn.pop(source[0].spoken)
    assert person == pytest.approx(2.5 * drawn.total() / len(drawn), rel=0.25)
    with pytest.raises(DataError, match="No clip is usable"):
        SpeechBatches([source], units, batch_s=6, max_clip_s=0.1)


@pytest.mark.parametrize("speaker", ["espeak/en-us+f4", "flite/rms", "festival/ked"])
def test_what_a_voice_kept_for_tests_says_is_not_trained_on(speech: Path, speaker: str) -> None:
    (source,) = packed_folders(speech)
    units = Units.trained([clip.spoken for clip in source], 60)
    source.clips[7] = replace(source.clips[7], speaker=speaker, text="Say red window.")
    with pytest.raises(DataError, match=rf"{re.escape(speaker)} \(line 8 .*kept for tests"):
        SpeechBatches([source], units, batch_s=6, max_clip_s=5)
    with pytest.raises(DataError, match="kept for tests"):
        Planner({source.folder.name: source}, human_share=0.0, seed=1)


def test_human_clips_are_drawn_more_often(speech: Path) -> None:
    (source,) = packed_folders(speech)
    source.clips[0] = replace(source.clips[0], human=True)
    units = Units.trained([clip.spoken for clip in source], 60)
    batches = SpeechBatches([source], units, batch_s=6, max_clip_s=5, human_weight=4.0)
    (epoch,) = [batches._plan(0)]
    counts = [sum(batch.count((0, index)) for batch in epoch) for index in range(len(source))]
    assert counts[0] == 4
    assert set(counts[1:]) == {1}


def test_a_set_is_drawn_as_often_as_is_said(speech: Path) -> None:
    (source,) = packed_folders(speech)
    name = source[0].set_name
    source.clips[1] = replace(source.clips[1], set_name="interviews")
    units = Units.trained([clip.spoken for clip in source], 60)
    weights = {"interviews": 3.0, name: 0.5}
    batches = SpeechBatches([source], units, batch_s=6, max_clip_s=5, set_weights=weights)
    drawn = Counter(place for epoch in range(40) for b in batches._plan(epoch) for _, place in b)
    assert drawn.pop(1) == 3 * 40
    assert drawn.total() == pytest.approx(0.5 * 40 * (len(source) - 1), rel=0.25)
    with pytest.raises(DataError, match=r"'interview'; there are \['interviews', "):
        SpeechBatches([source], units, batch_s=6, max_clip_s=5, set_weights={"interview": 2.0})


def test_products_in_bfloat16_draw_the_same_way(
    stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = []
    for halved in (False, True):
        monkeypatch.setattr(ctc, "multiplies_bfloat16", lambda _, halved=halved: halved)
        made = stage()
        made.loss(0, 0.0)[0].backward()
        found = [p.grad.flatten() for p in made.modules.parameters() if p.grad is not None]
        assert all(one.dtype == torch.float32 for one in found)
        gradients.append(torch.cat(found))
    assert functional.cosine_similarity(*gradients, dim=0) > 0.99
    assert not torch.equal(*gradients)


@pytest.mark.parametrize("halved", [False, True])
def test_orthogonalised_singular_values_are_near_one(
    halved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizer, "multiplies_bfloat16", lambda _: halved)
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


def test_a_part_ends_early_and_the_next_one_goes_on(stage: MakeStage, tmp_path: Path) -> None:
    part = RunSettings(tmp_path, steps=4, part_minutes=1e-6)
    for step in range(1, 5):
        run = Run(stage(), part)
        run.run()
        assert run.progress.step == step
    assert run.share == 1
    assert run.progress.audio_s > 0


def test_the_average_of_the_weights_follows_them(stage: MakeStage, tmp_path: Path) -> None:
    small = stage(batch_s=18.0)
    run = Run(small, RunSettings(tmp_path, steps=30))
    before = [p.clone() for p in small.modules.parameters()]
    run.run()
    own = [p.clone() for p in small.modules.parameters()]
    with run.averaged():
        average = [p.clone() for p in small.modules.parameters()]
    assert all(torch.equal(p, q) for p, q in zip(own, small.modules.parameters(), strict=True))

    def apart(one: list[torch.Tensor], two: list[torch.Tensor]) -> float:
        return sum(float((p - q).square().sum()) for p, q in zip(one, two, strict=True))

    assert 0 < apart(average, own) < apart(average, before)


def test_training_goes_on_from_given_weights(stage: MakeStage, tmp_path: Path) -> None:
    first = stage()
    Run(first, RunSettings(tmp_path, steps=3)).run()
    again = stage(start_from=first.modules)
    for one, two in zip(first.modules.parameters(), again.modules.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(DataError, match="Choose the recipe"):
        stage(start_from=first.modules, encoder=CTC_RECIPES["embedded"].encoder)


def test_middle_blocks_learn_phones(stage: MakeStage, tmp_path: Path) -> None:
    encoder = replace(CTC_RECIPES["tiny"].encoder, phones_every=1)
    small = stage(encoder=encoder, phone_weight=0.5, batch_s=18.0)
    _, first = small.loss(0, 0.0)
    Run(small, RunSettings(tmp_path, steps=25)).run()
    _, last = small.loss(0, 1.0)
    assert last["phones_loss"] < 0.7 * first["phones_loss"]


def test_two_views_are_drawn_together(stage: MakeStage) -> None:
    augmentation = AugmentationConfig(mask_share=0.3)
    alone = stage(augmentation=augmentation, augment_from=0.0, batch_s=18.0)
    together = stage(augmentation=augmentation, augment_from=0.0, consistency=0.5, batch_s=18.0)
    for views in (alone, together):
        views.modules.eval()
    loss, figures = together.loss(3, 0.5)
    assert float(loss) > figures["units_loss"]
    assert figures["audio_s"] == alone.loss(3, 0.5)[1]["audio_s"]


def test_the_quick_word_error_rate_counts_as_jiwer_does() -> None:
    import jiwer

    pairs = [
        ("The red window.", "the read window"),
        ("It's seven, isn't it?", "its seven it"),
        ("Blue", ""),
        ("one two three four", "one three four five six"),
    ]
    plain = [(said.lower().strip(".?").replace(",", ""), heard) for said, heard in pairs]
    expected = jiwer.wer([said for said, _ in plain], [heard for _, heard in plain])
    assert word_error_rate(pairs) == pytest.approx(expected)
    assert edit_distance("kitten", "sitting") == 3


def test_the_curves_are_drawn(stage: MakeStage, tmp_path: Path) -> None:
    Run(stage(), RunSettings(tmp_path, steps=20)).run()
    assert list(curves.read(tmp_path / curves.TRAINING)["step"]) == [10, 20]
    assert curves.plot(tmp_path).read_bytes().startswith(b"\x89PNG")


def test_a_curve_takes_new_columns_and_forgets_what_comes_again(tmp_path: Path) -> None:
    path = tmp_path / curves.VALIDATION
    curves.append(path, {"step": 10, "elapsed_s": 1.0, "made": 0.5})
    curves.append(path, {"step": 20, "elapsed_s": 2.0, "people": 0.7})
    curves.append(path, {"step": 30, "elapsed_s": 3.0, "people": 0.6, "made": 0.4})
    assert path.read_text().splitlines()[0] == "step,elapsed_s,made,people"
    found = curves.read(path)
    assert found["made"] == pytest.approx([0.5, float("nan"), 0.4], nan_ok=True)
    assert found["people"] == pytest.approx([float("nan"), 0.7, 0.6], nan_ok=True)
    assert curves.plot(tmp_path).is_file()
    curves.drop_after(path, 20)
    assert curves.read(path)["step"] == [10, 20]


def test_a_curve_that_cannot_be_written_is_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    curves.append(tmp_path, {"step": 10})  # a folder
    assert "could not be written" in caplog.text


def test_a_run_cut_by_a_kill_tells_each_step_once(stage: MakeStage, tmp_path: Path) -> None:
    path = tmp_path / curves.TRAINING
    for step in (10, 20):  # no checkpoint came to be
        curves.append(path, {"step": step, "loss": 1.0})
    Run(stage(), RunSettings(tmp_path, steps=10))
    assert curves.read(path) == {}
    curves.append(path, {"step": 10, "loss": 1.0})
    assert curves.read(path)["step"] == [10]


def test_a_run_of_another_recipe_or_with_an_empty_checkpoint_is_refused(
    stage: MakeStage, tmp_path: Path
) -> None:
    Run(stage(), RunSettings(tmp_path, steps=1)).save()
    other = replace(CTC_RECIPES["tiny"].encoder, dim=64)
    with pytest.raises(DataError, match="begun with another recipe"):
        Run(stage(encoder=other), RunSettings(tmp_path))
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    with pytest.raises(DataError, match="is damaged"):
        Run(stage(), RunSettings(tmp_path))


_LEAN = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
from audiochat.cli.train import main
sys.exit(main(sys.argv[1:]))
"""
_NOT_NEEDED = (
    "transformers", "torchaudio", "gradio", "accelerate", "jiwer", "whisper_normalizer", "soxr",
    "num2words", "espeakng_loader", "onnxruntime", "silero_vad", "sacrebleu", "TTS", "psutil",
)  # fmt: skip


def test_the_gpu_recipe_dry_runs_in_parts_with_few_packages(speech: Path, tmp_path: Path) -> None:
    arguments = ["ctc", "--recipe", "gpu", "--steps", "2", "--part-minutes", "0.000001"]
    arguments += ["--speech", str(speech), "--dev", str(speech), "--batch-s", "18"]
    arguments += ["--out", str(tmp_path / "run"), "--weights", str(tmp_path / "weights")]
    command = [sys.executable, "-c", _LEAN.format(blocked=_NOT_NEEDED), *arguments]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, cwd=ROOT) for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "run the command again to go on" in first.stdout
    assert "run the command again" not in second.stdout
    assert load_parts(tmp_path / "weights").config.encoder == CTC_RECIPES["gpu"].encoder


def test_noise_alone_is_to_be_heard_as_nothing() -> None:
    log_probs = torch.randn(2, 10, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    targets, n_targets = torch.tensor([[1, 2], [0, 0]]), torch.tensor([2, 0])
    n_frames = torch.tensor([10, 8])
    unknown = ctc_loss(log_probs, targets, n_frames, n_targets)
    wordless = ctc_loss(log_probs, targets, n_frames, n_targets, torch.tensor([False, True]))
    every_blank = -log_probs[1, :8, 0].sum() / 2  # for each of the two targets
    torch.testing.assert_close(wordless - unknown, every_blank)


def test_clips_that_lose_their_speech_lose_their_words(stage: MakeStage) -> None:
    augmentation = AugmentationConfig(wordless=1.0)
    made = stage(augmentation=augmentation, augment_from=0.0)
    loss, _ = made.loss(0, 0.0)
    assert loss.item() > 0
    batch = made.batches.batch(0)
    nothing = batch.without_words(torch.ones(len(batch.texts), dtype=torch.bool))
    assert not nothing.n_targets.any()
    assert not nothing.n_phones.any()
