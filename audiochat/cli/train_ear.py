"""`audiochat train ctc`: packed speech to a trained ear."""

import argparse
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from audiochat.cli.training_run import (
    POSITIVE,
    SHARE,
    Steps,
    add_length,
    add_step,
    ended,
    named_number,
    number,
)
from audiochat.errors import DataError
from audiochat.speech_data.packed import PackedSpeech, packed_folders
from audiochat.training import curves
from audiochat.training.config import AUGMENTATIONS, CTC_RECIPES, CtcRecipe, OptimizerConfig

if TYPE_CHECKING:
    from audiochat.model.units import Units
    from audiochat.training.processes import Processes


def add_ctc(steps: Steps) -> None:
    """Add `train ctc`."""
    parser = add_step(steps, "ctc", _ctc, "train the encoder on packed speech")
    parser.add_argument("--recipe", choices=sorted(CTC_RECIPES), default="embedded")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="packed folders")
    parser.add_argument("--dev", type=Path, nargs="*", default=[], help="packed, held out")
    parser.add_argument("--noise", type=Path, help="folder of noises and room responses")
    parser.add_argument("--out", type=Path, required=True, help="the run, resumed if begun")
    parser.add_argument("--weights", type=Path, help="write the finished weights folder here")
    add_length(parser, 60)
    parser.add_argument("--batch-s", type=POSITIVE, help="seconds of speech to a step")
    parser.add_argument("--human-weight", type=POSITIVE, help="draws of a human clip to one made")
    parser.add_argument(
        "--set-weight", nargs="+", metavar="SET=TIMES", help="sets drawn more or less often"
    )
    parser.add_argument("--consistency", type=number(), help="weight of two views' agreement")
    parser.add_argument("--phone-weight", type=SHARE, help="share of the phone losses")
    parser.add_argument("--augment-from", type=SHARE, help="share of the run left unchanged")
    parser.add_argument(
        "--cool-down", type=number(high=1, above=True), help="share of the run that cools down"
    )
    parser.add_argument(
        "--rate", type=POSITIVE, default=1.0, help="times the recipe's peak rates (%(default)s)"
    )
    parser.add_argument(
        "--augmentation",
        nargs="+",
        choices=sorted(AUGMENTATIONS),
        help="how clips are changed: one throughout, or two, at the start and at the end",
    )
    parser.add_argument(
        "--dropout", type=number(high=0.9), help="share of values dropped while training"
    )
    parser.add_argument("--seed", type=int, help="of the draws; another one for a run gone on with")
    parser.add_argument("--start-from", type=Path, help="a weights folder to go on from")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda (%(default)s)")


def add_average(steps: Steps) -> None:
    """Add `train average`."""
    parser = add_step(steps, "average", _average, "average the ears of several runs")
    parser.add_argument("--weights", type=Path, nargs="+", required=True, help="folders, in order")
    parser.add_argument("--out", type=Path, required=True, help="the weights folder of the mean")


def _average(options: argparse.Namespace) -> None:
    from audiochat.model.checkpoint import load_parts, save_parts
    from audiochat.training.average import average_ears

    save_parts(average_ears([load_parts(folder) for folder in options.weights]), options.out)
    print(f"the mean of {len(options.weights)} ears, with the last one's connectors: {options.out}")


def _ctc(options: argparse.Namespace) -> None:
    from audiochat.model.checkpoint import TrainedParts, load_parts, save_parts
    from audiochat.model.config import AudioChatLlamaConfig
    from audiochat.training.ctc import CtcStage
    from audiochat.training.processes import Processes
    from audiochat.training.train import Run, RunSettings

    recipe = _ctc_recipe(options)
    processes = Processes(options.device)
    speech = [source for folder in options.speech for source in packed_folders(folder)]
    dev = [source for folder in options.dev for source in packed_folders(folder)]
    begun = load_parts(options.start_from) if options.start_from else None
    stage = CtcStage(
        recipe,
        speech,
        dev,
        units=begun.units if begun else _units(options.out, speech, recipe, processes),
        noise_folder=options.noise,
        device=processes.device,
        start_from=begun.ear if begun else None,
    )
    hours = sum(source.hours for source in speech)
    millions = sum(weights.numel() for weights in stage.modules.parameters()) / 1e6
    if processes.rank == 0:
        print(f"{hours:.1f} hours of speech, {millions:.2f} M parameters")
    settings = RunSettings(
        options.out, options.minutes, options.steps, options.part_minutes, seed=recipe.seed
    )
    run = Run(stage, settings, processes)
    rates = run.run()
    if processes.rank:
        return
    for name, rate in rates.items():
        print(f"{name}: word error rate {rate:.3f}")
    _print_speed(run.progress.audio_s * processes.count, run.progress.elapsed_s)
    if options.weights and ended(run.share, options.weights):
        config = AudioChatLlamaConfig(encoder=recipe.encoder)
        with run.averaged():
            save_parts(TrainedParts(config, stage.units, stage.modules.cpu(), {}), options.weights)
    if find_spec("matplotlib"):
        print(f"curves: {curves.plot(options.out)}")
    else:
        print(f"matplotlib is not installed: the curves stay in the CSV files of {options.out}")


def _ctc_recipe(options: argparse.Namespace) -> CtcRecipe:
    recipe = CTC_RECIPES[options.recipe]
    names = ("batch_s", "human_weight", "consistency", "phone_weight", "augment_from", "seed")
    given = {name: getattr(options, name) for name in names}
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    if options.dropout is not None:
        recipe = replace(recipe, encoder=replace(recipe.encoder, dropout=options.dropout))
    if options.set_weight:
        weights = [named_number(one, "--set-weight", "interviews=2") for one in options.set_weight]
        recipe = replace(recipe, set_weights=tuple(weights))
    if options.augmentation:
        recipe = _augmented(recipe, options.augmentation)
    _refuse_idle(recipe, options)
    return replace(recipe, optimizer=_optimizer(recipe.optimizer, options))


def _augmented(recipe: CtcRecipe, names: list[str]) -> CtcRecipe:
    if len(names) > 2:
        raise DataError("--augmentation takes one name, or two: at the start and at the end.")
    start, end = AUGMENTATIONS[names[0]], AUGMENTATIONS[names[-1]]
    return replace(recipe, augmentation=start, augmentation_at_end=end)


def _refuse_idle(recipe: CtcRecipe, options: argparse.Namespace) -> None:
    """An option that this recipe would never use is a mistake worth a word before the hours."""
    idle = []
    if recipe.augmentation is None or recipe.augment_from >= 1:
        idle += [name for name in ("noise", "consistency") if getattr(options, name)]
    if recipe.augmentation is None and options.augment_from is not None:
        idle.append("augment-from")
    if idle:
        options.usage_error(
            f"--{idle[0]} works on clips that are changed, and here none is: add --augmentation "
            "mild, and leave out --augment-from 1."
        )
    if options.phone_weight and not recipe.encoder.phones_every:
        options.usage_error(
            f"--phone-weight is of the phones that middle blocks guess, and the ears of "
            f"--recipe {options.recipe} guess none."
        )


def _optimizer(config: OptimizerConfig, options: argparse.Namespace) -> OptimizerConfig:
    rates = {name: getattr(config, name) * options.rate for name in ("muon_lr", "adam_lr")}
    if options.cool_down is not None:
        rates["cool_down_share"] = options.cool_down
    return replace(config, **rates)


def _units(
    folder: Path, speech: list[PackedSpeech], recipe: CtcRecipe, processes: "Processes"
) -> "Units":
    """The run's units, learnt from its own speech when it begins."""
    from audiochat.model.units import Units

    path = folder / "units.json"
    if processes.rank == 0 and not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        texts = (clip.spoken for source in speech for clip in source)
        Units.trained(texts, recipe.encoder.n_units).save(path)
    processes.wait()
    return Units.load(path)


def _print_speed(audio_s: float, elapsed_s: float) -> None:
    if elapsed_s:
        print(
            f"{audio_s / 3600:.2f} hours of speech in {elapsed_s / 60:.1f} minutes: "
            f"{audio_s / elapsed_s:.0f} hours an hour"
        )
