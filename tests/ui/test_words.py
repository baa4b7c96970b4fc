"""The page in three languages: the dictionaries agree, and a visitor reads one language alone."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from audiochat.backends.base import Working
from audiochat.conversation import AudioPart, TimedWord
from audiochat.model.embedding_alignment import EmbeddingAlignment
from audiochat.turn import Timings
from audiochat.ui import heard_panel, render, settings_panel, state_line, words
from tests.conftest import ROOT
from tests.fakes import EchoBackend, tone
from tests.ui.visitor import REFUSES, ask, bubbles, upload

UI = ROOT / "audiochat" / "ui"
PLACE = re.compile(r"\{(\w+)\}")
OTHERS = ("zh", "es")
LOCALES = {"zh": "zh-CN", "es": "es-ES"}
MARKS_LEFT = """
[document.body.innerText, ...[...document.body.querySelectorAll("*")].flatMap((one) =>
    [one.value ?? "", ...[...one.attributes].map((attribute) => attribute.value)])]
    .filter((text) => String(text).includes("__i18n__"))
"""
GRADIO_RECORD = {"en": "Record", "zh": "录制", "es": "Grabar"}


def said_in_sources() -> str:
    """Every string of the package's Python, f-strings by their pieces."""
    trees = (ast.parse(path.read_text("utf-8")) for path in (ROOT / "audiochat").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return "\n".join(
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_dictionaries_agree(language: str) -> None:
    english, other = words.dictionary("en"), words.dictionary(language)
    assert list(other) == list(english)
    for key, text in other.items():
        assert text == text.strip() != "", key
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(english[key])), key
        assert re.findall(r"</?\w+>", text) == re.findall(r"</?\w+>", english[key]), key
        # ICU, in which Gradio reads its marks' words, has its own use for these.
        assert not (key.startswith(words.LABEL) and set(text) & set("{}'")), key


def test_every_key_is_used() -> None:
    paths = [path for path in UI.iterdir() if path.suffix in (".py", ".js")]
    sources = "\n".join(path.read_text("utf-8") for path in paths)
    tasks = {"label.task_french", "label.task_german", "label.task_spanish"}  # by their language
    for key in words.dictionary("en"):
        if not key.startswith(words.SAID) and key not in tasks:
            assert re.search(f'["@]{re.escape(key.removeprefix(words.LABEL))}"', sources), key


def test_every_sentence_ascribed_to_the_program_is_one_of_its_own() -> None:
    sources = said_in_sources()
    for key, text in words.dictionary("en").items():
        if not key.startswith(words.SAID) or key == "said.warning":  # Gradio's title of a toast
            continue
        for piece in re.split(r"\{\w+\}|[.,:] ", text):
            assert piece.strip(" …") in sources, (key, piece)


def test_presets_and_the_seed_have_their_labels() -> None:
    assert {*settings_panel.PRESETS, "own words"} == set(settings_panel.PRESET_KEYS)
    for language in words.LANGUAGES:
        assert str(settings_panel.ANY_SEED) in words.dictionary(language)["label.seed"]


def test_html_is_filled_with_english() -> None:
    filled = words.filled('<p class="x" data-words="keys.on"></p><i data-words-label="voice.mute">')
    assert filled == (
        '<p class="x" data-words="keys.on">keys on</p>'
        '<i data-words-label="voice.mute" aria-label="Mute the voice">'
    )
    assert "<b>English only</b>" in words.filled('<p data-words-html="about.english"></p>')
    with pytest.raises(KeyError):
        words.filled('<p data-words="no.such"></p>')


def test_the_inlined_dictionaries_cannot_end_their_element() -> None:
    assert words.inlined().count("</") == 1


# The page, in a browser that asks for a language.


def open_all(page) -> None:
    page.wait_for_selector(".state.ready")
    for panel in ("#settings", "#saving", "#mic-test-panel"):
        page.click(f"{panel} button, {panel} summary")
    page.evaluate("document.querySelector('#talk details').open = true")
    page.wait_for_selector("#preview", state="visible")


def assert_in(page, language: str) -> None:
    """Everything of the page is in that language; all of its panels are open."""
    said = words.dictionary(language)
    shown = page.inner_text("body")
    assert not page.evaluate(MARKS_LEFT)
    assert page.get_attribute("html", "lang").split("-")[0] == language
    assert page.inner_text("#mic .record-button").strip() == GRADIO_RECORD[language]
    for text in ("header.line", "examples.label", "talk.how", "talk.barge_in", "mic.test"):
        assert said[text] in shown, text
    hidden = (
        "load_again",
        "correct_words",
        "ask_again",
        "swap",
        "saved",
        "type_hint",
        "type",
        "record",
        "welcome",
    )
    choices = ("task_", "preset_", "voice_", "rival_none", "conversation")
    for key, text in said.items():
        name = key.removeprefix(words.LABEL)
        if key.startswith(words.LABEL) and name not in hidden and not name.startswith(choices):
            assert text in shown, key
    assert page.inner_text("#state-line").strip() == said["said.ready"].format(model="Echo")
    assert page.inner_text("#talk-switch") == said["talk.begin"]
    assert page.get_attribute("#box textarea", "placeholder") == said["label.type_hint"]
    assert page.input_value("#task input") == said["label.task_answer"]
    assert page.get_attribute("#mute", "aria-label") == said["voice.mute"]
    assert re.sub("<.*?>", "", said["about.kept"]) in shown
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("language", OTHERS)
def test_the_whole_page_is_in_the_browsers_language(stage, visit, language: str) -> None:
    said = words.dictionary(language)
    page = visit(stage.address, locale=LOCALES[language], viewport={"width": 360, "height": 740})
    welcome = re.sub("<[^<>]*>", "", said["label.welcome"])
    assert "".join(page.inner_text("#welcome").splitlines()) == welcome
    open_all(page)
    assert_in(page, language)
    for place, keys in (
        ("#task", [key for key in said if key.startswith("label.task_")]),
        ("#rival", ["label.rival_none"]),
    ):
        page.click(f"{place} input")
        options = page.get_by_role("option").all_inner_texts()
        assert all(any(said[key] in option for option in options) for key in keys)
        page.keyboard.press("Escape")


@pytest.mark.parametrize("language", OTHERS)
def test_what_the_server_says_of_a_turn_is_translated(stage, visit, language: str) -> None:
    backend = EchoBackend(confidence=0.2)
    said = words.dictionary(language)
    page = visit(stage.set(backend).address, locale=LOCALES[language])
    page.click(".example")
    page.wait_for_selector("#words")
    page.wait_for_selector("#chat small")
    assert bubbles(page) == [
        said["said.heard_unsure"].format(words="a clip of 1.5 seconds"),
        "Turn 1. You said: a clip of 1.5 seconds.",
    ]
    figures = page.inner_text("#chat small").split(" · ")
    forms = ("first_words", "first_sound")
    for figure, name in zip(figures, forms, strict=True):
        form = re.escape(said[f"said.{name}"]).replace(r"\{n\}", r"[\d.]+")
        assert re.fullmatch(form, figure)
    assert page.inner_text("#correct") == said["label.ask_again"]
    player = page.locator("#chat .minimal-audio-player").first
    assert player.get_attribute("aria-label").startswith(said["player.question"])
    # Gradio's share button uploads to another site; it goes by its name, which is translated too.
    shares = page.locator("#chat button[aria-label*='hare'], #chat button[aria-label='分享']")
    shares = shares.or_(page.locator("#chat button[aria-label='Compartir']"))
    assert shares.count() > 0
    assert not any(button.is_visible() for button in shares.all())


def test_what_a_person_edits_is_what_the_server_wrote(stage, visit) -> None:
    backend = EchoBackend(confidence=0.2)
    page = visit(stage.set(backend).address, locale="es-ES")
    page.click(".example")
    page.wait_for_selector("#words")
    page.fill("#words textarea, #words input", "a tone")
    page.click("#correct")
    page.wait_for_function(
        "document.querySelector('#chat').innerText.includes('Dijiste: «a tone»')"
    )
    page.wait_for_selector("#chat small")
    assert backend.conversations[-1].messages[-1].audio_parts[0].words == "a tone"
    ask(page, "I heard: “tea”")
    assert bubbles(page)[2] == "I heard: “tea”"  # typed, and so no sentence of the program
    page.click("#chat .what-heard")
    page.wait_for_selector("#insight .insight-correct")
    correct = words.dictionary("es")["said.correct"]
    assert page.inner_text("#insight .insight-correct") == correct
    page.click("#insight .insight-correct")
    assert page.locator("#insight .insight-form input").input_value() == "a tone"
    again = words.dictionary("es")["insight.ask_again"]
    assert page.inner_text("#insight .insight-form button") == again


def test_a_language_without_a_dictionary_gets_english_alone(stage, visit) -> None:
    page = visit(stage.address, locale="de-DE")
    open_all(page)
    page.wait_for_selector("html[lang=en]")
    assert_in(page, "en")


@pytest.mark.parametrize(
    ("language", "error", "key"),
    [("zh", "NotAllowedError", "mic.refused"), ("es", "NotReadableError", "mic.busy")],
)
def test_microphone_troubles(stage, visit, language: str, error: str, key: str) -> None:
    said = words.dictionary(language)
    page = visit(stage.address, script=REFUSES % error, locale=LOCALES[language])
    page.click("#mic button.record-button")
    page.wait_for_selector("#mic-trouble", state="visible")
    assert page.inner_text("#mic-trouble") == said[key].format(way_out=said["mic.way_out"])


@pytest.mark.parametrize("language", OTHERS)
def test_hands_free_names_its_states(stage, visit, language: str) -> None:
    said = words.dictionary(language)
    page = visit(stage.address, locale=LOCALES[language])
    page.wait_for_selector(".state.ready")
    page.click("#talk-switch")
    page.wait_for_function("window.audiochat.talk.state === 'listening'")
    assert page.inner_text("#talk-words") == said["talk.listening"]
    assert page.inner_text("#talk-switch") == said["talk.end"]
    page.click("#talk-switch")
    assert page.inner_text("#talk-words") == said["talk.off"]


def test_the_choice_of_a_language_changes_everything_at_once_and_stays(stage, visit) -> None:
    page = visit(stage.address, locale="es-ES")
    open_all(page)
    ask(page, "hello")
    for language in ("zh", "en", "es", "zh"):
        page.select_option("#language", language)
        page.wait_for_function(
            "text => document.querySelector('#settings').innerText.includes(text)",
            arg=words.dictionary(language)["label.model"],
        )
        assert_in(page, language)
        assert bubbles(page) == ["hello", "Turn 1. You said: hello."]  # nothing was loaded anew
    page.reload()
    page.wait_for_selector("#keys-on", state="attached")
    open_all(page)
    assert_in(page, "zh")
    page.wait_for_function("document.querySelector('#language').value === 'zh'")


def test_an_idle_page_is_left_alone_and_a_model_is_not_translated(stage, visit) -> None:
    page = visit(stage.address, locale="es-ES")
    page.wait_for_selector(".state.ready")
    ask(page, "Thinking …")
    assert bubbles(page) == ["Thinking …", "Turn 1. You said: Thinking …."]
    page.wait_for_function("!window.audiochat.player.sounding(100)")
    changes = page.evaluate("""
        () => new Promise((resolve) => {
            let seen = 0;
            const all = { childList: true, subtree: true, characterData: true, attributes: true };
            new MutationObserver((changes) => (seen += changes.length)).observe(document, all);
            setTimeout(() => resolve(seen), 1000);
        })
    """)
    assert changes == 0


def show(page, place: str, html: str) -> str:
    """Draw what the server would, and return what is read there."""
    return page.evaluate(
        """async ([place, html]) => {
            const drawn = document.createElement("div");
            drawn.id = place;
            drawn.innerHTML = html;
            document.body.append(drawn);
            await new Promise((resolve) => setTimeout(resolve, 50));
            const names = [...drawn.querySelectorAll("[aria-label]")].map((one) => one.ariaLabel);
            const shown = [drawn.innerText, ...names].join("\\n");
            drawn.remove();
            return shown;
        }""",
        [place, html],
    )


def test_every_state_is_translated(stage, visit) -> None:
    page = visit(stage.address, locale="zh-CN")
    parts = [Working("Listening", 2, 5).sentence, Working("Reading", 3, 5).sentence]
    stages = ["Waiting for the model", "Waiting for the voice", "Thinking", "Listening", "Writing"]
    stages.append("Turns before yours: 12")
    sentences = [f"{stage} …" for stage in (*stages, *parts)]
    sentences += ["Starting …", "Fetching the language model", "Unpacking the language model"]
    sentences += ["Converting the language model for onnx"]
    for sentence in sentences:
        shown = show(page, "state-line", state_line.drawn("busy", sentence)).strip()
        assert not re.search(r"[A-Za-z]{3,}", shown.replace("onnx", "")), shown
    sentence = "Not a sentence that is known: 3 s"
    assert show(page, "state-line", state_line.drawn("failed", sentence)).strip() == sentence


def test_the_panel_what_it_heard_is_translated(stage, visit) -> None:
    timed = (TimedWord("sure", 0.1, 0.3, 0.95), TimedWord("s", 0.9, 1.1, 0.6))
    alignment = EmbeddingAlignment(
        "hybrid", np.eye(2, dtype=np.float32), (0, 1), 0.4, 0.4, ("s", "u"), ((0, 0.1), (0.5, 0.6))
    )
    html = heard_panel.panel(AudioPart(tone(2.0), "sure s", 0.6, "sun", timed), "")
    html += heard_panel.alignment_picture(alignment)
    page = visit(stage.address, locale="es-ES")
    shown = show(page, "insight", f'<section class="insight-part">{html}</section>')
    for line in (
        "Seguro de 1 de 2 palabras. Menos seguro de “s” (bastante seguro).",
        "Lo corregiste así: «sun»",
        "Pulsa una palabra para oírla:",
        "60 % bastante seguro",
        "inseguro",
        "¿No dijiste eso? Corrige las palabras y recibe otra respuesta",
        "Cómo encaja el sonido con las palabras",
        "0.40 es cuánto más cerca",
        "Este modelo parte de las palabras que oyó",
        "sure, a los 0.1 segundos, seguro, 95 %. Reproducir desde aquí",
        "Volumen de la grabación a lo largo de 2.0 segundos",
        "Tu grabación",
    ):
        assert line in shown, line
    assert "\nsure\n" in shown  # a word that was said
    assert not re.search(r"\b(the|word|sound)\b", shown), shown


def test_an_error_that_is_not_known_is_shown_in_english(stage, visit, tmp_path: Path) -> None:
    page = visit(stage.address, locale="es-ES")
    fake = tmp_path / "song.wav"
    fake.write_bytes(b"this is no sound at all" * 100)
    upload(page, fake)
    page.wait_for_selector(".toast-body")
    assert page.inner_text(".toast-title").strip() == "Aviso"
    assert "not sound" in page.inner_text(".toast-body")


def test_two_replies_side_by_side_keep_the_models_words(stage, visit) -> None:
    timings = render.timing_line(Timings(None, 400.0, 900.0, 2000.0, 80.0, 12, 0, 30), whole=True)
    page = visit(stage.address, locale="es-ES")
    shown = show(
        page,
        "compared",
        f"<section><p>sure</p><h3>Waiting …</h3><small>{timings}</small></section>",
    )
    assert "sure" in shown.split()
    assert "Esperando…" in shown
    assert "primeras palabras a los 0.40 s · primer sonido" in shown
