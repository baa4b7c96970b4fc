"""Packed speech: many clips as 16-bit samples at 16 kHz in a few memory-mapped files.

A folder holds ``audio-000.i16`` ... and ``index.jsonl`` (words, speaker, place of each clip).
Reading a clip is a slice, so training on it costs no decoding and no memory of its own.
"""

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, overload

import numpy as np

from audiochat.audio import RECORDING_LIMITS, SAMPLE_RATE, decode, to_int16
from audiochat.errors import AudioError, DataError
from audiochat.speech_data.manifest import MAX_BAD_SHARE, Manifest, ManifestLine

if TYPE_CHECKING:
    from torch import Tensor

FULL_SCALE = 2**15
"""A packed sample over this is one in [-1, 1]."""

SHARD_SAMPLES = 2**28
"""Samples to a shard: 512 MiB."""


@dataclass(frozen=True)
class Clip:
    """One clip's words and its place in the shards."""

    text: str
    spoken: str
    set_name: str
    speaker: str
    human: bool
    shard: int
    start: int
    samples: int
    phones: str = ""
    """As `phones.pronounce` gives them; empty where nobody did."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples / SAMPLE_RATE


class PackedWriter:
    """Writes a folder anew. Its index appears, whole, on `close`: without it none is done."""

    def __init__(self, folder: Path) -> None:
        """Start `folder`, dropping what a kill left there."""
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in (*folder.glob("audio-*.i16"), *folder.glob("index.jsonl*")):
            left_over.unlink()
        self.folder = folder
        self._clips: list[Clip] = []
        self._shard = self._filled = 0
        self._audio = self._open_shard()

    def _open_shard(self) -> BinaryIO:
        return (self.folder / f"audio-{self._shard:03d}.i16").open("wb")

    def add(self, samples: np.ndarray, words: ManifestLine) -> None:
        """Append one clip; `samples` is (N,) int16 at 16 kHz."""
        assert samples.dtype == np.int16
        assert samples.ndim == 1
        if self._filled + len(samples) > SHARD_SAMPLES and self._filled:
            self._audio.close()
            self._shard, self._filled = self._shard + 1, 0
            self._audio = self._open_shard()
        self._audio.write(samples.tobytes())
        self._clips.append(
            Clip(
                text=words.text,
                spoken=words.spoken,
                set_name=words.set_name,
                speaker=words.speaker,
                human=bool(words.extra.get("human", True)),
                shard=self._shard,
                start=self._filled,
                samples=len(samples),
                phones=str(words.extra.get("phones", "")),
            )
        )
        self._filled += len(samples)

    def close(self) -> None:
        """Finish the audio, then let the index appear; without a clip there is none."""
        self._audio.close()
        if not self._clips:
            return
        unfinished = self.folder / "index.jsonl.part"
        rows = (json.dumps(asdict(clip)) for clip in self._clips)
        unfinished.write_text("\n".join(rows) + "\n", encoding="utf-8")
        unfinished.replace(self.folder / "index.jsonl")


class PackedSpeech(Sequence[Clip]):
    """The clips of a packed folder; `samples(i)` is a view of the memory-mapped audio."""

    def __init__(self, folder: Path) -> None:
        """Map `folder`, which must be a finished one."""
        self.folder = folder
        self.clips = list(_read_index(folder / "index.jsonl"))
        shards = {clip.shard for clip in self.clips}
        self._audio = {
            shard: np.memmap(folder / f"audio-{shard:03d}.i16", dtype=np.int16, mode="r")
            for shard in shards
        }

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    @overload
    def __getitem__(self, index: int) -> Clip: ...

    @overload
    def __getitem__(self, index: slice) -> list[Clip]: ...

    def __getitem__(self, index: int | slice) -> Clip | list[Clip]:
        """The clip at `index`, or a list of clips."""
        return self.clips[index]

    def samples(self, index: int) -> np.ndarray:
        """(N,) int16 at 16 kHz."""
        clip = self.clips[index]
        return self._audio[clip.shard][clip.start : clip.start + clip.samples]

    def tensors(self, device: str = "cpu") -> dict[int, "Tensor"]:
        """Each shard's samples as one int16 tensor: mapped from the file, or copied to a GPU."""
        import torch

        with warnings.catch_warnings():
            # The map is read-only, and nobody writes to these tensors.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            mapped = {shard: torch.from_numpy(audio) for shard, audio in self._audio.items()}
        return {shard: samples.to(device) for shard, samples in mapped.items()}

    @property
    def hours(self) -> float:
        """Hours of audio held."""
        return sum(clip.samples for clip in self.clips) / SAMPLE_RATE / 3600


def _read_index(path: Path) -> Iterator[Clip]:
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line:
            continue
        try:
            yield Clip(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{path}:{number} is no clip of packed speech ({error}). Pack it again."
            ) from error


def packed_folders(root: Path) -> list[PackedSpeech]:
    """`root` itself when it is packed speech, else every finished packed folder below it.

    Raises:
        DataError: there is none.
    """
    found = sorted(index.parent for index in root.rglob("index.jsonl"))
    if not found:
        raise DataError(
            f"{root} holds no packed speech (no index.jsonl). Make it with "
            "`python -m audiochat train pack` or `train synthesize`."
        )
    return [PackedSpeech(folder) for folder in found]


def _decode_one(path: Path) -> np.ndarray | str:
    try:
        return to_int16(decode(path, RECORDING_LIMITS))
    except AudioError as error:
        return str(error)


def pack_manifest(manifest: Manifest, folder: Path, *, name: str, workers: int = 2) -> Manifest:
    """Decode a manifest's clips into `folder`; returns it with the unusable ones named instead.

    They are packed beside it and put in the place of what it had at the end.

    Raises:
        DataError: more than 1 % of the clips cannot be used; the folder is as it was.
    """
    folder = folder.resolve()
    beside = folder.with_name(folder.name + ".part")
    try:
        checked = _pack(manifest, PackedWriter(beside), name=name, workers=workers)
        _move_pack(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return checked


def _move_pack(new: Path, folder: Path) -> None:
    """Put a pack in the place of another; the index goes first and comes last."""
    folder.mkdir(exist_ok=True)
    for old in (*folder.glob("index.jsonl*"), *folder.glob("audio-*.i16")):
        old.unlink()
    for path in (*sorted(new.glob("audio-*.i16")), new / "index.jsonl"):
        path.replace(folder / path.name)


def _pack(manifest: Manifest, writer: PackedWriter, *, name: str, workers: int) -> Manifest:
    bad: dict[int, str] = {}
    allowed = MAX_BAD_SHARE * (len(manifest.lines) + len(manifest.problems))
    with ProcessPoolExecutor(workers) as pool:
        decoded = pool.map(_decode_one, [line.audio for line in manifest.lines], chunksize=32)
        for index, (line, samples) in enumerate(zip(manifest.lines, decoded, strict=True)):
            if isinstance(samples, str):
                bad[index] = f"{name}:{line.number}: {line.audio}: {samples}"
            elif not any(char.isalpha() for char in line.spoken):
                bad[index] = f"{name}:{line.number}: nothing in {line.text!r} can be said"
            else:
                writer.add(samples, line)
            if len(bad) + len(manifest.problems) > allowed:
                pool.shutdown(cancel_futures=True)  # it is refused below, whatever follows
                break
    checked = manifest.without(bad, name)
    writer.close()
    return checked
