"""The model card's figures are those that the commands printed."""

import json

from tests.model_card import CARD, FIGURES, HEARING, with_figures


def test_the_card_has_the_figures_that_were_printed() -> None:
    card = CARD.read_text(encoding="utf-8")
    assert with_figures(card) == card, "run `python -m tests.model_card --write`"
    people = json.loads((FIGURES / "people.json").read_text(encoding="utf-8"))
    assert f"{people['overall']['wer']:.3f}" in card
    assert all((FIGURES / f"{name}.json").is_file() for name in HEARING)
