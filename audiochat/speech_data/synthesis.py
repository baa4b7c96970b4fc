"""Speech made from text lines, in parallel, reproducible from a seed.

Work is cut into parts of `LINES_A_PART` lines; a part's folder is whole or absent, so a run that
was killed goes on where it stopped. What the voices are is in `speakers`.
"""

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from audiochat.audio import SAMPLE_RATE, Waveform, resample, to_int16
from audiochat.errors import DataError, VoiceError
from audiochat.model.phones import pronounce
from audiochat.speech_data.fresh_processes import each_in_a_fresh_process
from audiochat.speech_data.manifest import MAX_BAD_SHARE, ManifestLine
from audiochat.speech_data.packed import PackedWriter
from audiochat.speech_data.pauses import cut_at_pauses, with_pauses
from audiochat.speech_data.speakers import (
    characters_a_second,
    check_engine,
    check_installed,
    load_engine,
)
from audiochat.speech_data.text_lines import SpokenLine

LINES_A_PART = 500
LEVEL_DB = (-20.0, -1.0)
"""Range of a clip's peak, in dB of full scale."""
_SILENT_PEAK = 1e-3
_MADE = "made.json"  # beside a part's index: its digest and what came of it


class Synthesiser:
    """Speaks lines with voices drawn at random. One to a process: the engines hold global state."""

    def __init__(self, engine: str, seed: str) -> None:
        """Load the engine, as `speakers.load_engine` names them."""
        self._random = random.Random(seed)
        self._engine = load_engine(engine)

    def speak(self, text: str) -> tuple[str, np.ndarray]:
        """The speaker's name and (N,) int16 samples at 16 kHz, with pauses and quiet ends.

        Raises:
            VoiceError: the engine cannot say it.
        """
        draw = self._random
        speaker = self._engine.speaker(draw)
        pieces, pauses_s = cut_at_pauses(text, draw)
        said = [speaker.say(piece) for piece in pieces]
        at_16_khz = [resample(each.samples, each.sample_rate, SAMPLE_RATE) for each in said]
        samples = with_pauses(at_16_khz, pauses_s, draw)
        peak = float(np.abs(samples).max(initial=0.0))
        if peak < _SILENT_PEAK:
            raise VoiceError(f"{speaker.name} said nothing for {text!r}.")
        level = 10 ** (draw.uniform(*LEVEL_DB) / 20)
        return speaker.name, to_int16(Waveform(samples * np.float32(level / peak)))


@dataclass(frozen=True)
class Part:
    """A piece of the work: some lines, one engine, one folder."""

    engine: str
    lines: tuple[SpokenLine, ...]
    folder: Path
    seed: str

    @cached_property
    def digest(self) -> str:
        """Names the sound that comes of it, so that another run's part is not taken for it."""
        lines = [(line.text, line.spoken, line.source) for line in self.lines]
        return hashlib.sha256(json.dumps([self.engine, self.seed, lines]).encode()).hexdigest()


@dataclass(frozen=True)
class PartReport:
    """What came of a part."""

    failed: int
    """Lines that the voice could not say."""
    first_failure: str
    audio_s: float
    cpu_s: float
    """Time of the processor it took when it was made."""
    made_before: bool = False


def plan_parts(
    lines: list[SpokenLine], engine: str, hours: float, *, folder: Path, seed: int
) -> list[Part]:
    """Cut lines that give about `hours` into parts, beginning again when they run out.

    Raises:
        DataError: there is no such engine.
    """
    check_engine(engine)
    wanted, characters = hours * 3600 * characters_a_second(engine), 0
    chosen: list[SpokenLine] = []
    start = int(hashlib.sha256(f"{engine}/{seed}".encode()).hexdigest(), 16) % max(1, len(lines))
    while lines and characters < wanted:
        line = lines[(start + len(chosen)) % len(lines)]
        chosen.append(line)
        characters += len(line.spoken)
    return [
        Part(
            engine,
            tuple(chosen[at : at + LINES_A_PART]),
            folder / f"{_folder_name(engine)}-{at // LINES_A_PART:04d}",
            f"{seed}/{engine}/{at}",
        )
        for at in range(0, len(chosen), LINES_A_PART)
    ]


def _folder_name(engine: str) -> str:
    """The engine as a part of a file name; that of a model's path ends in a mark of its own."""
    name, _, detail = engine.partition(":")
    if "/" not in detail:
        return engine.replace(":", "-")
    mark = hashlib.sha256(detail.encode()).hexdigest()[:6]
    return f"{name}-{Path(detail).name}-{mark}"


def speak_part(part: Part) -> PartReport:
    """Speak one part into its folder, in this process: `synthesize` starts one for each.

    Raises:
        DataError: the folder cannot be written.
        VoiceError: the engine cannot be loaded.
        MissingPartError: a program it needs is not installed.
    """
    try:
        return _speak_part(part)
    except OSError as error:
        raise DataError(
            f"{part.folder} cannot be written ({error.strerror or error}). The parts before it are "
            "kept: make room and run the same command again."
        ) from error


def _speak_part(part: Part) -> PartReport:
    synthesiser = Synthesiser(part.engine, part.seed)
    writer = PackedWriter(part.folder)
    failures: list[str] = []
    n_samples = 0
    for line in part.lines:
        try:
            speaker, samples = synthesiser.speak(line.spoken)
        except VoiceError as error:
            failures.append(str(error))
            continue
        about = {"speaker": speaker, "human": False, "phones": pronounce(line.spoken)}
        writer.add(samples, ManifestLine(Path(), line.text, line.spoken, line.source, about))
        n_samples += len(samples)
    report = PartReport(
        len(failures), (failures or [""])[0], n_samples / SAMPLE_RATE, time.process_time()
    )
    made = {"digest": part.digest, **asdict(report)}
    (part.folder / _MADE).write_text(json.dumps(made), encoding="utf-8")
    writer.close()
    return report


def report_of(part: Part) -> PartReport | None:
    """What came of a part that was made before; None if it was not, or from other lines."""
    if not (part.folder / "index.jsonl").is_file():
        return None
    try:
        made = json.loads((part.folder / _MADE).read_text(encoding="utf-8"))
        if made.pop("digest") != part.digest:
            return None
        return PartReport(**{**made, "made_before": True})
    except (OSError, ValueError, KeyError, TypeError):
        return None  # made by another version: it is made anew


def synthesize(parts: Sequence[Part], *, workers: int) -> Iterator[tuple[Part, PartReport]]:
    """Speak all parts, `workers` at a time, yielding each with its report as it is done.

    Each part has a process of its own, as the sound of espeak-ng depends on what it said before.
    (Scripts that call this need the usual ``if __name__ == "__main__":``.)

    Raises:
        DataError: more than 1 % of all lines failed, a folder cannot be written, or a process was
            killed. The parts yielded before are kept.
        VoiceError: an engine cannot be loaded.
        MissingPartError: a program it needs is not installed.
    """
    before = {part.folder: report for part in parts if (report := report_of(part))}
    to_make = [part for part in parts if part.folder not in before]
    n_lines, failed = sum(len(part.lines) for part in parts), 0
    for engine in {part.engine for part in to_make}:
        check_installed(engine)
    for part in parts:
        if report := before.get(part.folder):
            failed += report.failed
            yield part, report
    for part, report in each_in_a_fresh_process(speak_part, to_make, workers=workers):
        failed += report.failed
        if failed > MAX_BAD_SHARE * n_lines:
            (part.folder / "index.jsonl").unlink(
                missing_ok=True
            )  # it is made again when the voice is mended
            raise DataError(
                f"{failed} of {n_lines} lines could not be said, the last part by {part.engine}: "
                f"{report.first_failure} Leave the engine out, or mend it and run it again."
            )
        yield part, report


def synthesize_part(part: Part) -> PartReport:
    """Speak one part, in a process of its own; one that was made before is left as it is."""
    ((_, report),) = synthesize([part], workers=1)
    return report
