"""`audiochat train`: what it refuses before any work, and in what words."""

import pytest

from audiochat.cli.train import build_parser, main
from audiochat.cli.train_connector import _recipe, _spread
from audiochat.cli.train_ear import _ctc_recipe
from audiochat.errors import DataError
from audiochat.speech_data.augmentation import STRONG, AugmentationConfig
from audiochat.training.config import CTC_RECIPES

ALIGN = ("align", "--weights", "w", "--speech", "s", "--responses", "r", "--out", "o")


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What is said of a command line that is wrong usage."""
    with pytest.raises(SystemExit) as stopped:
        main(list(argv))
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_the_recipe_for_a_large_llm_wants_to_know_where_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refused(capsys, *ALIGN, "--recipe", "paper")
    assert "Llama-2-7b-chat" in said
    assert "Multilingual LibriSpeech" in said
    assert "--llm FOLDER" in said


def test_only_a_hybrid_has_a_residual_to_shrink(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, *ALIGN, "--connector", "end_to_end", "--shrink", "0.5")
    assert "--connector hybrid" in said


def test_the_llm_is_spread_only_over_several_processes(caplog: pytest.LogCaptureFixture) -> None:
    def recipe(n_processes: int, *more: str):
        options = build_parser().parse_args([*ALIGN, "--recipe", "paper", "--llm", "l", *more])
        return _spread(_recipe(options), n_processes)

    assert recipe(2).shard_llm
    assert not recipe(2, "--no-shard-llm").shard_llm
    with caplog.at_level("INFO"):
        assert not recipe(1, "--shard-llm").shard_llm
    assert "the LLM stays whole" in caplog.text
    assert recipe(1).dtype == "bfloat16"
    assert recipe(1, "--dtype", "float32").dtype == "float32"


CTC = ("ctc", "--speech", "s", "--out", "o")


def test_sets_are_weighed_by_name() -> None:
    options = build_parser().parse_args([*CTC, "--set-weight", "interviews=2", "phone=0.5"])
    assert _ctc_recipe(options).set_weights == (("interviews", 2.0), ("phone", 0.5))
    with pytest.raises(DataError, match=r"--set-weight.*interviews=2"):
        _ctc_recipe(build_parser().parse_args([*CTC, "--set-weight", "interviews"]))


def test_rates_augmentation_and_seed_are_set_by_flags() -> None:
    shipped = CTC_RECIPES["embedded"]
    flags = ("--rate", "0.3", "--augmentation", "strong", "mild", "--seed", "2")
    recipe = _ctc_recipe(build_parser().parse_args([*CTC, *flags]))
    for rate in ("muon_lr", "adam_lr"):
        expected = 0.3 * getattr(shipped.optimizer, rate)
        assert getattr(recipe.optimizer, rate) == pytest.approx(expected)
    assert (recipe.augmentation, recipe.augmentation_at_end) == (STRONG, AugmentationConfig())
    assert (recipe.augment_from, recipe.seed) == (0.0, 2)
    assert _ctc_recipe(build_parser().parse_args(CTC)) == shipped


def test_dropout_changes_how_an_ear_is_trained_and_not_what_it_is() -> None:
    recipe = _ctc_recipe(build_parser().parse_args([*CTC, "--dropout", "0.05"]))
    shipped = CTC_RECIPES["embedded"].encoder
    assert (recipe.encoder.dropout, shipped.dropout) == (0.05, 0.0)
    assert recipe.encoder == shipped
    with pytest.raises(SystemExit):
        build_parser().parse_args([*CTC, "--dropout", "1"])


def test_one_augmentation_serves_throughout_and_three_are_refused() -> None:
    flags = ("--augmentation", "strong", "--augment-from", "0.5")
    recipe = _ctc_recipe(build_parser().parse_args([*CTC, *flags]))
    assert (recipe.augmentation, recipe.augmentation_at_end) == (STRONG, STRONG)
    assert recipe.augment_from == 0.5
    with pytest.raises(DataError, match="one name, or two"):
        _ctc_recipe(build_parser().parse_args([*CTC, "--augmentation", *["mild"] * 3]))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--noise", "n", "--augment-from", "1"), "--noise works on clips that are changed"),
        (("--consistency", "0.2", "--recipe", "tiny"), "--consistency works on clips"),
        (("--augment-from", "0.5", "--recipe", "tiny"), "--augment-from works on clips"),
        (("--phone-weight", "0.4", "--recipe", "tiny"), "--phone-weight is of the phones"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _ctc_recipe(build_parser().parse_args([*CTC, *flags]))
    assert said in capsys.readouterr().err


def test_the_same_options_are_taken_where_clips_are_changed() -> None:
    flags = ("--noise", "n", "--consistency", "0.2", "--augmentation", "mild", "--recipe", "tiny")
    assert _ctc_recipe(build_parser().parse_args([*CTC, *flags])).consistency == 0.2
    unchanged = build_parser().parse_args([*CTC, "--augment-from", "1"])
    assert _ctc_recipe(unchanged).augment_from == 1


PACK = ("pack", "--manifest", "m", "--audio-root", "a", "--out", "o")


@pytest.mark.parametrize(
    ("command", "flag", "value"),
    [
        (("synthesize", "--text", "t", "--out", "o", "--hours", "espeak=1"), "--workers", "0"),
        (PACK, "--workers", "0"),
        (PACK, "--workers", "many"),
        (CTC, "--steps", "0"),
        (CTC, "--minutes", "0"),
        (CTC, "--minutes", "-1"),
        (CTC, "--minutes", "inf"),
        (CTC, "--minutes", "nan"),
        (CTC, "--part-minutes", "0"),
        (CTC, "--cool-down", "0"),
        (CTC, "--batch-s", "-3"),
        (ALIGN, "--batch-examples", "0"),
        (ALIGN, "--kl-weight", "1.5"),
    ],
)
def test_a_number_that_cannot_work_is_wrong_usage(
    command: tuple[str, ...], flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, *command, flag, value)
    assert f"argument {flag}: must be a" in said
    assert f"not '{value}'" in said
