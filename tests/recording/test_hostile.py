"""Files made to do harm: each is one sentence, quickly, and nothing outside is read or written."""

import io
import json
import os
import random
import shutil
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiochat.audio import encode_wav
from audiochat.errors import AudioChatError
from audiochat.recording import reading
from audiochat.recording.archive import MAX_DIRECTORY_BYTES
from audiochat.recording.folder import write
from audiochat.recording.reading import read
from tests.fakes import tone
from tests.recording.samples import sample

Document = dict[str, Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("demo")
    write(sample(), made)
    return made


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "demo"))


def refused(path: Path) -> str:
    """The sentence that a file is refused with."""
    start = time.perf_counter()
    with pytest.raises(AudioChatError) as raised:
        read(path)
    assert time.perf_counter() - start < 30
    said = str(raised.value)
    assert 20 < len(said) < 400
    assert said.isprintable()
    return said


def put(*path: str | int, value: Any) -> Callable[[Document], None]:
    """Replace the value at a path."""

    def change(document: Document) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def without(*path: str | int) -> Callable[[Document], None]:
    """Leave the value at a path out."""

    def change(document: Document) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


PART = ("messages", 0, "parts", 0)
SPEECH = ("messages", 1, "speech")


CHANGED = {
    "no schema": (without("schema"), "no recorded conversation"),
    "newer schema": (put("schema", value=2), "another version"),
    "schema as text": (put("schema", value="1"), "'schema' is not a number"),
    "schema true": (put("schema", value=True), "'schema' is not a number"),
    "no messages": (without("messages"), "'messages' is missing"),
    "messages no list": (put("messages", value={"a": 1}), "'messages' is not a list"),
    "empty": (put("messages", value=[]), "Nothing was said"),
    "message no object": (put("messages", 0, value=7), "messages 1 is not a JSON object"),
    "unknown role": (put("messages", 0, "role", value="system"), "neither user nor assistant"),
    "endless role": (put("messages", 0, "role", value="x" * 90_000), "neither user nor"),
    "sound that rings": (put(*PART, "audio", value="audio/\x1b]0;\x07.wav"), "not beside it"),
    "wrong order": (put("messages", 0, "role", value="assistant"), "user's turn"),
    "role no text": (put("messages", 0, "role", value=["user"]), "'role' is not text"),
    "no parts": (put("messages", 0, "parts", value=[]), "The message is empty"),
    "part of nothing": (put(*PART, value={}), "'text' is missing"),
    "text is a number": (put("messages", 2, "parts", 0, value={"text": 3}), "'text' is not text"),
    "stopped is text": (put("messages", 1, "stopped", value="yes"), "not true or false"),
    "no date": (put("created", value="yesterday"), "'created' is not a date"),
    "date a number": (put("created", value=7), "'created' is not text"),
    "no model": (without("model"), "'model' is missing"),
    "confidence is text": (put(*PART, "confidence", value="0.5"), "'confidence' is not a number"),
    "negative confidence": (put(*PART, "confidence", value=-1), "'confidence' is not a number"),
    "infinite time": (put(*PART, "words", 0, "end_s", value=1e999), "is no JSON|large"),
    "not a number": (put(*PART, "words", 0, "end_s", value=float("nan")), "is no JSON"),
    "huge number": (put(*PART, "words", 0, "start_s", value=10**400), "a number is too large"),
    "words no list": (put(*PART, "words", value="abc"), "'words' is not a list"),
    "too many words": (put(*PART, "words", value=[{}] * 20_001), "more than 20000 entries"),
    "half a character": (put("system_prompt", value="\ud800"), "half a character"),
    "half a character in a key": (put("machine", value={"\udfff": 1}), "half a character"),
    "long text": (put("system_prompt", value="x" * 100_001), "more than 100000 characters"),
    "deep": (put("machine", value=json.loads("[" * 50 + "]" * 50)), "nested too deeply"),
    "absolute sound": (put(*PART, "audio", value="/etc/passwd"), "not beside it"),
    "sound above": (put(*PART, "audio", value="audio/../../secret.wav"), "not beside it"),
    "sound on a drive": (put(*PART, "audio", value="C:secret.wav"), "not beside it"),
    "sound by backslash": (put(*PART, "audio", value="..\\secret.wav"), "not beside it"),
    "sound by address": (put(*PART, "audio", value="http://x.y/a.wav"), "not beside it"),
    "sound of no name": (put(*PART, "audio", value=""), "not beside it"),
    "sound with a NUL": (put(*PART, "audio", value="audio/001\0.wav"), "not beside it"),
    "sound twice": (put(*PART, "audio", value="audio/003-user.wav"), "twice"),
    "sound absent": (put(*PART, "audio", value="audio/999.wav"), "999.wav"),
    "sound is the document": (put(*PART, "audio", value="conversation.json"), "text, not sound"),
    "sound is a folder": (put(*PART, "audio", value="audio"), "is not a file|no audio in it"),
    "sound of endless name": (put(*PART, "audio", value="x" * 5_000), "not beside it"),
    "sound of long name": (put(*PART, "audio", value="x" * 200), "cannot be read|no x"),
    "speech no object": (put(*SPEECH, value=[]), "not a JSON object"),
    "pieces overlap": (put(*SPEECH, "pieces", 1, "start_s", value=0), "do not follow"),
    "pieces backwards": (put(*SPEECH, "pieces", 1, "end_s", value=0), "do not follow"),
    "pieces too long": (put(*SPEECH, "pieces", 1, "end_s", value=99), "not as long"),
    "pieces too short": (put(*SPEECH, "pieces", value=[]), "not as long"),
    "timings no object": (put("messages", 1, "timings", value=1), "not a JSON object"),
    "timing is text": (put("messages", 1, "timings", "heard_ms", value="x"), "not a number"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["json", "zip"])
@pytest.mark.parametrize(("change", "said"), CHANGED.values(), ids=CHANGED.keys())
def test_a_document_that_lies(
    folder: Path, change: Callable[[Document], None], said: str, packed: bool
) -> None:
    (folder.parent / "secret.wav").write_bytes(encode_wav(tone(1.0)))
    path = folder / "conversation.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    content = json.dumps(document).encode()
    path.write_bytes(content)
    if packed:
        path = repacked(folder, {"conversation.json": content})
    message = refused(path)
    assert any(part in message for part in said.split("|")), message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b'{"schema": NaN}',
        b'{"schema": 1' + b"0" * 5_000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"schema": 1, "messages": "' + b" " * 9_000_000 + b'"}',
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_document_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "conversation.json"
    path.write_bytes(content)
    refused(path)


def test_links_lead_nowhere_else(folder: Path) -> None:
    outside = folder.parent / "secret.wav"
    outside.write_bytes(encode_wav(tone(1.0)))
    sound = folder / "audio" / "001-user.wav"
    sound.unlink()
    sound.symlink_to(outside)
    assert "outside the folder" in refused(folder / "conversation.json")
    sound.unlink()
    sound.symlink_to(sound)
    said = refused(folder / "conversation.json")
    assert "leads nowhere" in said or "cannot be read" in said
    sound.unlink()
    os.mkfifo(sound)
    assert "is not a file" in refused(folder / "conversation.json")


def test_a_link_to_the_document_is_that_document(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(folder / "conversation.json")
    assert read(tmp_path / "link.json") == sample()


def test_what_is_no_file_is_a_sentence(tmp_path: Path) -> None:
    assert "is not a file" in refused(tmp_path)
    assert "cannot be read" in refused(tmp_path / "absent.zip")
    os.mkfifo(tmp_path / "pipe")
    assert "is not a file" in refused(tmp_path / "pipe")


def repacked(folder: Path, changed: dict[str, bytes] | None = None) -> Path:
    """The folder's zip with other contents in some entries; new entries come last."""
    path = folder / "changed.zip"
    with (
        zipfile.ZipFile(folder / "conversation.zip") as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        contents = {name: old.read(name) for name in old.namelist()} | (changed or {})
        for name, content in contents.items():
            new.writestr(name, content)
    return path


def adding(name: str, *, content: bytes = b"", **fields: Any) -> Callable[[Path], Path]:
    """A zip with one more entry."""

    def make(folder: Path) -> Path:
        path = repacked(folder)
        info = zipfile.ZipInfo("placeholder", (2026, 1, 1, 0, 0, 0))
        info.filename = name
        for field, value in fields.items():
            setattr(info, field, value)
        warned = (
            pytest.warns(UserWarning, match="Duplicate name")
            if name == "index.html"
            else nullcontext()
        )
        with warned, zipfile.ZipFile(path, "a") as packed:
            packed.writestr(info, content)
        return path

    return make


def flagged_as_encrypted(folder: Path) -> Path:
    path = repacked(folder)
    data = bytearray(path.read_bytes())
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 8] |= 1
    path.write_bytes(data)
    return path


def with_many_entries(folder: Path) -> Path:
    path = folder / "many.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(5_001):
            packed.writestr(f"{number}", b"")
    return path


def with_a_long_directory(folder: Path) -> Path:
    path = repacked(folder)
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, len(data) - 22 + 12, MAX_DIRECTORY_BYTES + 1)
    path.write_bytes(data)
    return path


def for_huge_archives(folder: Path) -> Path:
    path = repacked(folder)
    data = path.read_bytes()
    path.write_bytes(data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:])
    return path


def with_a_lying_size(folder: Path) -> Path:
    """The document is told to have fewer bytes than it unpacks to."""
    path = repacked(folder)
    data = bytearray(path.read_bytes())
    at = data.find(b"conversation.json", data.find(b"PK\x01\x02")) - 46
    struct.pack_into("<L", data, at + 24, 40)
    path.write_bytes(data)
    return path


def without_the_document(folder: Path) -> Path:
    path = folder / "none.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("readme.txt", "hello")
    return path


def with_a_sound_that_grows(folder: Path) -> Path:
    """Ten minutes of silence and more: small as FLAC, and refused as too long while it unpacks."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(16_000 * 700, np.int16), 16_000, format="FLAC")
    return repacked(folder, {"audio/001-assistant.wav": buffer.getvalue()})


ZIPS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "traversal": (adding("../evil.txt"), "leads out of its folder"),
    "endless name": (adding("x" * 300), "cannot be shown"),
    "name that rings": (adding("\x1b]0;\x07"), "cannot be shown"),
    "deep traversal": (adding("audio/../../evil.txt"), "leads out of its folder"),
    "absolute": (adding("/tmp/evil.txt"), "leads out of its folder"),
    "drive": (adding("C:evil.txt"), "leads out of its folder"),
    "backslash": (adding("..\\evil.txt"), "leads out of its folder"),
    "link": (
        adding("evil", content=b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16),
        "a link or a device",
    ),
    "device": (adding("evil", external_attr=(stat.S_IFBLK | 0o777) << 16), "a link or a device"),
    "twice": (adding("index.html"), "a name stands twice"),
    "twice but for case": (adding("INDEX.html"), "a name stands twice"),
    "bzip2": (adding("evil", compress_type=zipfile.ZIP_BZIP2), "packed in an unusual way"),
    "lzma": (adding("evil", compress_type=zipfile.ZIP_LZMA), "packed in an unusual way"),
    "bomb": (
        adding("evil", content=bytes(30_000_000), compress_type=zipfile.ZIP_DEFLATED),
        "far more than it holds",
    ),
    "encrypted": (flagged_as_encrypted, "is encrypted"),
    "many entries": (with_many_entries, "more than 5000 entries"),
    "long directory": (with_a_long_directory, "more than 5000 entries"),
    "zip64": (for_huge_archives, "huge archives"),
    "lying size": (with_a_lying_size, "is damaged"),
    "no document": (without_the_document, "no conversation.json"),
    "sound that grows": (with_a_sound_that_grows, "001-assistant.wav: The sound is longer"),
}


@pytest.mark.parametrize(("make", "said"), ZIPS.values(), ids=ZIPS.keys())
def test_a_zip_that_is_a_trap(folder: Path, make: Callable[[Path], Path], said: str) -> None:
    path = make(folder)
    before = everything(folder.parent)
    assert said in refused(path)
    assert everything(folder.parent) == before


def everything(root: Path) -> set[Path]:
    return set(root.rglob("*"))


@pytest.mark.parametrize("length", [2, 4, 21, 22, 100, 5_000])
def test_a_zip_that_breaks_off(folder: Path, length: int) -> None:
    path = folder / "broken.zip"
    path.write_bytes((folder / "conversation.zip").read_bytes()[:length])
    refused(path)


@pytest.mark.parametrize("name", ["conversation.zip", "conversation.json"])
@pytest.mark.parametrize("seed", range(40))
def test_damage_is_a_sentence_or_harmless(folder: Path, name: str, seed: int) -> None:
    """Bytes are changed at random; all that may happen is a recording or an AudioChatError."""
    path = folder / name
    draw = random.Random(seed)
    data = bytearray(path.read_bytes())
    # The list of entries, at the end, is where most of a zip's meaning is.
    first = len(data) - 1_500 if seed % 2 and name.endswith("zip") else 0
    for _ in range(draw.choice([1, 3, 30])):
        data[draw.randrange(max(0, first), len(data))] = draw.randrange(256)
    path.write_bytes(data)
    with suppress(AudioChatError):
        assert read(path).conversation.messages


def test_all_sounds_together_have_a_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_SOUND_S", 3.0)
    assert "hours together" in refused(folder / "conversation.zip")


@pytest.mark.parametrize(
    "sound",
    [encode_wav(tone(0.1)), encode_wav(tone(1.0, 0.0)), b"RIFF\0\0\0\0WAVE", b"not sound", b""],
    ids=["too short", "silent", "damaged", "text", "nothing"],
)
def test_a_sound_that_no_person_said(folder: Path, sound: bytes) -> None:
    (folder / "audio" / "001-user.wav").write_bytes(sound)
    assert refused(folder / "conversation.json").startswith("audio/001-user.wav: ")
