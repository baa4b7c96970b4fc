"""What a line of a manifest asks, and what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiochat import prompts
from audiochat.audio import Waveform, write_wav
from audiochat.conversation import AudioPart
from audiochat.errors import DataError
from audiochat.evaluation import clips
from audiochat.evaluation.cases import Case, case_of, read_cases, with_noise
from tests.evaluation.test_clips import manifest_of

HISTORY = [
    {"role": "user", "text": "tone 1", "audio": "tones/001.wav"},
    {"role": "assistant", "text": "I see."},
    {"role": "user", "text": "Go on."},
    {"role": "assistant", "text": "Yes?"},
]


def one_case(folder: Path, **fields: Any) -> Case:
    """The first clip of two, with these fields."""
    if not (folder / "tones").is_dir():
        manifest_of(folder, 2)
    line = {"audio": "tones/000.wav", "text": "tone 0"} | fields
    (folder / "one.jsonl").write_text(json.dumps(line))
    (clip,) = clips.read_clips(folder / "one.jsonl", folder).clips
    return case_of(clip, folder)


def texts(case: Case, *, written: bool = True) -> list[list[str]]:
    """The parts of every message; a recording to hear is <audio>."""
    messages = case.conversation("", written=written).messages
    return [
        [part if isinstance(part, str) else part.corrected or "<audio>" for part in m.parts]
        for m in messages
    ]


def test_a_plain_line_is_the_recording_alone(tmp_path: Path) -> None:
    case = one_case(tmp_path, answer=["a", 12])
    assert texts(case) == [["tone 0"]]
    assert texts(case, written=False) == [["<audio>"]]
    assert (case.task, case.answers, case.has_history) == ("answer", ("a", "12"), False)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"task": "transcribe"}, ["<audio>", prompts.TRANSCRIBE]),
        ({"task": "summarise", "instruction_first": True}, [prompts.SUMMARISE, "<audio>"]),
        ({"task": "translate"}, ["<audio>", prompts.translate("French")]),
        ({"task": "translate", "language": "German"}, ["<audio>", prompts.translate("German")]),
        ({"task": "translate", "instruction": "In French!"}, ["<audio>", "In French!"]),
        ({"instruction": "In one word."}, ["<audio>", "In one word."]),
    ],
)
def test_a_task_types_its_instruction(
    tmp_path: Path, fields: dict[str, Any], parts: list[str]
) -> None:
    assert texts(one_case(tmp_path, **fields), written=False) == [parts]


def test_one_conversation_serves_reading_and_hearing(tmp_path: Path) -> None:
    case = one_case(tmp_path, history=HISTORY)
    assert texts(case) == [["tone 1"], ["I see."], ["Go on."], ["Yes?"], ["tone 0"]]
    heard = [["<audio>"], ["I see."], ["Go on."], ["Yes?"], ["<audio>"]]
    assert texts(case, written=False) == heard
    assert texts(case.without_history()) == [["tone 0"]]
    assert case.has_history
    assert not case.without_history().has_history


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"task": "sing"}, "`task`"),
        ({"instruction": 3}, "`instruction`"),
        ({"instruction_first": "yes"}, "`instruction_first`"),
        ({"language": ["French"], "task": "translate"}, "`language`"),
        ({"answer": {"a": 1}}, "`answer`"),
        ({"forbidden": [None]}, "`forbidden`"),
        ({"history": "before"}, "`history`"),
        ({"history": HISTORY[:1]}, "alternate"),
        ({"history": HISTORY[1:3]}, "alternate"),
        ({"history": [{"role": "system", "text": "a"}]}, "`role`"),
        ({"history": [{"role": "user", "text": " "}, HISTORY[1]]}, "no `text`"),
        ({"history": [HISTORY[0] | {"audio": "tones/404.wav"}, HISTORY[1]]}, "404.wav"),
        ({"history": [HISTORY[0] | {"audio": "../x.wav"}, HISTORY[1]]}, "audio root"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(DataError, match=named):
        one_case(tmp_path, **fields)


def test_a_bad_line_is_skipped_with_its_file_and_number(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 120)
    lines = manifest.read_text().splitlines()
    lines[6] = json.dumps(json.loads(lines[6]) | {"task": "sing"})
    manifest.write_text("\n".join(lines))
    found = read_cases(manifest, tmp_path)
    assert len(found.cases) == 119
    (problem,) = found.problems
    assert problem.startswith(f"{manifest}:7: `task`")
    with pytest.raises(DataError, match="sing"):
        read_cases(manifest, tmp_path, limit=7)


def test_noise_is_laid_over_every_recording_the_same_each_time(tmp_path: Path) -> None:
    case = one_case(tmp_path, history=HISTORY)
    (tmp_path / "noise").mkdir()
    hiss = np.random.default_rng(0).uniform(-0.1, 0.1, 4_000)
    write_wav(Waveform(hiss), tmp_path / "noise/hiss.wav")
    noises = clips.read_noises(tmp_path / "noise")
    (noisy,), (again,) = (with_noise([case], noises, 5.0) for _ in range(2))
    assert noisy == again
    assert texts(noisy) == texts(case)
    # The newest is what `evaluate asr` hears too.
    (alone,) = clips.lay_noise([case.clip.waveform], noises, 5.0)
    newest = noisy.messages[-1].parts[0]
    assert isinstance(newest, AudioPart)
    assert newest.waveform == alone == noisy.clip.waveform != case.clip.waveform
    (earlier,), (before,) = noisy.messages[0].audio_parts, case.messages[0].audio_parts
    assert earlier.waveform != before.waveform
