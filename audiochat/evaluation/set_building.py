"""The recordings and the manifest of a planned test set.

A set is whole or absent: its manifest appears when everything else is there, and what was spoken
before a kill is kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiochat.audio import RECORDING_LIMITS, SAMPLE_RATE, decode, to_int16
from audiochat.errors import AudioError, DataError
from audiochat.evaluation.set_plans import Plan, Row
from audiochat.speech_data.packed import PackedSpeech
from audiochat.speech_data.synthesis import Part, synthesize
from audiochat.voices.espeak import ACCENTS

_MADE = "sets.json"  # what each finished set was made of, and its report
_PARTS = ".parts"  # speech of sets that are not finished

Progress = Callable[[str, int, int], None]
"""Told the set's name, how many pieces of its work are done, and how many there are."""


@dataclass(frozen=True)
class Report:
    """What a finished set holds."""

    name: str
    clips: int
    """Lines of the manifest."""
    recordings: int
    """Sound files; more than lines where a history has some."""
    minutes: float
    speakers: int
    left_out: dict[str, int]
    """Why lines were left out, and how many for each reason."""
    made_before: bool = False


def build_set(plan: Plan, out: Path, *, seed: int, workers: int, progress: Progress) -> Report:
    """Make the recordings of a set and then its manifest; one that was made before is left.

    Raises:
        DataError: `out` holds this set made otherwise, it cannot be written, or too many lines
            cannot be said.
        VoiceError: a voice cannot be loaded.
    """
    digest = _digest(plan, seed)
    before = _made_before(plan, out, digest)
    if before:
        return before
    try:
        speakers = _copy(plan, out, progress) if plan.copied else {}
        speakers |= _speak(plan, out, seed=seed, workers=workers, progress=progress)
        return _finish(plan, out, digest, speakers)
    except OSError as error:
        raise DataError(
            f"{out} cannot be written ({error.strerror or error}). What was made is kept: make "
            "room and run the same command again."
        ) from error


def _digest(plan: Plan, seed: int) -> str:
    """Names what comes of a plan, so that another build is not taken for it."""
    spoken = [(voice, asdict(line)) for voice, line in plan.spoken]
    content = json.dumps([seed if plan.spoken else 0, plan.rows, spoken], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _made_before(plan: Plan, out: Path, digest: str) -> Report | None:
    if not _manifest(out, plan.name).is_file():
        return None
    made = _read_made(out).get(plan.name, {})
    if made.get("digest") != digest:
        raise DataError(
            f"{_manifest(out, plan.name)} was built from other data, or with another --seed or "
            "size. Give another --out, or remove that file to build it anew."
        )
    # Of the manifest, not of the plan: what was left out has no recording and never will.
    lines = _manifest(out, plan.name).read_text(encoding="utf-8").split("\n")
    try:
        names = [name for line in lines if line for name in _recordings(json.loads(line))]
    except json.JSONDecodeError:
        return None  # damaged, so it is made anew
    if any(not (out / name).is_file() for name in names):
        return None
    return Report(**made["report"], made_before=True)


def _manifest(out: Path, name: str) -> Path:
    return out / f"{name}.jsonl"


def _read_made(out: Path) -> dict[str, Any]:
    try:
        found = json.loads((out / _MADE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}  # nothing is known of what is there, so it is refused
    return found if isinstance(found, dict) else {}


def _copy(plan: Plan, out: Path, progress: Progress) -> dict[str, str]:
    """Save recordings that exist as FLAC; those that cannot be decoded are left out."""
    copied = {}
    for number, (name, source) in enumerate(plan.copied.items()):
        progress(plan.name, number, len(plan.copied))
        try:
            samples = to_int16(decode(source, RECORDING_LIMITS))
        except AudioError:
            plan.left_out["cannot be decoded"] += 1
            continue
        _save(samples, out / name)
        copied[name] = ""
    return copied


def _speak(plan: Plan, out: Path, *, seed: int, workers: int, progress: Progress) -> dict[str, str]:
    """Speak a set's lines into FLAC files; returns each recording's speaker."""
    parts = []
    for voice in sorted(set(plan.voices)):
        lines = tuple(line for speaker, line in plan.spoken if speaker == voice)
        folder = out / _PARTS / plan.name / voice.replace(":", "-")
        parts += [Part(voice, lines, folder, f"{seed}/{plan.name}/{voice}")] if lines else []
    speakers = {}
    for number, (part, _) in enumerate(synthesize(parts, workers=workers), start=1):
        speech = PackedSpeech(part.folder)
        for index, clip in enumerate(speech):
            _save(speech.samples(index), out / clip.set_name)
            speakers[clip.set_name] = clip.speaker
        progress(plan.name, number, len(parts))
    return speakers


def _save(samples: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    soundfile.write(partial, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    partial.replace(path)


def _finish(plan: Plan, out: Path, digest: str, speakers: dict[str, str]) -> Report:
    """Write the manifest of the cases whose recordings are all there, and the set's report."""
    rows, seconds = [], {name: soundfile.info(out / name).duration for name in speakers}
    for row in plan.rows:
        if reason := _missing(plan, row, seconds):
            plan.left_out[reason] += 1
            continue
        made = {"seconds": round(seconds[row["audio"]], 3)}
        if speaker := speakers[row["audio"]]:
            made |= {"speaker": speaker, "accent": _accent(speaker), "human": False}
        rows.append(row | made)
    used = {name for row in rows for name in _recordings(row)}
    for name in seconds.keys() - used:
        (out / name).unlink()
    report = Report(
        plan.name,
        len(rows),
        len(used),
        sum(seconds[name] for name in used) / 60,
        len({row.get("speaker", "") for row in rows} - {""}),
        dict(plan.left_out),
    )
    made = _read_made(out) | {plan.name: {"digest": digest, "report": asdict(report)}}
    made[plan.name]["report"].pop("made_before")
    _write(out / _MADE, json.dumps(made, indent=1, ensure_ascii=False))
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    _write(_manifest(out, plan.name), "\n".join(lines))
    shutil.rmtree(out / _PARTS / plan.name, ignore_errors=True)
    return report


def _missing(plan: Plan, row: Row, seconds: dict[str, float]) -> str:
    """Why a case has to be left out; empty if it need not."""
    if any(name not in seconds for name in _recordings(row)):
        return "no recording"
    shortest, longest = plan.duration_s or (0.0, float("inf"))
    return "" if shortest <= seconds[row["audio"]] <= longest else "outlasts the set's bounds"


def _recordings(row: Row) -> list[str]:
    return [row["audio"], *(turn["audio"] for turn in row.get("history", ()) if "audio" in turn)]


def _accent(speaker: str) -> str:
    engine, _, voice = speaker.partition("/")
    return ACCENTS[voice.partition("+")[0] if engine == "espeak" else "en-us"]


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
