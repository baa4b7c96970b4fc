"""The shipped weights folder, and the n-gram model in it."""

import json
from pathlib import Path

import jiwer
import pytest

from audiochat.audio import decode
from audiochat.errors import ModelError
from audiochat.model.checkpoint import load_parts
from audiochat.model.ear import listen
from audiochat.model.weights_folder import beam_reader, weights_folder
from tests.conftest import ROOT

EXAMPLES = ROOT / "assets/examples"


def plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalpha() or c in "' ")


def test_the_shipped_model_hears_the_examples_no_worse_with_its_ngrams() -> None:
    folder = weights_folder("embedded")
    parts = load_parts(folder)
    read = beam_reader(folder, parts.units)
    assert read is not None
    lines = (EXAMPLES / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    said, greedy, searched = [], [], []
    for line in map(json.loads, lines):
        (hearing,) = listen(parts.ear, parts.units, [decode(EXAMPLES / line["audio"])])
        said.append(plain(line["text"]))
        greedy.append(plain(hearing.text))
        searched.append(plain(read(hearing).text))
    assert jiwer.wer(said, searched) <= jiwer.wer(said, greedy)
    assert jiwer.wer(said, searched) < 0.5


def test_weights_without_ngrams_are_read_greedily(tmp_path: Path) -> None:
    assert beam_reader(tmp_path, load_parts(weights_folder("embedded")).units) is None


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="no weights folder 'nowhere'"):
        weights_folder("nowhere")
