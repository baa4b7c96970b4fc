"""The model card's figures are those that the commands printed."""

import json
import re

from audiochat.evaluation.provenance import stamp
from tests.conftest import ROOT
from tests.model_card import CARD, FIGURES, HEARING, NLL, connectors, with_figures
from tests.model_card_bars import bars, verdict


def test_the_card_has_the_figures_that_were_printed() -> None:
    card = CARD.read_text(encoding="utf-8")
    assert with_figures(card) == card, "run `python -m tests.model_card --write`"
    people = json.loads((FIGURES / "people.json").read_text(encoding="utf-8"))
    assert f"{people['overall']['wer']:.3f}" in card
    assert all((FIGURES / f"{name}.json").is_file() for name in (*HEARING, "questions", "prompts"))


def test_an_aim_is_met_or_missed_and_chance_is_named() -> None:
    assert verdict(0.39, [0.33, 0.45], 0.4) == "met, within chance"
    assert verdict(0.39, [0.33, 0.45], 0.15) == "missed"
    assert verdict(-0.04, [-0.09, -0.01], 0, least=True) == "missed"
    assert verdict(1.05, None, 1.1) == "met"
    heard = {"overall": {"wer": 0.5, "wer_ci95": [0.45, 0.55]}}
    lines = bars({"people": heard}).splitlines()[2:]
    assert [line.split(" | ")[-1] for line in lines] == ["missed |", "missed |"]


def test_the_readme_has_the_cards_word_error_rates() -> None:
    people, telephone, synthetic = (
        json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("people", "telephone", "synthetic")
    )
    wanted = [one["overall"]["wer"] for one in (people, telephone, synthetic)]
    wanted.append(people["peers"]["pocketsphinx"]["wer"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"^How well it hears today,(.*?on the first)\.", readme, re.S | re.M)
    assert re.findall(r"\d+\.\d+", said) == [f"{wer:.2f}" for wer in wanted]


def test_connectors_are_listed_the_best_first() -> None:
    settings = {"connector": "hybrid", "kl_weight": 0.5, "encoder_rate": 0.0, "seed": 1}
    cells = [
        {
            **stamp(),
            "commit": None,  # outside git
            "settings": {**settings, "seed": seed},
            "steps": 10,
            "figures": {f"{name}_nll": nll for name in NLL},
        }
        for seed, nll in ((1, 1.75), (2, 1.5))
    ]
    first, second = connectors({"cells": cells}).splitlines()[-2:]
    assert first.startswith("| hybrid | and distillation | frozen | 2 | 10 | 1.500")
    assert second.startswith("| hybrid | and distillation | frozen | 1 | 10 | 1.750")
