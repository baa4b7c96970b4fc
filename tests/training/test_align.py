"""Connectors trained through a tiny frozen Llama: the LLM never changes, the loss falls."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from audiochat.conversation import AudioPart
from audiochat.errors import DataError
from audiochat.model.checkpoint import TrainedParts, fresh_parts
from audiochat.model.config import AudioChatLlamaConfig, EncoderConfig
from audiochat.model.prompt import prompt_ids
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.model.units import Units
from audiochat.speech_data.augmentation import STRONG, Augmentation
from audiochat.speech_data.packed import packed_folders
from audiochat.training.align import AlignStage, warn_of_the_others, with_connector
from audiochat.training.config import ALIGN_RECIPES, AlignRecipe
from audiochat.training.examples import Example, hear_examples
from audiochat.training.exercises import Exercise, Folders, Mix, Planner, Spoken, by_name
from audiochat.training.frozen_llm import FrozenLlm, Row
from audiochat.training.losses import Teacher, response_loss
from audiochat.training.responses import (
    Response,
    read_responses,
    respond,
    usable,
    write_responses,
)
from audiochat.training.train import Run, RunSettings
from tests.model import tiny_llama

TINY = ALIGN_RECIPES["tiny"]
SHORT = Mix(history=0, instructed=0, transcribe=0, translate=0, summarise=0, other_system_prompt=0)


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> TorchLanguageModel:
    folder = tiny_llama.write_folder(tmp_path_factory.mktemp("tiny"))
    found = tiny_llama.load_both(folder)["torch"]
    assert isinstance(found, TorchLanguageModel)
    return found


@pytest.fixture(scope="module")
def folders(speech: Path) -> Folders:
    """The twenty clips of two words, said to have three so that they are used."""
    return by_name(packed_folders(speech))


def one_clip_each(folders: Folders, system_prompts: tuple[str, ...] = ("",)) -> list[Exercise]:
    ((name, source),) = folders.items()
    return [
        Exercise(
            "answer",
            ((Spoken(((name, at),), clip.text),),),
            system_prompts[at % len(system_prompts)],
        )
        for at, clip in enumerate(source)
    ]


def make_parts(recipe: AlignRecipe, lm: TorchLanguageModel, folders: Folders) -> TrainedParts:
    torch.manual_seed(0)
    (source,) = folders.values()
    units = Units.trained([clip.spoken for clip in source], 40)
    encoder = EncoderConfig(dim=32, n_layers=1, n_heads=2, n_units=units.size)
    parts = with_connector(fresh_parts(AudioChatLlamaConfig(encoder), units), recipe.connector, lm)
    parts.ear.eval().requires_grad_(False)
    return parts


def make_examples(
    parts: TrainedParts,
    lm: TorchLanguageModel,
    folders: Folders,
    *,
    augmentation: Augmentation | None = None,
) -> list[Example]:
    exercises = one_clip_each(folders, ("", "Be."))[:8]
    replies = respond(lm, [exercise.written() for exercise in exercises], 6)
    responses = [Response(e, (), tuple(ids)) for e, ids in zip(exercises, replies, strict=True)]
    return list(
        hear_examples(
            responses,
            folders,
            parts,
            lm,
            read=None,
            max_response_tokens=6,
            augmentation=augmentation,
        )
    )


def make_stage(recipe: AlignRecipe, lm: TorchLanguageModel, folders: Folders) -> AlignStage:
    parts = make_parts(recipe, lm, folders)
    examples = make_examples(parts, lm, folders)
    return AlignStage(recipe, parts, lm, train_set=examples[:-2], held_out=examples[-2:])


CELLS = [
    replace(TINY, connector=kind, kl_weight=kl, encoder_rate=rate)
    for kind, kl, rate in [
        ("hybrid", 0.5, 0.0),
        ("end_to_end", 0.5, 0.0),
        ("hybrid", 0.0, 0.1),
        ("end_to_end", 0.5, 0.1),
    ]
]


@pytest.mark.parametrize("recipe", CELLS, ids=lambda r: f"{r.connector}-{r.encoder_rate}")
def test_what_is_to_learn_learns_and_the_rest_does_not_change(
    recipe: AlignRecipe, lm: TorchLanguageModel, folders: Folders, tmp_path: Path
) -> None:
    llm = {name: value.clone() for name, value in lm.llama.state_dict().items()}
    stage = make_stage(recipe, lm, folders)
    ear = {name: value.clone() for name, value in stage.parts.ear.state_dict().items()}
    first = stage.loss(0, 0.0)[1]["response_loss"]
    Run(stage, RunSettings(tmp_path / "run", steps=15)).run()
    assert stage.loss(0, 1.0)[1]["response_loss"] < first
    assert all(torch.equal(value, llm[name]) for name, value in lm.llama.state_dict().items())
    now = stage.parts.ear.state_dict()
    same = all(torch.equal(value, ear[name]) for name, value in now.items())
    assert same == (recipe.encoder_rate == 0)


def test_the_untrained_hybrid_scores_as_the_cascade_and_speech_of_others_is_told(
    lm: TorchLanguageModel, folders: Folders
) -> None:
    figures = make_stage(TINY, lm, folders).validate()
    assert figures["audio_nll"] == pytest.approx(figures["cascade_nll"], abs=1e-4)
    assert figures["text_nll"] > 0
    assert figures["shuffled_nll"] != pytest.approx(figures["audio_nll"], abs=1e-6)


def test_the_teacher_is_asked_once_for_each_example(
    lm: TorchLanguageModel, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(TINY, lm, folders)
    calls: list[int] = []
    logits = stage.llm.logits
    monkeypatch.setattr(stage.llm, "logits", lambda rows: calls.append(len(rows)) or logits(rows))
    first = stage.loss(3, 0.0)[0].item()
    assert len(calls) == 2
    assert stage.loss(3, 0.0)[0].item() == pytest.approx(first)
    assert len(calls) == 3


def test_batches_are_of_one_group(lm: TorchLanguageModel, folders: Folders) -> None:
    stage = make_stage(TINY, lm, folders)
    for step in range(20):
        batch = stage.batch(step)
        assert batch == stage.batch(step)
        assert len({stage.train_set[at].group for at in batch}) == 1


def test_every_other_exercise_is_harder_to_hear(lm: TorchLanguageModel, folders: Folders) -> None:
    parts = make_parts(TINY, lm, folders)
    plain = make_examples(parts, lm, folders)
    augmentation = Augmentation(STRONG, noise_folder=None, seed=1)
    changed = make_examples(parts, lm, folders, augmentation=augmentation)
    for number, (before, after) in enumerate(zip(plain, changed, strict=True)):
        one, two = before.recordings[0].waveform, after.recordings[0].waveform
        assert (one.digest == two.digest) == (number % 2 == 0)
        assert (before.written, before.response) == (after.written, after.response)
    again = make_examples(parts, lm, folders, augmentation=augmentation)
    for one, two in zip(changed, again, strict=True):
        assert one.recordings[0].waveform.digest == two.recordings[0].waveform.digest


def test_a_common_beginning_changes_no_logits(lm: TorchLanguageModel) -> None:
    torch.manual_seed(1)
    lead = prompt_ids(lm, Exercise("answer", (("Hello there.",),)).written())
    rows = [
        Row((*lead, 40 + at), torch.randn(at, lm.hidden_dim) * 0.02, tuple(range(30, 33 + at)))
        for at in range(3)
    ]
    shared = FrozenLlm(lm).logits(rows)
    alone = torch.cat([FrozenLlm(lm, share_lead=False).logits([row]) for row in rows])
    torch.testing.assert_close(shared, alone, atol=1e-4, rtol=1e-4)


def test_the_distillation_is_the_divergence_of_all_tokens_and_none_from_itself() -> None:
    torch.manual_seed(2)
    ours, theirs = torch.randn(5, 40), torch.randn(5, 40)
    wanted = torch.arange(5)
    all_tokens = response_loss(ours, wanted, Teacher.of(theirs, 40), kl_weight=1.0)
    log_ours, log_theirs = ours.log_softmax(-1), theirs.log_softmax(-1)
    whole = torch.nn.functional.kl_div(log_ours, log_theirs, log_target=True, reduction="batchmean")
    assert float(all_tokens) == pytest.approx(float(whole), abs=1e-3)
    few = response_loss(ours, wanted, Teacher.of(theirs, 8), kl_weight=1.0)
    assert 0 < float(few) <= float(whole) + 1e-4  # tokens taken together tell less
    own = response_loss(theirs, wanted, Teacher.of(theirs, 8), kl_weight=1.0)
    assert float(own) == pytest.approx(0, abs=1e-4)


def three_words(folders: Folders) -> Folders:
    """The clips with a word more, as the planner wants three."""
    for source in folders.values():
        source.clips = [replace(clip, text=f"Say {clip.text}") for clip in source.clips]
    return folders


def test_exercises_mix_tasks_histories_and_modalities(speech: Path) -> None:
    folders = three_words(by_name(packed_folders(speech)))
    plans = [
        exercise
        for seed in range(30)
        for exercise in Planner(folders, human_share=0.0, seed=seed).plan(100)
    ]
    assert {exercise.task for exercise in plans} == {
        "answer", "transcribe", "translate", "summarise"
    }  # fmt: skip
    assert {len(exercise.turns) for exercise in plans} == {1, 2}
    sides = {isinstance(turn[0], str) for e in plans for turn in e.turns if len(turn) == 2}
    assert sides == {True, False}
    assert len({exercise.system_prompt for exercise in plans}) > 2
    assert any(len(recording.clips) > 1 for e in plans for recording in e.recordings)
    again = Planner(folders, human_share=0.0, seed=3).plan(100)
    assert again == Planner(folders, human_share=0.0, seed=3).plan(100)
    used = [clip for e in again for recording in e.recordings for clip in recording.clips]
    assert len(used) == len(set(used))


def test_the_last_clip_alone_makes_a_plain_turn(speech: Path) -> None:
    folders = three_words(by_name(packed_folders(speech)))
    ((name, source),) = folders.items()
    source.clips = source.clips[:3]
    exercises = Planner(folders, human_share=0.0, seed=1, mix=Mix(history=1.0)).plan(9)
    assert [len(exercise.turns) for exercise in exercises] == [2, 1]
    used = [clip for e in exercises for recording in e.recordings for clip in recording.clips]
    assert all(recording.clips for e in exercises for recording in e.recordings)
    assert len(used) == len(set(used)) <= 3
    assert {folder for folder, _ in used} <= {name}


def test_an_exercise_is_written_and_spoken_alike(lm: TorchLanguageModel, speech: Path) -> None:
    folders = three_words(by_name(packed_folders(speech)))
    ((name, source),) = folders.items()
    both = Spoken(((name, 0), (name, 1)), f"{source[0].text} {source[1].text}")
    exercise = Exercise("summarise", (("Hello.",), (both, "Summarise it.")))
    spoken = exercise.spoken(["Hi."], folders)
    part = spoken.messages[2].parts[0]
    assert isinstance(part, AudioPart)
    assert part.waveform.duration_s > source[0].duration_s + source[1].duration_s
    corrected = spoken.messages[2].with_part(0, replace(part, corrected=both.text))
    put_right = replace(spoken, messages=(*spoken.messages[:2], corrected))
    assert prompt_ids(lm, put_right) == prompt_ids(lm, exercise.written(["Hi."]))
    assert exercise.written().messages[-1].text == "Hello."


def test_responses_go_on_where_they_stopped(
    lm: TorchLanguageModel, speech: Path, tmp_path: Path
) -> None:
    folders = three_words(by_name(packed_folders(speech)))
    exercises = Planner(folders, human_share=0.0, seed=1).plan(8)
    path = tmp_path / "responses.jsonl"
    some = write_responses(lm, exercises, path, max_new_tokens=5, batch=2)
    assert next(some).done == 2
    some.close()
    path.write_text(path.read_text() + '{"task": "ans')  # as a kill may leave it
    (*_, progress) = write_responses(lm, exercises, path, max_new_tokens=5, batch=3)
    assert (progress.done, progress.new) == (len(exercises), len(exercises) - 2)
    whole = tmp_path / "whole.jsonl"
    list(write_responses(lm, exercises, whole, max_new_tokens=5, batch=2))
    found, wanted = read_responses(path, lm), read_responses(whole, lm)
    assert [one.exercise for one in found] == [one.exercise for one in wanted]
    assert [one.replies for one in found] == [one.replies for one in wanted]
    left_out = sum(not json.loads(line)["ids"] for line in path.read_text().splitlines())
    assert len(found) == len(exercises) - left_out


@pytest.mark.parametrize(
    ("reply", "good"),
    [
        ("Paris is the capital of France.", True),
        ("", False),
        ("...", False),
        ("I'm sorry, but I cannot hear the recording.", False),
        ("As a text-based model I can't help.", False),
        ("I can hear that you are sad.", True),
        ("It is a good day and it is a good day and it is a good day and", False),
    ],
)
def test_replies_worth_learning(reply: str, good: bool) -> None:
    assert usable(reply) == good


def test_recordings_have_the_same_length_heard_anew(
    lm: TorchLanguageModel, folders: Folders
) -> None:
    stage = make_stage(replace(TINY, encoder_rate=0.1), lm, folders)
    examples = [stage.train_set[0], stage.train_set[3]]
    for example, (fresh,) in zip(examples, stage._hear(examples), strict=True):
        known = example.recordings[0].hearing
        np.testing.assert_allclose(fresh.frames.detach(), known.frames, atol=1e-4)
        assert fresh.frames.requires_grad


def test_a_half_precision_llm_takes_what_the_connector_gives(
    lm: TorchLanguageModel, folders: Folders, tmp_path: Path
) -> None:
    folder = tiny_llama.write_folder(tmp_path)
    half = TorchLanguageModel.load(folder, dtype=torch.bfloat16)
    for kind in ("hybrid", "end_to_end"):
        recipe = replace(TINY, connector=kind)
        whole = make_stage(recipe, lm, folders)
        stage = AlignStage(
            recipe, whole.parts, half, train_set=whole.train_set, held_out=whole.held_out
        )
        wholly, halved = (gradient(one) for one in (whole, stage))
        assert functional.cosine_similarity(wholly, halved, dim=0) > 0.99
        assert halved.norm().item() == pytest.approx(wholly.norm().item(), rel=0.05)


def gradient(stage: AlignStage) -> torch.Tensor:
    """Of the first batch's loss, all in one row."""
    stage.modules.zero_grad()
    stage.loss(0, 0.0)[0].backward()
    found = [p.grad.flatten() for p in stage.modules.parameters() if p.grad is not None]
    assert all(one.dtype == torch.float32 for one in found)
    return torch.cat(found)


def test_connectors_of_another_llm_are_dropped_only_when_asked(
    lm: TorchLanguageModel, folders: Folders, caplog: pytest.LogCaptureFixture
) -> None:
    parts = make_parts(TINY, lm, folders)
    assert with_connector(parts, "hybrid", lm) is parts
    both = with_connector(parts, "end_to_end", lm)
    assert set(both.connectors) == {"hybrid", "end_to_end"}
    for kind in ("hybrid", "end_to_end"):
        with pytest.raises(DataError, match=r"hybrid.*for the LLM embedded.*--fresh"):
            with_connector(both if kind == "hybrid" else parts, kind, lm, llm="other")
    fresh = with_connector(both, "hybrid", lm, llm="other", fresh=True)
    assert set(fresh.connectors) == {"hybrid"}
    assert [one.kind for one in fresh.config.connectors] == ["hybrid"]
    assert fresh.config.llm == "other"
    assert "dropped the connectors of the LLM embedded" in caplog.text
    warn_of_the_others(both, "hybrid")
    assert "the end_to_end connector was trained on the ear as it is" in caplog.text


def test_responses_are_tied_to_their_plan_their_llm_and_their_clips(
    lm: TorchLanguageModel, speech: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = three_words(by_name(packed_folders(speech)))
    exercises = Planner(folders, human_share=0.0, seed=1, mix=SHORT).plan(4)
    path = tmp_path / "responses.jsonl"

    def write(exercises: list[Exercise], n_tokens: int = 5) -> None:
        list(write_responses(lm, exercises, path, max_new_tokens=n_tokens))

    write(exercises[:2])
    write(exercises)
    with pytest.raises(DataError, match=r"jsonl:1 answers another exercise.*--seed"):
        write(Planner(folders, human_share=0.0, seed=2, mix=SHORT).plan(4))
    with pytest.raises(DataError, match="begun with another --max-new-tokens"):
        write(exercises, n_tokens=6)
    beside = tmp_path / "responses.jsonl.json"
    other = {**json.loads(beside.read_text()), "llm": "of another"}
    beside.write_text(json.dumps(other))
    with pytest.raises(DataError, match="begun with another LLM"):
        write(exercises)
    with pytest.raises(DataError, match="responses of another LLM"):
        read_responses(path, lm)
    beside.unlink()  # as older files are
    before = path.read_bytes()
    write(exercises)
    assert "which LLM answered" in caplog.text
    assert path.read_bytes() == before
    assert len(read_responses(path, lm)) <= 4
    assert not beside.exists()


def test_a_recording_that_is_not_the_one_answered_is_refused(folders: Folders) -> None:
    ((name, source),) = folders.items()
    Spoken(((name, 0),), source[0].text).check(folders)
    with pytest.raises(DataError, match="it was packed anew"):
        Spoken(((name, 0),), "Something else.").check(folders)
    for clip in ((name, len(source)), ("elsewhere", 0)):
        with pytest.raises(DataError, match=f"clips in {clip[0]} that --speech"):
            Spoken((clip,), "Any.").check(folders)
