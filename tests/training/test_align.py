"""Connectors trained through a tiny frozen Llama: the LLM never changes, the loss falls."""

from pathlib import Path

import pytest
import torch

from audiochat.model.checkpoint import fresh_parts
from audiochat.model.config import AudioChatLlamaConfig, EncoderConfig
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.model.units import Units
from audiochat.speech_data.packed import packed_folders
from audiochat.speech_data.synthesis import SpokenLine, plan_parts, synthesize_part
from audiochat.training.align import AlignStage, with_connector
from audiochat.training.config import AlignRecipe
from audiochat.training.responses import choose_clips, read_responses, write_responses
from audiochat.training.train import Run, RunSettings
from tests.model import tiny_llama

LINES = [SpokenLine(t, t, "made") for t in ("Is it red?", "Go on now.", "One two three.")]


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> TorchLanguageModel:
    folder = tiny_llama.write_folder(tmp_path_factory.mktemp("tiny"))
    found = tiny_llama.load_both(folder)["torch"]
    assert isinstance(found, TorchLanguageModel)
    return found


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    (part,) = plan_parts(LINES, "espeak:en-us", 0.002, folder=folder, seed=1)
    synthesize_part(part)
    return folder


def make_stage(kind: str, lm: TorchLanguageModel, speech: Path, folder: Path) -> AlignStage:
    torch.manual_seed(0)
    sources = packed_folders(speech)
    units = Units.trained([clip.spoken for clip in sources[0]], 40)
    encoder = EncoderConfig(dim=32, n_layers=1, n_heads=2, n_units=units.size)
    parts = with_connector(fresh_parts(AudioChatLlamaConfig(encoder), units), kind, lm)  # type: ignore[arg-type]
    parts.ear.eval().requires_grad_(False)
    chosen = choose_clips(sources, 8, human_share=0.0, seed=1)
    path = folder / "responses.jsonl"
    counts = list(write_responses(lm, sources, chosen, path, max_new_tokens=6, batch=3))
    assert counts[-1] == len(chosen)
    recipe = AlignRecipe(connector=kind, batch_examples=2)  # type: ignore[arg-type]
    responses = read_responses(path)
    return AlignStage(recipe, parts, lm, speech=sources, responses=responses, n_held_out=2)


@pytest.mark.parametrize("kind", ["hybrid", "end_to_end"])
def test_the_connector_learns_and_the_llm_does_not_change(
    kind: str, lm: TorchLanguageModel, speech: Path, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in lm.llama.state_dict().items()}
    stage = make_stage(kind, lm, speech, tmp_path)
    first, _ = stage.loss(0, 0.0)
    Run(stage, RunSettings(tmp_path / "run", steps=25)).run()
    last, _ = stage.loss(0, 1.0)
    assert float(last.detach()) < float(first.detach())
    for name, value in lm.llama.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_untrained_hybrid_scores_as_the_cascade(
    lm: TorchLanguageModel, speech: Path, tmp_path: Path
) -> None:
    figures = make_stage("hybrid", lm, speech, tmp_path).validate()
    assert figures["audio_nll"] == pytest.approx(figures["cascade_nll"], abs=1e-4)
    assert figures["text_nll"] > 0


def test_responses_go_on_where_they_stopped(
    lm: TorchLanguageModel, speech: Path, tmp_path: Path
) -> None:
    sources = packed_folders(speech)
    chosen = choose_clips(sources, 6, human_share=0.0, seed=1)
    path = tmp_path / "responses.jsonl"
    some = write_responses(lm, sources, chosen, path, max_new_tokens=5, batch=2)
    assert next(some) == 2
    some.close()
    list(write_responses(lm, sources, chosen, path, max_new_tokens=5, batch=2))
    whole = list(read_responses(path))
    assert [(row.index, row.text) for row in whole] == [
        (index, sources[at][index].text) for at, index in chosen
    ]
