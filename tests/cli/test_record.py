"""`chat --record` and `export`: what a session leaves behind, however it ends."""

import json
import os
import shutil
import signal
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from audiochat.__main__ import main
from audiochat.audio import write_wav
from audiochat.cli import chat, player
from audiochat.conversation import Message
from audiochat.recording import Recording
from audiochat.recording.folder import write
from audiochat.recording.reading import read
from audiochat.voices.base import Voice
from tests.fakes import BeepVoice, BrokenBackend, BrokenVoice, EchoBackend, tone
from tests.recording.samples import sample

NAMES = {
    "conversation.json",
    "conversation.srt",
    "conversation.vtt",
    "conversation.zip",
    "index.html",
    "transcript.txt",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "demo"


@pytest.fixture
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, no_ffmpeg: None) -> Callable[..., EchoBackend]:
    """Put fakes in the place of the model and the voice."""

    def put(backend: EchoBackend | None = None, voice: Voice | None = None) -> EchoBackend:
        chosen = backend or EchoBackend()
        monkeypatch.setattr(chat, "load_backend", lambda name, progress: chosen)
        monkeypatch.setattr(chat, "load_voice", lambda spec, accept_cpml: voice or BeepVoice())
        return chosen

    return put


def recorded_in(folder: Path) -> Recording:
    recording = read(folder / "conversation.json")
    assert recording == read(folder / "conversation.zip")
    return recording


def texts(recording: Recording) -> list[str]:
    return [message.text for message in recording.conversation.messages]


def files_in(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_turns_from_files_are_recorded_with_their_voices(
    stage: Callable[..., EchoBackend],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage()
    write_wav(tone(1.0), tmp_path / "clip.wav")
    turns = ["--text", "one", "--audio", str(tmp_path / "clip.wav")]
    assert main(["chat", *turns, "--record", str(folder), "--system-prompt", "Hm"]) == 0
    out, err = capsys.readouterr()
    # Standard output holds the replies alone.
    assert out.splitlines() == [
        "Turn 1. You said: one.",
        "Turn 2. You said: a clip of 1.0 seconds.",
    ]
    assert f"Recorded in {folder}" in err
    assert "needs the program ffmpeg" in err
    sounds = {"audio/001-assistant.wav", "audio/002-assistant.wav", "audio/002-user.wav"}
    assert set(files_in(folder)) == NAMES | sounds
    recording = recorded_in(folder)
    assert recording.model == "Echo"
    assert recording.conversation.system_prompt == "Hm"
    assert texts(recording)[2] == "a clip of 1.0 seconds"
    assert [piece.text for piece in recording.replies[0].pieces] == ["Turn 1.", "You said: one."]
    assert all(reply.timings.total_ms > 0 for reply in recording.replies if reply.timings)
    assert recording.provenance["command"].startswith("python -m audiochat")
    with zipfile.ZipFile(folder / "conversation.zip") as packed:
        assert set(packed.namelist()) == NAMES - {"conversation.zip"} | sounds


def test_without_a_voice_it_is_text(stage: Callable[..., EchoBackend], folder: Path) -> None:
    stage(voice=BrokenVoice())
    assert main(["chat", "--text", "one", "--record", str(folder), "--no-voice"]) == 0
    assert [reply.speech for reply in recorded_in(folder).replies] == [None]


@pytest.mark.parametrize("kind", ["full", "file"])
def test_the_folder_is_looked_at_before_the_model_is_loaded(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chat, "load_backend", lambda *a, **k: pytest.fail("loaded"))
    if kind == "full":
        folder.mkdir()
        (folder / "mine.txt").write_text("keep this")
    else:
        folder.write_text("keep this")
    assert main(["chat", "--text", "one", "--record", str(folder)]) == 1
    assert ("is not empty" if kind == "full" else "cannot be made") in capsys.readouterr().err


def test_a_turn_that_fails_keeps_those_before_it(
    stage: Callable[..., EchoBackend], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class FailsLater(BrokenBackend):
        def reply(self, conversation, sampling):
            self.times = int(len(conversation.messages) > 1)
            yield from super().reply(conversation, sampling)

    stage(FailsLater())
    assert main(["chat", "--text", "one", "--text", "two", "--record", str(folder)]) == 1
    assert "The model broke on purpose." in capsys.readouterr().err
    recording = recorded_in(folder)
    assert texts(recording) == ["one", "Turn 1. You said: one.", "two", "word0 word1"]
    assert recording.conversation.messages[-1].stopped


def test_a_question_that_nobody_answered_is_kept(
    stage: Callable[..., EchoBackend], folder: Path
) -> None:
    stage(BrokenBackend(pieces=0))
    assert main(["chat", "--text", "one", "--record", str(folder)]) == 1
    assert texts(recorded_in(folder)) == ["one"]


class QuietCard(types.ModuleType):
    """A sound card that nobody listens to."""

    class PortAudioError(Exception):
        """What sounddevice raises."""

    def query_devices(self, device: int | None = None, kind: str = "") -> dict[str, float]:
        return {"default_samplerate": 48_000.0}


def talking(monkeypatch: pytest.MonkeyPatch, *lines: str | BaseException) -> None:
    """Let a person type these lines at a terminal, and then leave or do what is told."""
    left = iter(lines)

    def typed(prompt: str) -> str:
        line = next(left, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setitem(sys.modules, "sounddevice", QuietCard("sounddevice"))
    monkeypatch.setattr(player.Player, "play", lambda self, waveform: None)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", typed)


@pytest.mark.parametrize(
    ("end", "code"), [(EOFError(), 0), (KeyboardInterrupt(), 130), (OSError("gone"), 1)]
)
def test_live_it_is_written_however_the_session_ends(
    stage: Callable[..., EchoBackend],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: BaseException,
    code: int,
) -> None:
    stage()
    talking(monkeypatch, "one", "two", end)
    assert main(["chat", "--record", str(folder)]) == code
    recording = recorded_in(folder)
    assert texts(recording)[2:] == ["two", "Turn 2. You said: two."]
    assert recording.replies[1].speech is not None


def test_live_a_closed_terminal_loses_nothing(
    stage: Callable[..., EchoBackend], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ClosedMeanwhile(EchoBackend):
        def reply(self, conversation, sampling):
            for number, event in enumerate(super().reply(conversation, sampling)):
                if number == 3:
                    os.kill(os.getpid(), signal.SIGHUP)
                yield event

    before = signal.getsignal(signal.SIGHUP)
    stage(ClosedMeanwhile())
    talking(monkeypatch, "one")
    with pytest.raises(SystemExit) as left:
        main(["chat", "--record", str(folder)])
    assert left.value.code == 128 + signal.SIGHUP
    recording = recorded_in(folder)
    assert texts(recording) == ["one", "Turn 1. You"]
    assert recording.conversation.messages[-1].stopped
    assert signal.getsignal(signal.SIGHUP) is before


def test_live_a_stopped_reply_and_a_failed_turn_stay(
    stage: Callable[..., EchoBackend], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(EchoBackend):
        def reply(self, conversation, sampling):
            for number, event in enumerate(super().reply(conversation, sampling)):
                if number == 3 and conversation.messages[-1].text == "one":
                    raise KeyboardInterrupt
                yield event

    backend = stage(Stopped())
    talking(monkeypatch, "one", "two")
    assert main(["chat", "--record", str(folder)]) == 0
    recording = recorded_in(folder)
    assert recording.conversation.messages[1] == Message.assistant("Turn 1. You", stopped=True)
    assert texts(recording)[2:] == ["two", "Turn 2. You said: two."]
    assert len(backend.conversations) == 2


def test_live_nothing_said_is_told(
    stage: Callable[..., EchoBackend],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage()
    talking(monkeypatch)
    assert main(["chat", "--record", str(folder)]) == 0
    assert "Nothing was said" in capsys.readouterr().err
    assert files_in(folder) == {}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    made = tmp_path / "written"
    made.mkdir()
    write(sample(), made)
    return made


@pytest.mark.parametrize("name", ["conversation.json", "conversation.zip"])
def test_export_writes_the_same_again(
    name: str,
    written: Path,
    folder: Path,
    no_ffmpeg: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["export", str(written / name), "--to", str(folder)]) == 0
    assert files_in(folder) == files_in(written)
    out, err = capsys.readouterr()
    assert out.splitlines() == sorted(str(folder / each) for each in files_in(folder))
    assert "needs the program ffmpeg" in err


def test_export_without_a_video_says_nothing_of_it(
    written: Path, folder: Path, no_ffmpeg: None, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(written / "conversation.json")
    assert main(["export", source, "--to", str(folder), "--no-video"]) == 0
    assert "ffmpeg" not in capsys.readouterr().err


@pytest.mark.parametrize("content", ["not json", "{}", "PK\x03\x04"])
def test_export_of_what_is_no_recording_is_one_sentence(
    content: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(content)
    assert main(["export", str(tmp_path / "a.json"), "--to", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("audiochat export: ")
    assert err.count("\n") == 1
    assert not folder.exists()


def test_export_leaves_a_full_folder_alone(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(written)
    assert main(["export", str(written / "conversation.zip"), "--to", str(written)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert files_in(written) == before


def test_the_real_model_and_voice_are_recorded(
    assets: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(assets / "examples" / "capital.flac")
    turns = ["--audio", clip, "--text", "Say hello.", "--max-new-tokens", "24"]
    assert main(["chat", *turns, "--record", str(folder), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    recording = recorded_in(folder)
    question, first, _, second = recording.conversation.messages
    (part,) = question.audio_parts
    assert part.heard == rows[0]["heard"]
    assert part.timed_words
    assert [first.text, second.text] == [row["reply"] for row in rows]
    for reply, row in zip(recording.replies, rows, strict=True):
        assert reply.speech is not None
        assert reply.timings is not None
        assert reply.timings.total_ms == row["timings"]["total_ms"]
    assert (folder / "conversation.mp4").exists() is (shutil.which("ffmpeg") is not None)
    again = tmp_path / "again"
    assert main(["export", str(folder / "conversation.zip"), "--to", str(again)]) == 0
    for name, content in files_in(again).items():
        if not name.endswith(".mp4"):
            assert content == files_in(folder)[name], name
