"""One turn through `answer`: order of events, the voice beside the text, failures, early close."""

import threading
import time
from collections.abc import Iterator

import pytest

from audiochat.audio import Waveform
from audiochat.backends.base import BackendEvent, Heard, Notice, TextPiece, Usage
from audiochat.conversation import AudioPart, Conversation, Message
from audiochat.errors import ModelError
from audiochat.sampling import Sampling
from audiochat.turn import VOICE_FAILED, Done, Speech, answer
from audiochat.voices.base import VoiceStyle
from tests.fakes import STYLE, BeepVoice, BrokenBackend, BrokenVoice, EchoBackend, tone

LONG = "the first sentence is here. The second sentence follows it. The third one ends it"


def asked(*parts: str | Waveform | AudioPart) -> Conversation:
    return Conversation((Message.user(*parts),))


def test_a_typed_turn_gives_text_and_done() -> None:
    events = list(answer(asked("hello there"), EchoBackend()))
    assert "".join(e.text for e in events if isinstance(e, TextPiece)) == (
        "Turn 1. You said: hello there."
    )
    done = events[-1]
    assert isinstance(done, Done)
    assert [m.role for m in done.conversation.messages] == ["user", "assistant"]
    assert done.conversation.messages[1].text == "Turn 1. You said: hello there."
    assert done.finish_reason == "stop"
    assert not [e for e in events if isinstance(e, Speech)]


def test_what_was_heard_comes_first_and_is_kept() -> None:
    events = list(answer(asked(tone(1.0)), EchoBackend(confidence=0.4)))
    assert isinstance(events[0], Heard)
    part = events[-1].conversation.messages[0].audio_parts[0]
    assert (part.heard, part.confidence) == ("a clip of 1.0 seconds", 0.4)


def test_a_corrected_recording_is_given_as_its_words() -> None:
    events = list(answer(asked(AudioPart(tone(1.0), corrected="how are you")), EchoBackend()))
    assert not [e for e in events if isinstance(e, Heard)]
    assert "how are you" in events[-1].conversation.messages[1].text


def test_speech_comes_in_order_and_says_the_whole_reply() -> None:
    voice = BeepVoice()
    events = list(answer(asked(LONG), EchoBackend(), voice))
    speech = [e for e in events if isinstance(e, Speech)]
    assert len(speech) >= 2
    assert [e.index for e in speech] == list(range(len(speech)))
    said = " ".join(" ".join(e.text for e in speech).split())
    assert said == " ".join(events[-1].conversation.messages[1].text.split())
    assert voice.threads.isdisjoint({threading.get_ident()})


def test_early_pieces_are_voiced_while_later_ones_are_written() -> None:
    events = list(answer(asked(LONG), EchoBackend(delay_s=0.01), BeepVoice()))
    first_speech = next(i for i, e in enumerate(events) if isinstance(e, Speech))
    last_text = max(i for i, e in enumerate(events) if isinstance(e, TextPiece))
    assert first_speech < last_text


def test_a_slow_voice_does_not_hold_back_the_text() -> None:
    events = list(answer(asked(LONG), EchoBackend(), BeepVoice(delay_s=0.3)))
    kinds = [type(e) for e in events if isinstance(e, TextPiece | Speech)]
    assert Speech not in kinds[: kinds.count(TextPiece)]


def test_a_voice_that_fails_loses_no_text() -> None:
    events = list(answer(asked(LONG), EchoBackend(), BrokenVoice(working=1)))
    notices = [e for e in events if isinstance(e, Notice)]
    assert [n.kind for n in notices] == ["voice"]
    assert "broke on purpose" in notices[0].text
    assert len([e for e in events if isinstance(e, Speech)]) == 1
    assert "The third one ends it." in events[-1].conversation.messages[1].text


def test_a_voice_that_fails_unforeseen_loses_no_text_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class BuggyVoice(BeepVoice):
        def speak(self, text: str, style: VoiceStyle | None = None) -> Waveform:
            raise ZeroDivisionError("a bug")

    events = list(answer(asked(LONG), EchoBackend(), BuggyVoice()))
    assert [e for e in events if isinstance(e, Notice)] == [Notice(VOICE_FAILED, kind="voice")]
    assert "The third one ends it." in events[-1].conversation.messages[1].text
    assert "ZeroDivisionError: a bug" in caplog.text


def voice_workers_end() -> bool:
    """Whether no voice is at work within a while: the piece it is at is not waited for."""
    until = time.monotonic() + 10
    while any(thread.name.startswith("voice") for thread in threading.enumerate()):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_a_failing_backend_reaches_the_caller_and_the_worker_ends() -> None:
    with pytest.raises(ModelError, match="broke on purpose"):
        list(answer(asked("hello"), BrokenBackend(), BeepVoice()))
    assert voice_workers_end()


def test_closing_early_stops_backend_and_voice() -> None:
    backend, voice = EchoBackend(delay_s=0.02), BeepVoice(delay_s=0.05)
    events = answer(asked(LONG), backend, voice)
    for event in events:
        if isinstance(event, Speech):
            break
    events.close()
    assert backend.closed_early == 1
    assert voice_workers_end()
    assert len(voice.said) < 4


def test_closing_waits_for_no_voice() -> None:
    class SlowAfterTheFirst(BeepVoice):
        def speak(self, text, style):
            self.delay_s = 3.0 if self.said else 0.0
            return super().speak(text, style)

    events = answer(asked(LONG), EchoBackend(delay_s=0.02), SlowAfterTheFirst())
    for event in events:
        if isinstance(event, Speech):
            break
    start = time.monotonic()
    events.close()
    assert time.monotonic() - start < 2.0
    assert voice_workers_end()


def test_settings_reach_backend_and_voice() -> None:
    backend, voice = EchoBackend(), BeepVoice()
    style = VoiceStyle("low", 1.5, 0.8)
    list(answer(asked("hi"), backend, voice, sampling=Sampling(seed=7), style=style))
    assert backend.samplings[0].seed == 7
    assert set(voice.styles) == {style}


def test_timings_are_in_the_order_of_the_events() -> None:
    done = list(answer(asked(tone(0.5)), EchoBackend(delay_s=0.01), BeepVoice()))[-1]
    t = done.timings
    assert t.heard_ms <= t.first_text_ms < t.first_speech_ms <= t.total_ms
    assert 10 < t.tokens_per_s < 101
    assert t.reply_tokens == t.prompt_tokens > 0
    typed = list(answer(asked("hello"), EchoBackend()))[-1].timings
    assert typed.heard_ms is None
    assert typed.first_speech_ms is None


@pytest.mark.parametrize(("finish_reason", "n_tokens"), [("stop", 4), ("length", 3)])
def test_the_speed_is_of_the_tokens_between_first_and_last_piece(
    finish_reason: str, n_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now_s)

    class TickingBackend(EchoBackend):
        def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
            nonlocal now_s
            for piece in ("Yes", " it", " is"):
                now_s += 0.1
                yield TextPiece(piece)
            now_s += 0.1
            yield Usage(5, 0, n_tokens, finish_reason)

    timings = list(answer(asked("is it?"), TickingBackend()))[-1].timings
    assert timings.tokens_per_s == pytest.approx(2 / 0.2)
    assert timings.reply_tokens == n_tokens


def test_the_voice_does_not_wait_for_what_was_heard_after_the_reply() -> None:
    begun = threading.Event()

    class Beginning(BeepVoice):
        def speak(self, text: str, style: VoiceStyle = STYLE) -> Waveform:
            begun.set()
            return super().speak(text, style)

    class HearsLast(EchoBackend):
        def reply(self, conversation: Conversation, sampling: Sampling) -> Iterator[BackendEvent]:
            yield TextPiece("Paris it is")
            yield Usage(5, 0, 4, "stop")
            assert begun.wait(5)  # no clause has ended: only the end of the reply lets it begin
            yield Heard("the capital", 0.5, 0, 0)

    events = list(answer(asked(tone(0.5)), HearsLast(), Beginning()))
    kinds = [type(event).__name__ for event in events]
    assert sorted(kinds) == ["Done", "Heard", "Speech", "TextPiece"]
    assert events[-1].conversation.messages[0].text == "the capital"
