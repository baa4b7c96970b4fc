"""The panel "What it heard" as HTML: words with times and levels, the picture, and its refusals."""

import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from audiochat.audio import decode
from audiochat.backends.audiochat_llama import AudioChatLlamaBackend
from audiochat.conversation import AudioPart, Message, TimedWord
from audiochat.errors import ConversationError, ModelError
from audiochat.model.embedding_alignment import EmbeddingAlignment
from audiochat.ui import heard_panel
from audiochat.ui.answering import Answering, Settings
from audiochat.ui.insight import picture, recordings
from audiochat.ui.model_loading import Loading, Models
from audiochat.ui.session import Session
from tests.fakes import EchoBackend, tone

WORDS = (
    TimedWord("good", 0.1, 0.3, 0.95),
    TimedWord("<day>", 0.9, 1.1, 0.6),
    TimedWord("sir", 1.2, 1.4, 0.2),
)


def answering_with(backend) -> Answering:
    models = Models(lambda *_: backend, ["one"])
    models.get("one").wait()
    return Answering(models, Loading(lambda _: None))


def test_confidence_is_told_in_words() -> None:
    assert [heard_panel.level_of(x) for x in (None, 1.0, 0.8, 0.79, 0.5, 0.1, 0.0)] == [
        *("", "sure", "sure", "fairly sure", "fairly sure", "unsure", "unsure")
    ]
    assert heard_panel.summary(WORDS) == (
        "Sure of 1 of 3 words. Less sure of “<day>” (fairly sure), “sir” (unsure)."
    )


def test_a_word_plays_from_before_its_time_but_not_from_the_word_before() -> None:
    assert heard_panel.plays_from(WORDS) == pytest.approx([0.0, 0.6, 1.1])


def test_the_panel_has_every_word_as_a_button_and_escapes_it() -> None:
    drawn = heard_panel.panel(AudioPart(tone(2.0), "good <day> sir", 0.6, None, WORDS), "/a'b\"")
    assert "<day>" not in drawn
    assert re.findall(r'data-from="([\d.]+)" data-until="([\d.]+)"', drawn) == [
        *(("0.00", "0.60"), ("0.60", "1.10"), ("1.10", "2.00"))
    ]
    assert 'aria-label="sir, at 1.2 seconds, unsure, 20 %. Play from here"' in drawn
    assert 'data-path="/a&#x27;b&quot;"' in drawn


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (AudioPart(tone(1.0)), "not known yet"),
        (AudioPart(tone(1.0), "hi", 0.9), "Heard: “hi” (sure)"),
        (AudioPart(tone(1.0), "hi", None), "no times of single words"),
        (AudioPart(tone(1.0), "hi", 0.9, "high"), "You corrected it to: “high”"),
    ],
)
def test_what_other_backends_know_is_shown(part: AudioPart, sentence: str) -> None:
    assert sentence in heard_panel.panel(part, "x.wav")


def test_the_picture_has_a_pixel_for_each_pair_and_the_number() -> None:
    cosine = np.array([[1.0, -0.5], [0.25, 0.5], [0.0, 1.0]], np.float32)
    alignment = EmbeddingAlignment(
        "end_to_end", cosine, (0, 1, 1), 0.421, 0.4, ("a", " b"), ((0, 0.1), (0.5, 0.6), (1, 1.1))
    )
    drawn = heard_panel.alignment_picture(alignment)
    found = re.search(r"base64,([^\"]+)", drawn)
    assert found
    pixels = np.asarray(Image.open(BytesIO(b64decode(found[1]))))
    assert pixels[..., 3].tolist() == [[255, 64, 0], [0, 128, 255]]
    assert "0.42" in drawn
    assert 'points="0.5,0.5 1.5,1.5 2.5,1.5"' in drawn
    assert "in seconds of the recording: a 0.0, b 0.5." in drawn


def test_recordings_are_found_by_the_index_of_the_view() -> None:
    session = Session().ask(Message.user("Listen:", tone(0.5)))
    assert [part.waveform for part in recordings(session, 0)] == [tone(0.5)]
    for index in (1, -1, None, "0"):
        with pytest.raises(ConversationError, match="no longer"):
            recordings(session, index)


def test_why_there_is_no_picture_is_said() -> None:
    with pytest.raises(ModelError, match="Echo does not show"):
        picture(answering_with(EchoBackend()), "one", AudioPart(tone(1.0), "hi"))
    with pytest.raises(ConversationError, match="120 s"):
        picture(answering_with(EchoBackend()), "one", AudioPart(tone(121.0), "hi"))


def test_the_real_model_gives_words_and_picture_and_a_correction_tells(bot, assets) -> None:
    waveform = decode(assets / "examples" / "capital.flac")
    backend = AudioChatLlamaBackend("embedded", bot)
    answering = answering_with(backend)
    session = Session().ask(Message.user(waveform))
    for step in answering.steps(session, Settings("one", style=None)):
        session = step.session
    (part,) = session.shown[0].audio_parts
    assert " ".join(word.text for word in part.timed_words) == part.heard
    assert len(re.findall("data-from", heard_panel.panel(part, "x.wav"))) == 6

    def score(words: str | None) -> float:
        drawn = picture(answering, "one", AudioPart(waveform, part.heard, 0.9, words))
        found = re.search(r'class="score">(-?[\d.]+)<', drawn)
        assert found
        return float(found[1])

    assert score(None) > score("What is the weather in Spain?") > 0
    cascade = answering_with(AudioChatLlamaBackend("cascade", bot, "cascade"))
    with pytest.raises(ModelError, match="words alone"):
        picture(cascade, "one", part)
