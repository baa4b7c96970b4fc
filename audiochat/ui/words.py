"""The page's own words in English, Chinese and Spanish: `words/*.json`, the same keys in each.

The browser chooses the language: Gradio's components are given marks that it translates, the rest
is put in by `words.js`. What the model says, and most sentences of an error, stay English.
"""

import html
import json
import re
from functools import cache
from pathlib import Path

import gradio as gr

LANGUAGES = {"en": "English", "zh": "中文", "es": "Español"}
"""Their names, as people who read them look for them; the first is the one all sentences exist in.
"""

LABEL = "label."
"""Keys of the components' words.

Gradio translates a mark in a label, placeholder, button, accordion, and in the name of a choice.
English stay: the names that Gradio itself gives to parts for screen readers ("Play", "number input
for ..."), the names of models and voices, and the words of the example clips, which are recorded.
"""

SAID = "said."
"""Keys of sentences that this process says in English, here and in the layers below the page.

`words.js` knows them by their English words, so that nothing but the page learns of languages: not
`/chat`, not the message a person edits. An error that is not among them is shown in English.
"""

_FOLDER = Path(__file__).with_suffix("")
_TEXT = re.compile(r'<[^<>]*\sdata-words(?P<markup>-html)?="(?P<key>[\w.]+)"[^<>]*>')
_LABEL = re.compile(r'\sdata-words-label="(?P<key>[\w.]+)"')


@cache
def dictionary(language: str) -> dict[str, str]:
    """Return the words of one of LANGUAGES by their keys."""
    words: dict[str, str] = json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return words


def label(key: str) -> str:
    """Return what Gradio shows as the words of `key`; it may be a part of a longer text."""
    return str(gr.I18n()(LABEL + key))


def translations() -> gr.I18n:
    """Return what `launch` must be given for the marks of `label`."""
    return gr.I18n(
        **{
            language: {
                key: words for key, words in dictionary(language).items() if key.startswith(LABEL)
            }
            for language in LANGUAGES
        }
    )


def filled(markup: str) -> str:
    """Put the English words into HTML whose elements name their keys.

    `data-words` stands for an element's text, `data-words-html` for a text with markup in it, and
    `data-words-label` for the name that a screen reader says.
    """
    english = dictionary("en")

    def text(place: re.Match[str]) -> str:
        words = english[place["key"]]
        return place[0] + (words if place["markup"] else html.escape(words, quote=False))

    def name(place: re.Match[str]) -> str:
        return f'{place[0]} aria-label="{html.escape(english[place["key"]])}"'

    return _TEXT.sub(text, _LABEL.sub(name, markup))


def inlined() -> str:
    """Return the dictionaries as an element of the page's head, for `words.js`."""
    everything = {
        language: {
            k: words for k, words in dictionary(language).items() if k[: len(LABEL)] != LABEL
        }
        for language in LANGUAGES
    }
    # "</" would end the element, wherever it stands.
    dictionaries = json.dumps(everything, ensure_ascii=False).replace("</", "<\\/")
    return f'<script type="application/json" id="dictionaries">{dictionaries}</script>'
