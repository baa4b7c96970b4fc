"""Speech made from text lines by espeak-ng and flite, in parallel, reproducible from a seed.

Work is cut into parts of `LINES_A_PART` lines; a part's folder is whole or absent, so a run that
was killed goes on where it stopped.
"""

import gzip
import hashlib
import json
import random
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import numpy as np

from audiochat.audio import RECORDING_LIMITS, SAMPLE_RATE, Waveform, decode, resample, to_int16
from audiochat.errors import AudioError, DataError, MissingPartError, VoiceError
from audiochat.speech_data.manifest import ManifestLine
from audiochat.speech_data.packed import PackedWriter
from audiochat.speech_data.spoken_form import spoken_form, tidy
from audiochat.voices.base import VoiceStyle
from audiochat.voices.espeak import EspeakVoice

LINES_A_PART = 500
MAX_CHARACTERS = 220
"""Longer lines are left out: 220 characters are about 16 s of speech."""

ESPEAK_ACCENTS = (
    "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-scotland",
    "en-029", "en-us-nyc",
)  # fmt: skip
ESPEAK_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Alex",
    "Alicia", "Andrea", "Andy", "Annie", "anikaRobot", "AnxiousAndy", "aunty", "belinda",
    "benjamin", "boris", "caleb", "david", "Demonic", "Denis", "Diogo", "ed", "edward",
    "edward2", "Gene", "Gene2", "grandma", "grandpa", "gustave", "Henrique", "Hugo", "iven",
    "iven2", "iven3", "iven4", "Jacky", "john", "kaukovalta", "klatt", "klatt2", "klatt3",
    "klatt4", "klatt5", "klatt6", "Lee", "linda", "marcelo", "Marco", "Mario", "max", "Michael",
    "michel", "miguel", "Mike", "norbert", "pablo", "paul", "pedro", "quincy", "Reed", "rob",
    "robert", "sandro", "shelby", "steph", "steph2", "steph3", "travis", "Tweaky", "victor",
    "zac",
)  # fmt: skip
HELD_OUT_ESPEAK = (
    "en-us+f4", "en-us+m7", "en-us+Annie", "en-us+Mike", "en-gb+f2", "en-gb+m3", "en-gb+belinda",
    "en-gb-scotland+m5", "en-gb-x-rp+Alicia", "en-029+f3",
)  # fmt: skip
"""Never trained on, so that a synthetic test exists; nor are flite `rms` and festival `ked`."""
HELD_OUT_FLITE = ("rms",)
FLITE_VOICES = ("kal16", "slt", "awb", "kal")
# Words a minute and pitch of each flite voice are moved around its own means (Hz).
_FLITE_PITCH_HZ = {"kal16": 105.0, "kal": 95.0, "slt": 165.0, "awb": 115.0, "rms": 100.0}


@dataclass(frozen=True)
class SpokenLine:
    """A text line with both its forms."""

    text: str
    spoken: str
    source: str


def read_text_lines(paths: list[Path], *, cap: int | None, seed: int) -> list[SpokenLine]:
    """Read JSONL (or .gz) files of ``{"text": ...}``, shuffled, at most `cap` lines from each.

    Raises:
        DataError: a file cannot be read, or is an evaluation file, which must not be trained on.
    """
    lines: list[SpokenLine] = []
    for path in paths:
        source = path.name.split(".")[0]
        if source.startswith("eval_"):
            raise DataError(f"{path} is an evaluation file: leave it out of training.")
        found = list(_usable_lines(path, source))
        random.Random(f"{seed}/{source}").shuffle(found)
        lines += found[:cap]
    random.Random(seed).shuffle(lines)
    return lines


def _usable_lines(path: Path, source: str) -> Iterator[SpokenLine]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as handle:
            rows = handle.read().split("\n")
        texts = [json.loads(row)["text"] for row in rows if row.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a file of JSON lines with `text` ({error}).") from error
    for text in texts:
        written = tidy(text)
        spoken = spoken_form(written)
        if len(spoken) > 1 and len(spoken) <= MAX_CHARACTERS:
            yield SpokenLine(written, spoken, source)


class Synthesiser:
    """Speaks lines with voices drawn at random. One to a process: espeak-ng holds global state."""

    def __init__(self, engine: str, seed: str) -> None:
        """`engine`: ``espeak``, one of `FLITE_VOICES`, or a held-out voice by name."""
        self._engine = engine
        self._random = random.Random(seed)
        self._espeak = EspeakVoice() if engine.startswith("espeak") else None

    def speak(self, text: str) -> tuple[str, np.ndarray]:
        """The speaker's name and (N,) int16 samples at 16 kHz, with random quiet at both ends.

        Raises:
            VoiceError: the engine cannot say it.
        """
        speaker, waveform = self._say_espeak(text) if self._espeak else self._say_flite(text)
        samples = resample(waveform.samples, waveform.sample_rate, SAMPLE_RATE)
        peak = float(np.abs(samples).max()) if len(samples) else 0.0
        if peak < 1e-3:
            raise VoiceError(f"{speaker} said nothing for {text!r}.")
        level = 10 ** (self._random.uniform(-20, -1) / 20)
        before, after = (int(self._random.uniform(0.05, 0.45) * SAMPLE_RATE) for _ in range(2))
        padded = np.pad(samples * (level / peak), (before, after)).astype(np.float32)
        return speaker, to_int16(Waveform(padded))

    def _say_espeak(self, text: str) -> tuple[str, Waveform]:
        assert self._espeak is not None
        name = self._engine.removeprefix("espeak").removeprefix(":") or self._draw_espeak()
        style = VoiceStyle(
            voice=name,
            speed=self._random.triangular(0.7, 1.45, 0.95),
            pitch=self._random.triangular(0.6, 1.5, 1.0),
        )
        return f"espeak/{name}", self._espeak.speak(text, style)

    def _draw_espeak(self) -> str:
        while True:
            variant = self._random.choice(ESPEAK_VARIANTS)
            name = self._random.choice(ESPEAK_ACCENTS) + (f"+{variant}" if variant else "")
            if name not in HELD_OUT_ESPEAK:
                return name

    def _say_flite(self, text: str) -> tuple[str, Waveform]:
        program = which("flite")
        if program is None:
            raise MissingPartError("flite is not installed: `apt-get install flite` brings it.")
        mean_hz = _FLITE_PITCH_HZ[self._engine] * self._random.triangular(0.75, 1.4, 1.0)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "said.wav"
            command = [
                program, "-voice", self._engine, "-o", str(out), "-t", text,
                "--setf", f"duration_stretch={self._random.triangular(0.72, 1.35, 1.0):.3f}",
                "--setf", f"int_f0_target_mean={mean_hz:.1f}",
                "--setf", f"int_f0_target_stddev={self._random.uniform(8, 30):.1f}",
            ]  # fmt: skip
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=60)
                return f"flite/{self._engine}", decode(out, RECORDING_LIMITS)
            except (subprocess.SubprocessError, AudioError) as error:
                raise VoiceError(f"flite could not say {text!r} ({error}).") from error


@dataclass(frozen=True)
class Part:
    """A piece of the work: some lines, one engine, one folder."""

    engine: str
    lines: tuple[SpokenLine, ...]
    folder: Path
    seed: str


def plan_parts(
    lines: list[SpokenLine], engine: str, hours: float, *, folder: Path, seed: int
) -> list[Part]:
    """Cut lines that give about `hours` into parts, beginning again when they run out."""
    # 14 characters a second is the median of read speech in the human sets.
    wanted, characters = hours * 3600 * 14, 0
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
            folder / f"{engine.replace(':', '-')}-{at // LINES_A_PART:04d}",
            f"{seed}/{engine}/{at}",
        )
        for at in range(0, len(chosen), LINES_A_PART)
    ]


def synthesize_part(part: Part) -> int:
    """Speak one part into its folder; returns how many lines no voice could say."""
    if (part.folder / "index.jsonl").is_file():
        return 0
    synthesiser = Synthesiser(part.engine, part.seed)
    writer = PackedWriter(part.folder)
    failed = 0
    for line in part.lines:
        try:
            speaker, samples = synthesiser.speak(line.spoken)
        except VoiceError:
            failed += 1
            continue
        about = {"speaker": speaker, "human": False}
        words = ManifestLine(Path(), line.text, line.spoken, line.source, about)
        writer.add(samples, words)
    writer.close()
    return failed


def synthesize(parts: list[Part], *, workers: int) -> Iterator[tuple[Part, int]]:
    """Speak all parts in `workers` processes, yielding each part and its failures as it is done."""
    with ProcessPoolExecutor(workers) as pool:
        jobs = {pool.submit(synthesize_part, part): part for part in parts}
        for job in as_completed(jobs):
            yield jobs[job], job.result()
