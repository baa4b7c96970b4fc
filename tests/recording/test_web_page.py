"""The page that replays: nothing from outside in it, and nothing that was said can run."""

import hashlib
import re
from base64 import b64decode, b64encode
from html.parser import HTMLParser

from audiochat.audio import RECORDING_LIMITS, decode
from audiochat.recording.timeline import lay_out
from audiochat.recording.web_page import web_page
from tests.recording.samples import HOSTILE, sample, typed


class Elements(HTMLParser):
    """Every element of a page, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.found if found == tag]


def page_of(recording) -> str:
    return web_page(recording, lay_out(recording))


def test_what_was_said_is_text_and_nothing_else() -> None:
    plain = typed("Hi.", "Hello.", "So?", "Yes.")
    hostile = typed(f"{HOSTILE} <b onclick=x>", HOSTILE, f'"><svg onload=x> {HOSTILE}', "Yes.")
    said, unsaid = Elements(page_of(hostile)), Elements(page_of(plain))

    def shape(elements: Elements) -> set[tuple[str, tuple[str, ...]]]:
        return {(tag, tuple(attributes)) for tag, attributes in elements.found}

    assert shape(said) == shape(unsaid)
    assert said.text.count(HOSTILE) == 3
    assert len(said.of("script")) == 1


def test_the_names_of_models_and_speakers_are_escaped_too() -> None:
    elements = Elements(page_of(sample()))
    assert "A conversation with Echo <b>" in elements.text
    assert not elements.of("b")


def test_nothing_is_fetched_and_only_its_own_script_may_run() -> None:
    page = page_of(sample())
    elements = Elements(page)
    for _, attributes in elements.found:
        for name in {"src", "href", "action", "poster"} & set(attributes):
            assert str(attributes[name]).startswith("data:")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    policy = elements.of("meta")[3]["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; media-src data:;")
    for tag in ("script", "style"):
        (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "http" not in inline
        assert "{{" not in inline


def test_the_sound_is_inside_as_long_as_the_timeline() -> None:
    recording = sample()
    (audio,) = Elements(page_of(recording)).of("audio")
    kind, _, data = str(audio["src"]).partition(",")
    assert kind == "data:audio/flac;base64"
    sound = decode(b64decode(data), RECORDING_LIMITS)
    assert abs(sound.duration_s - lay_out(recording).duration_s) < 0.001


def test_every_caption_is_there_with_its_time() -> None:
    recording = sample()
    spans = [s for s in Elements(page_of(recording)).of("span") if "data-from" in s]
    cues = lay_out(recording).cues
    assert [s["data-from"] for s in spans] == [f"{cue.start_s:.3f}" for cue in cues]
    # Words that are spoken otherwise than they are written are captions without a place in them.
    unseen = [s["data-text"] for s in spans if "data-text" in s]
    assert "A test." in unseen


def test_what_became_of_a_turn_is_told() -> None:
    text = Elements(page_of(sample())).text
    assert "spoken, words put right" in text
    assert "text alone" in text
    assert "It was going to be a long (stopped)" in text
