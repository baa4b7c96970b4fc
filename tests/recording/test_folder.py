"""Written and read back: the same conversation, and the same files again."""

import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from audiochat.audio import Waveform
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import ConversationError, DataError
from audiochat.recording import Recording, Reply
from audiochat.recording.document import FORMAT, document
from audiochat.recording.folder import contents, make_folder, write
from audiochat.recording.reading import read
from audiochat.turn import Speech
from tests.fakes import tone
from tests.recording.samples import sample, spoken

FILES = {
    "conversation.json",
    "transcript.txt",
    "conversation.vtt",
    "conversation.srt",
    "index.html",
    "audio/001-user.wav",
    "audio/001-assistant.wav",
    "audio/003-user.wav",
    "audio/003-user-2.wav",
    "audio/003-assistant.wav",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "demo"
    make_folder(made)
    write(sample(), made)
    return made


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", ["conversation.json", "conversation.zip"])
def test_what_is_read_is_what_was_written(folder: Path, name: str) -> None:
    assert read(folder / name) == sample()


def test_every_file_is_there_and_in_the_zip(folder: Path) -> None:
    written = files_in(folder)
    assert set(written) == FILES | {"conversation.zip"}
    with zipfile.ZipFile(folder / "conversation.zip") as packed:
        assert packed.testzip() is None
        assert {name: packed.read(name) for name in packed.namelist()} == {
            name: written[name] for name in FILES
        }


def test_written_again_from_either_the_files_are_the_same(folder: Path, tmp_path: Path) -> None:
    for name in ("conversation.json", "conversation.zip"):
        again = tmp_path / name
        make_folder(again)
        write(read(folder / name), again)
        assert files_in(again) == files_in(folder)


def test_also_where_the_sound_had_more_than_16_bits(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    sound = Waveform(draw.uniform(-1, 1, 8_000).astype(np.float32))
    pieces = spoken(("Yes.", 0.5))
    first, again = tmp_path / "first", tmp_path / "again"
    conversation = Conversation((Message.user(sound), Message.assistant("Yes.")))
    for folder in (first, again):
        make_folder(folder)
    write(Recording(conversation, (Reply(pieces),)), first)
    write(read(first / "conversation.zip"), again)
    assert files_in(again) == files_in(first)


@pytest.mark.parametrize("packed", [False, True], ids=["json", "zip"])
def test_any_sound_comes_back_to_16_bits(tmp_path: Path, packed: bool) -> None:
    draw = np.random.default_rng(2)
    sound = Waveform(draw.uniform(-1, 1, 5_001).astype(np.float32))
    write(Recording(Conversation((Message.user(sound),))), tmp_path)
    back = read(tmp_path / ("conversation.zip" if packed else "conversation.json"))
    (part,) = back.conversation.messages[0].audio_parts
    # Half a step, and at full scale one: 1.0 has no 16-bit number.
    assert np.abs(part.waveform.samples - sound.samples).max() <= 1 / 32_768


def test_a_reply_keeps_its_pieces_whatever_they_are(tmp_path: Path) -> None:
    pieces = (*spoken(("One.", 0.5)), Speech(Waveform(np.zeros(0, np.float32), 22_050), "…", 1))
    pieces += (Speech(Waveform(np.zeros(30, np.float32), 22_050), "silent", 2),)
    recording = replace(sample(), replies=(Reply(pieces),))
    write(recording, tmp_path)
    assert read(tmp_path / "conversation.json") == recording


def test_pieces_of_different_voices_are_joined_at_one_rate(tmp_path: Path) -> None:
    pieces = (*spoken(("One.", 0.5)), Speech(tone(0.5), "Two.", 1))
    write(replace(sample(), replies=(Reply(pieces),)), tmp_path)
    back = read(tmp_path / "conversation.json").replies[0].pieces
    assert [piece.waveform.sample_rate for piece in back] == [22_050, 22_050]
    assert [piece.waveform.duration_s for piece in back] == pytest.approx([0.5, 0.5], abs=1e-3)


def test_a_sound_among_the_parts_of_a_reply_is_kept(tmp_path: Path) -> None:
    reply = Message("assistant", ("Listen.", AudioPart(sample_tone := tone(0.5), "a tone")))
    recording = Recording(Conversation((Message.user("?"), reply)), (Reply(spoken(("Hm", 0.2))),))
    assert list(document(recording)[1]) == ["audio/001-assistant.wav", "audio/001-assistant-2.wav"]
    write(recording, tmp_path)
    part = read(tmp_path / "conversation.json").conversation.messages[1].audio_parts[0]
    assert np.abs(part.waveform.samples - sample_tone.samples).max() <= 1 / 32_768


def test_the_json_is_stamped_and_described(folder: Path) -> None:
    content = json.loads((folder / "conversation.json").read_text(encoding="utf-8"))
    assert content["schema"] == 1
    assert content["created"] == "2026-11-23T07:30:00+00:00"
    assert set(content) >= {"commit", "command", "machine"}
    described = {line.split()[0].rstrip(",:") for line in FORMAT.splitlines() if line.strip()}

    def keys(value: object) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(keys, value))
        if isinstance(value, dict):
            inner = [v for k, v in value.items() if k not in ("machine", "timings")]
            return set(value) | set().union(set(), *map(keys, inner))
        return set()

    assert keys(content) - {"command", "machine", "start_s", "end_s"} <= described


def test_text_that_no_file_can_hold_is_no_trouble(tmp_path: Path) -> None:
    write(Recording(Conversation((Message.user("a \udcff b \x00 c"),)), model="\udcff"), tmp_path)
    assert read(tmp_path / "conversation.zip").conversation.messages[0].text == "a ? b \x00 c"


def test_an_old_date_can_be_packed(tmp_path: Path) -> None:
    write(replace(sample(), created=datetime(1, 2, 3, tzinfo=UTC)), tmp_path)
    assert read(tmp_path / "conversation.zip").created.year == 1


def test_nothing_said_is_no_recording() -> None:
    with pytest.raises(ConversationError, match="Nothing was said"):
        Recording(Conversation())
    with pytest.raises(ConversationError, match="1 spoken replies to 0"):
        Recording(Conversation((Message.user("?"),)), (Reply(),))


def test_a_folder_is_new_or_empty(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    with pytest.raises(DataError, match="is not empty"):
        make_folder(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be made a folder"):
        make_folder(tmp_path / "file")


def test_only_the_files_told_are_made() -> None:
    assert set(contents(sample())) == FILES
