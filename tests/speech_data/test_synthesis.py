"""Synthesis: the seed fixes every bit, held-out voices stay out, what was lost is made again."""

import errno
import json
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audiochat.cli.train import main
from audiochat.errors import DataError, MissingPartError
from audiochat.speech_data import flite, synthesis
from audiochat.speech_data.fresh_processes import each_in_a_fresh_process
from audiochat.speech_data.packed import PackedSpeech, PackedWriter
from audiochat.speech_data.speakers import (
    CHARACTERS_A_SECOND,
    HELD_OUT_ESPEAK,
    draw_espeak_voice,
    held_out,
)
from audiochat.speech_data.synthesis import (
    Part,
    Synthesiser,
    plan_parts,
    report_of,
    speak_part,
    synthesize,
    synthesize_part,
)
from audiochat.speech_data.text_lines import SpokenLine, read_text_lines
from tests.speech_data.conftest import needs_flite

LINES = [SpokenLine(f"Line {n}.", f"This is line {n}.", "made") for n in ("one", "two", "three")]


def part(folder: Path, engine: str = "espeak", *more: SpokenLine) -> Part:
    return Part(engine, (*LINES, *more), folder / engine.replace(":", "-"), f"7/{engine}")


def bytes_of(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "audio-000.i16").read_bytes(), (folder / "index.jsonl").read_bytes()


def test_the_same_seed_gives_the_same_bytes_in_whatever_order(tmp_path: Path) -> None:
    names = ("espeak", "espeak:en-us+klatt4", "espeak:en-gb+iven")
    parallel = [part(tmp_path / "two", name) for name in names]
    serial = [part(tmp_path / "one", name) for name in reversed(names)]
    list(synthesize(parallel, workers=2))
    list(synthesize(serial, workers=1))
    for one, other in zip(parallel, reversed(serial), strict=True):
        assert bytes_of(one.folder) == bytes_of(other.folder)
    another = replace(parallel[0], folder=tmp_path / "three", seed="8")
    synthesize_part(another)
    assert bytes_of(another.folder)[0] != bytes_of(parallel[0].folder)[0]


@needs_flite
def test_flite_speaks_the_same_bytes_too(tmp_path: Path) -> None:
    for voice in ("kal16", "slt"):
        one, other = (part(tmp_path / name, voice) for name in "ab")
        report = synthesize_part(one)
        assert report.failed == 0
        assert report.audio_s > 3
        synthesize_part(other)
        assert bytes_of(one.folder) == bytes_of(other.folder)
        assert {clip.speaker for clip in PackedSpeech(one.folder)} == {f"flite/{voice}"}


def test_a_part_is_made_once_and_a_lost_one_again(tmp_path: Path) -> None:
    parts = [part(tmp_path, name) for name in ("espeak", "espeak:en-gb")]
    made = dict(synthesize(parts, workers=1))
    assert not any(report.made_before for report in made.values())
    whole = [bytes_of(one.folder) for one in parts]
    (parts[1].folder / "index.jsonl").unlink()
    again = dict(synthesize(parts, workers=1))
    assert [again[one].made_before for one in parts] == [True, False]
    assert [bytes_of(one.folder) for one in parts] == whole
    assert again[parts[0]].audio_s == made[parts[0]].audio_s
    packed = PackedSpeech(parts[0].folder)
    assert [clip.text for clip in packed] == [line.text for line in LINES]
    assert all(clip.phones and not clip.human for clip in packed)


def test_a_part_of_other_lines_is_not_taken_for_this_one(tmp_path: Path) -> None:
    one = part(tmp_path)
    synthesize_part(one)
    assert report_of(one) is not None
    assert report_of(replace(one, seed="9")) is None
    assert report_of(replace(one, lines=one.lines[:2])) is None
    (one.folder / "made.json").write_text("{")
    assert report_of(one) is None


def test_failing_lines_are_counted_and_too_many_stop_the_run(tmp_path: Path) -> None:
    unsaid = SpokenLine("...", "...", "made")
    few = Part("espeak", (unsaid, *LINES * 34), tmp_path / "few", "1")
    assert synthesize_part(few).failed == 1
    assert len(PackedSpeech(few.folder)) == 102
    many = part(tmp_path / "many", "espeak", unsaid)
    with pytest.raises(DataError, match=r"1 of 4 lines could not be said, .* by espeak: .*nothing"):
        synthesize_part(many)
    assert report_of(many) is None


def test_a_full_disk_is_said_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PackedWriter, "add", full)
    one = part(tmp_path)
    with pytest.raises(DataError, match=r"No space left.*are kept: make room and run the same"):
        speak_part(one)
    assert report_of(one) is None


def test_a_killed_process_is_said() -> None:
    with pytest.raises(DataError, match=r"exit code 9.*run the same command again"):
        list(each_in_a_fresh_process(os._exit, [9, 9], workers=2))


def test_pieces_of_a_line_are_one_speaker_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Well, turn on the light, please."
    monkeypatch.setattr("audiochat.speech_data.pauses.CLAUSE_PAUSE", 0.0)
    _, fluent = Synthesiser("espeak:en-us", "5").speak(text)
    monkeypatch.setattr("audiochat.speech_data.pauses.CLAUSE_PAUSE", 1.0)
    monkeypatch.setattr("audiochat.speech_data.pauses.CLAUSE_PAUSE_S", (1.0, 1.0))
    speaker, hesitant = Synthesiser("espeak:en-us", "5").speak(text)
    assert speaker == "espeak/en-us"
    assert hesitant.dtype == np.int16
    assert np.abs(hesitant).max() > 1000
    assert longest_quiet_s(hesitant) >= 1.0
    assert longest_quiet_s(fluent) < 1.0


def longest_quiet_s(samples: np.ndarray) -> float:
    """Between the first sound and the last."""
    loud = np.flatnonzero(samples)
    return float(np.diff(loud).max()) / 16_000


def test_held_out_voices_are_never_drawn() -> None:
    draw = random.Random(1)
    drawn = {draw_espeak_voice(draw) for _ in range(3000)}
    assert len(drawn) > 200
    assert not drawn & set(HELD_OUT_ESPEAK)


def test_a_held_out_voice_can_be_named_for_a_test_set() -> None:
    engine = f"espeak:{HELD_OUT_ESPEAK[0]}"
    speaker, _ = Synthesiser(engine, "1").speak("Hello.")
    assert speaker == f"espeak/{HELD_OUT_ESPEAK[0]}"
    assert held_out(engine)
    assert held_out("rms")
    assert not held_out("espeak")
    assert not held_out("kal16")


def test_two_hundred_hours_are_planned(tmp_path: Path) -> None:
    words = "what is the weather like in the old town by the sea today "
    lines = [SpokenLine("x", (words * 3)[: 20 + n % 90], "made") for n in range(900)]
    wanted = {"espeak": 120.0, "kal16": 50.0, "slt": 15.0, "awb": 15.0}
    hours = 0.0
    for engine, asked in wanted.items():
        parts = plan_parts(lines, engine, asked, folder=tmp_path, seed=1)
        said = sum(len(line.spoken) for one in parts for line in one.lines)
        planned = said / CHARACTERS_A_SECOND[engine] / 3600
        assert planned == pytest.approx(asked, rel=1e-4)
        assert len({one.folder for one in parts}) == len(parts)
        hours += planned
    assert hours >= 200


def test_an_unknown_engine_is_named(tmp_path: Path) -> None:
    for engine, why in (
        ("kal17", "Did you mean kal16"),
        ("espeak:en-xx", "no voice 'en-xx'"),
        ("coqui:nowhere", "no folder nowhere"),
    ):
        with pytest.raises(DataError, match=why):
            plan_parts(LINES, engine, 1.0, folder=tmp_path, seed=1)


def test_a_missing_engine_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flite, "VOICES", (*flite.VOICES, "nobody"))  # flite brings no such voice
    parts = plan_parts(LINES, "espeak", 0.001, folder=tmp_path, seed=1)
    parts += plan_parts(LINES, "nobody", 0.001, folder=tmp_path, seed=1)
    with pytest.raises(MissingPartError, match="apt-get install flite"):
        list(synthesize(parts, workers=1))
    assert not any(tmp_path.iterdir())


def test_evaluation_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "eval_questions.jsonl"
    path.write_text(json.dumps({"text": "who is it"}) + "\n")
    with pytest.raises(DataError, match="leave it out of training"):
        read_text_lines([path], cap=None, seed=1)


def test_lines_are_tidied_capped_and_shuffled_by_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"what is {n}"}) for n in range(50)))
    lines = read_text_lines([path], cap=10, seed=1)
    assert len(lines) == 10
    assert lines == read_text_lines([path], cap=10, seed=1)
    assert lines != read_text_lines([path], cap=10, seed=2)
    assert len(read_text_lines([path], cap=10, caps={"some": 5, "other": 1}, seed=1)) == 5
    assert all(line.text.startswith("What is ") and line.text.endswith("?") for line in lines)
    assert all(line.spoken[8:-1].replace("-", "").isalpha() for line in lines)


def command(tmp_path: Path, *more: str) -> list[str]:
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"what is {n}"}) for n in range(9)))
    return ["synthesize", "--text", str(path), "--out", str(tmp_path / "made"), *more]


def test_the_command_makes_the_hours_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path, "--hours", "espeak=0.003", "--cap", "8", "some=5")
    assert main(arguments) == 0
    assert "1 of 1 parts made (0 before), 0.01 hours; 0 lines" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "1 of 1 parts made (1 before)" in capsys.readouterr().out


def test_a_stopped_command_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **_settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthesis, "each_in_a_fresh_process", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(command(tmp_path, "--hours", "espeak=0.001"))
    assert "0 of 1 parts made" in (said := capsys.readouterr().out)
    assert "run the same command to go on" in said


@pytest.mark.parametrize("hours", ["espeak", "espeak=x", "espeak=-1", "espeak=inf", "espeak=nan"])
def test_hours_that_are_none_are_named(tmp_path: Path, hours: str) -> None:
    with pytest.raises(DataError, match="--hours takes numbers over 0"):
        main(command(tmp_path, "--hours", hours))
