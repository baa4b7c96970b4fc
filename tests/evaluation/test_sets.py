"""`evaluate sets` on a data folder of a few lines, with the real voices."""

import gzip
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiochat.__main__ import main
from audiochat.audio import RECORDING_LIMITS, SAMPLE_RATE, Waveform, decode, write_wav
from audiochat.evaluation import sets
from audiochat.evaluation.set_building import Report, build_set
from audiochat.evaluation.set_plans import TURN_ORDERS, Sizes
from audiochat.evaluation.set_texts import words_of
from audiochat.evaluation.set_wordings import LANGUAGES
from audiochat.speech_data.manifest import read_manifest
from audiochat.speech_data.speakers import held_out

SIZES = Sizes(questions=2, context=4, mixed=6, per_task=6, long=2, orders=6)
ASKED = {
    "what team does wayne rooney play for?": ["Everton"],
    "where is zanzibar located?": ["Tanzania"],
    "who did dirk nowitzki marry?": ["Jessica Olsson"],
    "where did edgar allan poe die?": ["Baltimore"],
    "what currency do they use in barbados?": ["Barbadian dollar", "Barbados dollars"],
    "who is kellan lutz with?": ["Kellan himself"],
}
OTHERS = {
    "who wrote the jungle book": ["Rudyard Kipling"],
    "when did the titanic sink": ["1912"],
    "how many legs has a spider": ["eight"],
    "what is the capital of peru": ["Lima"],
}
UNFIT = [
    {"text": "what does the ____ mean?", "answer": ["nothing"]},
    {"text": "Which city is Paris in Texas near?", "answer": ["Paris"]},
    {"text": "Who asks a thing without an answer?", "answer": []},
    {"text": "who?", "answer": ["me"]},
    {"answer": ["no text"]},
]
TRAINED = [
    "The capital of Peru is far away.",
    "People play in a team.",
    "He did use it, did he not?",
]


def story(name: str, thing: str) -> str:
    """A word problem of three statements and a question."""
    return (
        f"{name} bought 12 {thing} at the market on Monday morning. Every week {name} gives a "
        f"third of them to an old friend. The others stay in the kitchen for $2.50 a day. "
        f"How many {thing} are left?"
    )


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)) + "\n")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the sets are made of."""
    folder = tmp_path_factory.mktemp("data")
    text = folder / "text"
    about = {"source": "made up", "licence": "CC0-1.0"}
    asked = [{"text": text, "answer": answer, **about} for text, answer in ASKED.items()]
    write_lines(text / "eval_webquestions_test.jsonl.gz", asked + UNFIT)
    others = [{"text": text, "answer": answer, **about} for text, answer in OTHERS.items()]
    write_lines(text / "eval_nq_open_efficientqa_dev.jsonl.gz", others)
    names = ["Nadia", "Boris", "Marek", "Ingrid", "Yusuf", "Paola", "Hamid", "Lucia", "Anton"]
    stories = [
        {"text": story(name, thing), "answer": "8", **about}
        for name in names
        for thing in ("apples", "old books")
    ]
    write_lines(text / "eval_gsm8k_test.jsonl.gz", stories)
    write_lines(text / "common_voice_sentences.jsonl.gz", [{"text": one} for one in TRAINED])
    people = folder / "speech_dev"
    rows = []
    for name in ("close/one.wav", "telephone/two.wav"):
        (people / name).parent.mkdir(parents=True)
        hum = 0.1 * np.sin(np.arange(12_000) / 20)
        write_wav(Waveform(hum), people / name)
        rows.append({"audio": name, "text": "Hum a little.", "speaker": name, **about})
    (people / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def build(data: Path, out: Path, *names: str, seed: int = 1) -> dict[str, Report]:
    voices = sets.held_out_voices()[0][::4]  # few, for each starts a process
    plans = sets.plan_sets(data, names or sets.SETS, SIZES, seed=seed, voices=voices)
    return {
        plan.name: build_set(plan, out, seed=seed, workers=2, progress=lambda *_: None)
        for plan in plans
    }


@pytest.fixture(scope="module")
def built(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sets, small."""
    out = tmp_path_factory.mktemp("out")
    reports = build(data, out)
    assert set(reports) == set(sets.SETS)
    assert reports["questions"].left_out == {
        "not speakable": 2,
        "the answer stands in the question": 1,
        "no answer": 1,
        "too short or too long": 1,
    }
    return out


def rows_of(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (out / f"{name}.jsonl").read_text().splitlines()]


def history_of(row: dict[str, Any]) -> str:
    return " ".join(turn["text"] for turn in row["history"])


@pytest.mark.parametrize("name", sets.SETS)
def test_every_recording_is_there_and_by_a_held_out_voice(built: Path, name: str) -> None:
    manifest = read_manifest(built / f"{name}.jsonl", built)
    assert not manifest.problems
    rows = rows_of(built, name)
    named = []
    for row in rows:
        named += [row["audio"], *(turn.get("audio") for turn in row.get("history", ()))]
        assert row["source"] == "made up"
        if name != "human":
            voice = row["speaker"].partition("/")[2]
            assert held_out(voice), row["speaker"]
            assert row["accent"]
            assert not row["human"]
    wanted = {name for name in named if name}
    assert wanted == {path.relative_to(built).as_posix() for path in (built / name).rglob("*.flac")}
    for audio in wanted:
        about = soundfile.info(built / audio)
        assert (about.samplerate, about.channels, about.format) == (SAMPLE_RATE, 1, "FLAC")
        assert decode(built / audio, RECORDING_LIMITS).rms_db > -50


def test_questions_alternate_between_their_sources(built: Path) -> None:
    rows = rows_of(built, "questions")
    assert [row["set"] for row in rows] == ["webquestions", "nq_open"] * SIZES.questions
    every = {**ASKED, **OTHERS}
    for row in rows:
        assert (
            row["answer"] == every[row["text"].lower().rstrip("?") + "?" * (row["set"][0] == "w")]
        )
    assert len({row["speaker"] for row in rows}) > 1


def test_people_keep_their_sets(built: Path) -> None:
    rows = rows_of(built, "human")
    assert [row["set"] for row in rows] == ["close", "telephone"]
    assert all(row["human"] and "answer" not in row for row in rows)


def test_the_history_names_what_is_asked_and_no_answer(built: Path) -> None:
    rows = rows_of(built, "context")
    assert len(rows) == SIZES.context
    for row in rows:
        assert row["rare_name"].lower() in row["text"].lower()
        assert all(row["rare_name"] in turn["text"] for turn in row["history"])
        answers = {word for answer in row["answer"] for word in words_of(answer)}
        assert not answers & set(words_of(history_of(row)))
        assert ("audio" in row["history"][0]) == (row["set"] == "context_spoken")
    assert {row["set"] for row in rows} == {"context_typed", "context_spoken"}


def test_text_and_recordings_alternate_in_every_order(built: Path) -> None:
    rows = rows_of(built, "mixed")
    kinds = Counter()
    for row in rows:
        roles = [turn["role"] for turn in row["history"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        asked = [turn for turn in row["history"] if turn["role"] == "user"]
        kinds[(*("spoken" if "audio" in turn else "typed" for turn in asked), "spoken")] += 1
        said = " ".join(words_of(history_of(row)))
        assert not any(" ".join(words_of(answer)) in said for answer in row["answer"])
    assert kinds == dict.fromkeys(TURN_ORDERS, 1)


def test_each_task_has_its_instruction_on_both_sides(built: Path) -> None:
    tasks: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(built, "tasks"):
        tasks.setdefault(row["task"], []).append(row)
    assert list(tasks) == ["answer", "transcribe", "translate", "summarise"]
    for name, rows in tasks.items():
        assert len(rows) == SIZES.per_task
        assert sum(row["instruction_first"] for row in rows) == SIZES.per_task // 2
        assert all(("answer" in row) == (name == "answer") for row in rows)
    said = Counter((row["language"], row["instruction_first"]) for row in tasks["translate"])
    assert said == {(one, first): 1 for one in LANGUAGES for first in (True, False)}
    assert all(row["language"] in row["instruction"] for row in tasks["translate"])
    # The closing question is no part of a story, and money is said in words.
    assert all("?" not in row["text"] and "$2.50" in row["text"] for row in tasks["summarise"])
    assert all("two dollars and fifty cents" in row["spoken"] for row in tasks["summarise"])


def test_a_long_recording_answers_what_is_asked_of_it(built: Path) -> None:
    rows = rows_of(built, "long")
    assert rows
    for row in rows:
        assert 60 <= row["seconds"] <= 180
        assert row["seconds"] == pytest.approx(soundfile.info(built / row["audio"]).duration, abs=1)
        if row["task"] == "answer":
            assert f"{row['answer']} {row['instruction'][4:-1]}." in row["text"]
            assert row["answer"] not in row["instruction"]


def test_an_order_is_said_and_not_typed(built: Path) -> None:
    rows = rows_of(built, "orders")
    assert [row["task"] for row in rows] == ["summarise", "translate"] * 3
    places = set()
    for row in rows:
        (word,) = row["forbidden"]
        assert row["text"].count(word) == row["order"].count(word) == row["spoken"].count(word) == 1
        assert word not in row["instruction"]
        places.add((row["text"].startswith(row["order"]), row["text"].endswith(row["order"])))
    assert places == {(True, False), (False, False), (False, True)}
    assert len({row["order"].replace(row["forbidden"][0], "") for row in rows}) == 6


def test_a_build_repeats_and_goes_on(data: Path, built: Path, tmp_path: Path) -> None:
    again = build(data, tmp_path, "tasks")["tasks"]
    assert not again.made_before
    assert (tmp_path / "tasks.jsonl").read_bytes() == (built / "tasks.jsonl").read_bytes()
    for path in sorted((tmp_path / "tasks").iterdir()):
        assert path.read_bytes() == (built / "tasks" / path.name).read_bytes()
    # A set that is whole is left, one that lost a recording is made anew.
    assert build(data, tmp_path, "tasks")["tasks"].made_before
    lost = tmp_path / "tasks/0003.flac"
    lost.unlink()
    assert not build(data, tmp_path, "tasks")["tasks"].made_before
    assert lost.is_file()


def test_a_set_with_cases_left_out_is_left_too(data: Path, tmp_path: Path) -> None:
    here, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(data / "speech_dev", here / "speech_dev")
    (here / "speech_dev/close/one.wav").write_bytes(b"no sound")
    first = build(here, out, "human")["human"]
    assert (first.clips, first.left_out["cannot be decoded"]) == (1, 1)
    assert build(here, out, "human")["human"] == replace(first, made_before=True)


def command(data: Path, out: Path, *more: str) -> list[str]:
    return ["evaluate", "sets", "--data", str(data), "--out", str(out), *more]


def test_the_command_reports_and_refuses_another_seed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = command(data, tmp_path, "--only", "questions,human", "--questions", "2")
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "questions  4 clips" in said
    assert "1 the answer stands in the question" in said
    assert "human      2 clips" in said
    assert "festival ked" in said
    assert not (tmp_path / "tasks").exists()
    assert main([*argv, "--seed", "2"]) == 1
    assert "--seed" in capsys.readouterr().err
    assert len(rows_of(tmp_path, "questions")) == 4
    assert main(argv) == 0
    assert capsys.readouterr().out.count("made before") == 2


def test_a_missing_file_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path / "absent", tmp_path / "out")) == 1
    assert "absent" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(command(tmp_path / "empty", tmp_path / "out", "--only", "orders")) == 1
    assert "eval_gsm8k_test.jsonl.gz" in capsys.readouterr().err
    assert main(command(tmp_path / "empty", tmp_path / "out", "--only", "human")) == 1
    assert "manifest.jsonl" in capsys.readouterr().err


def test_an_unknown_set_is_wrong_usage(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(command(data, tmp_path, "--only", "answers"))
    assert stopped.value.code == 2
