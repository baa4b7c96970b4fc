"""The terminal client on the fakes: turns in order, what goes where, and the live mode's edges."""

import io
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from audiochat.__main__ import main
from audiochat.audio import SAMPLE_RATE, Waveform, decode, resample, write_wav
from audiochat.backends.base import BackendEvent, Heard, Working
from audiochat.cli import chat, sound_card, talk
from audiochat.cli.player import Player
from audiochat.cli.sound_card import SoundCard
from audiochat.conversation import Conversation, Message
from audiochat.sampling import Sampling
from audiochat.voices.base import Voice
from tests.fakes import BeepVoice, BrokenBackend, BrokenVoice, EchoBackend, tone
from tests.test_turn import voice_workers_end


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> EchoBackend:
    echo = EchoBackend()
    monkeypatch.setattr(chat, "load_backend", lambda name, progress: echo)
    # Nothing may wait for a person: reading standard input fails.
    monkeypatch.setattr(sys, "stdin", None)
    return echo


@pytest.fixture
def give_voice(monkeypatch: pytest.MonkeyPatch) -> Callable[[Voice], None]:
    def give(voice: Voice) -> None:
        monkeypatch.setattr(chat, "load_voice", lambda spec, accept_cpml: voice)

    return give


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    path = tmp_path / "clip.wav"
    write_wav(Waveform(np.sin(2 * np.pi * 300 * t).astype(np.float32) / 2), path)
    return path


def test_turns_are_answered_in_order(
    backend: EchoBackend, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "--text", "one", "--audio", str(clip), "--text", "three"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Turn 1. You said: one.",
        "Turn 2. You said: a clip of 1.0 seconds.",
        "Turn 3. You said: three.",
    ]
    # The third question came with all that was said before.
    assert [m.role for m in backend.conversations[2].messages] == ["user", "assistant"] * 2 + [
        "user"
    ]


def test_json_tells_what_was_heard(
    backend: EchoBackend, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "--audio", str(clip), "--text", "two", "--json"]) == 0
    spoken, typed = map(json.loads, capsys.readouterr().out.splitlines())
    assert set(spoken) == {"heard", "reply", "timings"}
    assert spoken["heard"] == "a clip of 1.0 seconds"
    assert spoken["timings"]["first_text_ms"] >= 0
    assert typed["heard"] is None
    assert typed["reply"] == "Turn 2. You said: two."


def test_what_was_heard_is_told_beside_the_replies(
    backend: EchoBackend, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "--audio", str(clip), "--text", "two"]) == 0
    told = capsys.readouterr()
    assert told.err.splitlines() == ["(heard: a clip of 1.0 seconds)"]
    assert len(told.out.splitlines()) == 2


def test_a_voice_that_is_none_is_refused_though_nothing_is_said(
    backend: EchoBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "--text", "hi", "--voice", "novoice"]) != 0
    told = capsys.readouterr()
    assert "There is no voice 'novoice'" in told.err
    assert not told.out


class RehearingBackend(EchoBackend):
    """Tells of every recording in the conversation with every turn."""

    def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        for index, message in enumerate(conversation.messages[:-1]):
            if message.audio_parts:
                yield Heard(f"recording {index}", 0.9, index, 0)
        yield from super().reply(conversation, sampling)


def test_heard_is_of_the_newest_turn_alone(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chat, "load_backend", lambda name, progress: RehearingBackend())
    turns = ["--audio", str(clip), "--audio", str(clip), "--text", "three"]
    assert main(["chat", *turns, "--json"]) == 0
    heard = [json.loads(line)["heard"] for line in capsys.readouterr().out.splitlines()]
    assert heard == ["a clip of 1.0 seconds", "a clip of 1.0 seconds", None]


def test_say_saves_the_spoken_replies(
    backend: EchoBackend,
    give_voice: Callable[[Voice], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    voice = BeepVoice()
    give_voice(voice)
    out = tmp_path / "reply.wav"
    assert main(["chat", "--text", "one", "--text", "two", "--say", str(out)]) == 0
    assert capsys.readouterr().out.count("\n") == 2
    saved = decode(out)
    # 50 ms a letter is what the beep gives.
    assert saved.duration_s == pytest.approx(0.05 * sum(map(len, voice.said)), abs=0.1)


def test_a_broken_voice_loses_no_text(
    backend: EchoBackend,
    give_voice: Callable[[Voice], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    give_voice(BrokenVoice())
    assert main(["chat", "--text", "one", "--say", str(tmp_path / "reply.wav")]) == 0
    out, err = capsys.readouterr()
    assert out == "Turn 1. You said: one.\n"
    assert "The voice broke on purpose." in err


def test_settings_reach_the_model(backend: EchoBackend) -> None:
    argv = ["chat", "--text", "one", "--temperature", "0.7", "--seed", "3", "--system-prompt", "Hm"]
    assert main(argv) == 0
    assert backend.samplings[0].temperature == 0.7
    assert backend.samplings[0].seed == 3
    assert backend.conversations[0].system_prompt == "Hm"


def test_a_broken_model_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chat, "load_backend", lambda name, progress: BrokenBackend())
    assert main(["chat", "--text", "one"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "audiochat chat: The model broke on purpose. Ask again.\n"


def test_a_missing_file_is_said_before_the_model_loads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chat, "load_backend", lambda *a, **k: pytest.fail("loaded"))
    assert main(["chat", "--audio", "nowhere.wav"]) == 1
    assert "nowhere.wav" in capsys.readouterr().err


def test_an_unwritable_place_is_said_before_the_model_loads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chat, "load_backend", lambda *a, **k: pytest.fail("loaded"))
    assert main(["chat", "--text", "one", "--say", str(tmp_path / "absent" / "a.wav")]) == 1
    assert "There is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--text", ""],
        ["--say", "reply.wav"],
        ["--json"],
        ["--say", "a.wav", "--no-voice"],
        ["--text", "one", "--temperature", "9"],
    ],
)
def test_flags_that_make_no_sense_are_wrong_usage(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["chat", *argv])
    assert stopped.value.code == 2


def test_without_a_terminal_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["chat"]) == 1
    assert "--audio FILE" in capsys.readouterr().err


class FakeStream:
    """A loudspeaker that asks for samples."""

    latency = 0.0

    def __init__(self, card: "FakeCard", callback: Callable[..., None], samplerate: int) -> None:
        self.card, self.callback, self.rate = card, callback, samplerate

    def start(self) -> None:
        self.card.playing = self

    def close(self) -> None:
        self.card.playing = None


class FakeMicrophone(FakeStream):
    """Gives all of the sound as soon as it is opened."""

    def start(self) -> None:
        for start in range(0, len(self.card.sound), 4_800):
            self.callback(self.card.sound[start : start + 4_800, None], 4_800, None, None)

    def close(self) -> None: ...


class FakeCard(types.ModuleType):
    """As much of sounddevice as the terminal client uses."""

    class PortAudioError(Exception):
        """What sounddevice raises."""

    def __init__(self, sound: np.ndarray) -> None:
        super().__init__("sounddevice")
        self.sound = sound
        self.played: list[np.ndarray] = []
        self.playing: FakeStream | None = None

    def query_devices(self, device: int | None, kind: str) -> dict[str, float]:
        return {"default_samplerate": 48_000.0}

    def InputStream(self, *, samplerate: int, callback: Callable[..., None], **_: object) -> object:
        return FakeMicrophone(self, callback, samplerate)

    def OutputStream(
        self, *, samplerate: int, callback: Callable[..., None], **_: object
    ) -> object:
        return FakeStream(self, callback, samplerate)

    def sleep(self, ms: int) -> None:
        assert self.playing is not None
        block = np.zeros((256, 1), np.float32)
        self.playing.callback(block, 256, None, None)
        self.played.append(block[:, 0])


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_card, "_enter_pressed", lambda: False)


def typing(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Let a person type these lines and then leave."""
    given: Iterator[str] = iter(lines)

    def fake_input(prompt: str) -> str:
        for line in given:
            return line
        raise EOFError

    monkeypatch.setattr("builtins.input", fake_input)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: True))


def test_live_a_spoken_turn_is_heard_answered_and_played(
    backend: EchoBackend,
    give_voice: Callable[[Voice], None],
    no_keys: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from audiochat.voices.espeak import EspeakVoice

    spoken = EspeakVoice().speak("What is the capital of France?")
    speech = resample(spoken.samples, spoken.sample_rate, 48_000)
    card = FakeCard(np.concatenate([speech, np.zeros(2 * 48_000, np.float32)]))
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    give_voice(BeepVoice())
    typing(monkeypatch, "", "typed words")
    assert main(["chat"]) == 0
    out = capsys.readouterr().out
    assert "(heard: a clip of" in out
    assert "Turn 2. You said: typed words." in out
    heard = backend.conversations[0].messages[0].audio_parts[0].waveform
    # The silence that ended the turn is heard too, the rest of the silence is not.
    assert spoken.duration_s < heard.duration_s < spoken.duration_s + 1.2
    assert np.abs(np.concatenate(card.played)).max() > 0.1


def test_live_silence_is_an_error_not_the_end(
    backend: EchoBackend,
    no_keys: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys = iter([False, False, False, True])
    monkeypatch.setattr(sound_card, "_enter_pressed", lambda: next(keys))
    card = FakeCard(np.zeros(48_000, np.float32))
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    typing(monkeypatch, "")
    assert main(["chat", "--no-voice"]) == 0
    assert "The recording is silent" in capsys.readouterr().out
    assert backend.conversations == []


def test_live_a_failed_turn_leaves_the_history(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = BrokenBackend(times=0)
    monkeypatch.setattr(chat, "load_backend", lambda name, progress: backend)
    monkeypatch.setitem(sys.modules, "sounddevice", FakeCard(np.zeros(0, np.float32)))
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: True))
    lines = iter(["one", "break", "two"])

    def typed(prompt: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        backend.times = int(line == "break")
        return line

    monkeypatch.setattr("builtins.input", typed)
    assert main(["chat", "--no-voice"]) == 0
    assert "The model broke on purpose. Ask again.\n" in capsys.readouterr().out
    assert [m.text for m in backend.conversations[-1].messages] == [
        "one",
        "Turn 1. You said: one.",
        "two",
    ]


def test_live_ctrl_c_stops_the_voice_worker(
    backend: EchoBackend,
    give_voice: Callable[[Voice], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def pressed(self: Player, waveform: Waveform) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Player, "play", pressed)
    monkeypatch.setitem(sys.modules, "sounddevice", FakeCard(np.zeros(0, np.float32)))
    backend.delay_s = 0.02
    give_voice(BeepVoice())
    typing(monkeypatch, "a first sentence of some length. " * 3)
    assert main(["chat"]) == 0
    assert "(stopped)" in capsys.readouterr().out
    assert backend.closed_early == 1
    assert voice_workers_end()


def test_live_a_failing_loudspeaker_loses_no_text(
    backend: EchoBackend,
    give_voice: Callable[[Voice], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    card = FakeCard(np.zeros(0, np.float32))

    def taken(**_: object) -> object:
        raise card.PortAudioError("Device unavailable")

    monkeypatch.setattr(card, "OutputStream", taken)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    give_voice(BeepVoice())
    typing(monkeypatch, "the first sentence is here. The second one follows.", "more")
    assert main(["chat"]) == 0
    assert capsys.readouterr().out.count("(The loudspeaker cannot be used (Device") == 2
    assert len(backend.conversations[1].messages) == 3


def test_live_a_failing_microphone_is_a_sentence(
    backend: EchoBackend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Unplugged(FakeCard):
        n_asked = 0

        def query_devices(self, device: int | None, kind: str) -> dict[str, float]:
            self.n_asked += 1
            if self.n_asked > 2:  # both were there when the program began
                raise self.PortAudioError("Error querying device -1")
            return super().query_devices(device, kind)

    monkeypatch.setitem(sys.modules, "sounddevice", Unplugged(np.zeros(0, np.float32)))
    typing(monkeypatch, "")
    assert main(["chat", "--no-voice"]) == 0
    assert "The microphone gave no sound (Error querying" in capsys.readouterr().out


def test_enter_before_any_sound_is_a_sentence(
    backend: EchoBackend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sound_card, "_enter_pressed", lambda: True)
    monkeypatch.setitem(sys.modules, "sounddevice", FakeCard(np.zeros(0, np.float32)))
    typing(monkeypatch, "")
    assert main(["chat", "--no-voice"]) == 0
    assert "no sound" in capsys.readouterr().out


def test_ctrl_c_keeps_what_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    from audiochat.backends.base import TextPiece

    def stopped() -> Iterator[TextPiece]:
        yield TextPiece("Half a")
        raise KeyboardInterrupt

    asked = Conversation().add(Message.user("?"))
    with Player(SoundCard(None)) as player:
        after = talk._show_and_play(stopped(), asked, player)
    assert after.messages[-1] == Message.assistant("Half a", stopped=True)


def test_without_portaudio_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class NoPortAudio:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoPortAudio(), *sys.meta_path])
    typing(monkeypatch)
    assert main(["chat"]) == 1
    assert "libportaudio2" in capsys.readouterr().err


def test_work_that_goes_on_is_told_once_and_never_in_the_reply(
    backend: EchoBackend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    echo = backend.reply

    def reply(conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
        for part in (1, 1, 2):
            yield Working("Reading", part, 2)
        yield from echo(conversation, sampling)

    monkeypatch.setattr(backend, "reply", reply)
    assert main(["chat", "--text", "one"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "Turn 1. You said: one.\n"
    assert captured.err == "Reading: part 1 of 2 ...\nReading: part 2 of 2 ...\n"


def test_a_recording_of_three_minutes_is_taken(
    backend: EchoBackend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.wav"
    write_wav(tone(180.0), path)
    assert main(["chat", "--audio", str(path)]) == 0
    assert "a clip of 180.0 seconds" in capsys.readouterr().out
