"""Turns answered in order, and what the open microphone's sound is heard ahead by."""

from collections.abc import Sequence
from threading import Event

from audiochat.audio import Waveform
from audiochat.conversation import Conversation, Message
from audiochat.sampling import Sampling
from audiochat.ui.answering import Answering, Settings
from audiochat.ui.line import Line
from audiochat.ui.model_loading import Loading, Models
from audiochat.ui.session import Session
from tests.fakes import EchoBackend, tone


class HearingAhead(EchoBackend):
    def __init__(self) -> None:
        super().__init__()
        self.ahead: list[Waveform] = []
        self.after: list[Sequence[Message]] = []
        self.told = Event()

    def hear_ahead(self, waveform: Waveform, before: Sequence[Message] = ()) -> None:
        self.ahead.append(waveform)
        self.after.append(before)
        self.told.set()


def answering(**backends: HearingAhead) -> Answering:
    made = Answering(
        Models(lambda name, _: backends[name], list(backends)), Loading(lambda _: None)
    )
    made.models.get("first").wait()
    return made


def asked(text: str) -> Session:
    return Session().ask(Message.user(text))


def test_the_model_asked_last_hears_ahead() -> None:
    first, second = HearingAhead(), HearingAhead()
    both = answering(first=first, second=second)
    both.hear_ahead(tone(0.5))
    list(both.steps(asked("one"), Settings("second", style=None)))
    both.hear_ahead(tone(1.0))
    assert [piece.duration_s for piece in first.ahead] == [0.5]
    assert [piece.duration_s for piece in second.ahead] == [1.0]


def test_what_was_just_asked_is_heard_in_its_conversation() -> None:
    model = HearingAhead()
    alone = answering(first=model)
    alone.hear_meanwhile(asked("one"))  # which has no sound to hear
    talk = Conversation().add(Message.user("Hello.")).add(Message.assistant("Hi."))
    alone.hear_meanwhile(Session(talk).ask(Message.user(tone(0.5))))
    assert model.told.wait(5)
    assert model.after == [talk.messages]


def test_nothing_is_heard_ahead_while_a_turn_is_answered() -> None:
    model = HearingAhead()
    alone = answering(first=model)
    steps = alone.steps(asked("one"), Settings("first", style=None))
    next(steps)
    assert alone.busy
    alone.hear_ahead(tone(0.5))
    steps.close()
    assert not alone.busy
    assert model.ahead == []


def test_the_second_turn_waits_for_the_first_and_says_so() -> None:
    alone = answering(first=HearingAhead())
    first = alone.steps(asked("one"), Settings("first", style=None))
    next(first)
    second = alone.steps(asked("two"), Settings("first", style=None))
    assert next(second).stage == "Turns before yours: 1"
    list(first)
    assert list(second)[-1].session.conversation.messages[-1].text == "Turn 1. You said: two."


def test_a_turn_too_many_is_kept_to_be_retried() -> None:
    alone = answering(first=HearingAhead())
    alone.line = Line(limit=0)
    (step,) = alone.steps(asked("one"), Settings("first", style=None))
    assert step.session.asked == Message.user("one")
    assert step.session.trouble == step.notice
    assert "Too many people" in step.notice


def test_a_retry_draws_another_reply_and_a_temperature_chosen_stays() -> None:
    model = HearingAhead()
    alone = answering(first=model)
    chosen = Settings("first", sampling=Sampling(temperature=0.2, seed=1), style=None)
    for settings in (Settings("first", style=None), chosen):
        *_, step = alone.steps(asked("one"), settings)
        *_, step = alone.steps(step.session.retry(), settings)
        assert step.session.shown[-1].text
    first, again, *chosen_twice = (drawn.temperature for drawn in model.samplings)
    assert first == 0.0 < again
    assert chosen_twice == [0.2, 0.2]
    assert [drawn.seed for drawn in model.samplings[2:]] == [1, None]
