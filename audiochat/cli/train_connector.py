"""`audiochat train responses` and `train align`: a connector, through the frozen LLM."""

import argparse
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from tqdm import tqdm

from audiochat.cli.options import check_output, show_progress
from audiochat.cli.training_run import SHARE, Steps, add_length, add_step, ended, number, whole
from audiochat.errors import DataError
from audiochat.speech_data.packed import packed_folders
from audiochat.training.config import ALIGN_RECIPES, AlignRecipe, LlmType

if TYPE_CHECKING:
    from audiochat.model.checkpoint import TrainedParts
    from audiochat.model.ear import Read
    from audiochat.model.language_model import LanguageModel
    from audiochat.model.torch_engine import TorchLanguageModel
    from audiochat.training.align import AlignStage
    from audiochat.training.examples import Example
    from audiochat.training.train import Run

_SETTINGS = (
    "connector", "batch_examples", "kl_weight", "encoder_rate", "dtype", "shard_llm", "seed",
)  # fmt: skip
"""Of the recipe, that options change."""

N_HELD_OUT = 48
"""Examples to validate on where no others are given."""


def add_responses(steps: Steps) -> None:
    """Add `train responses`."""
    parser = add_step(steps, "responses", _responses, "let the frozen LLM answer transcripts")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="packed folders")
    parser.add_argument("--out", type=Path, required=True, help="JSONL, continued if begun")
    parser.add_argument("--count", type=whole(1), default=1000, help="exercises to answer")
    parser.add_argument("--human-share", type=SHARE, default=0.6, help="of the recordings")
    parser.add_argument(
        "--max-new-tokens", type=whole(1), default=AlignRecipe().max_response_tokens
    )
    parser.add_argument("--seed", type=int, default=1)
    _add_llm(parser)


def _responses(options: argparse.Namespace) -> None:
    from audiochat.training.exercises import Planner, by_name
    from audiochat.training.responses import Written, write_responses

    speech = [source for folder in options.speech for source in packed_folders(folder)]
    planner = Planner(by_name(speech), human_share=options.human_share, seed=options.seed)
    exercises = planner.plan(options.count)
    lm = _torch_llm(options.llm, options.device, options.dtype or AlignRecipe().dtype)
    progress = Written(0)
    began = time.monotonic()
    with tqdm(total=len(exercises), unit="response") as bar:
        for progress in write_responses(
            lm, exercises, options.out, max_new_tokens=options.max_new_tokens
        ):
            bar.update(progress.done - bar.n)
    rate = progress.new / (time.monotonic() - began)
    print(
        f"{progress.new} responses, {rate:.2f} a second, "
        f"{progress.left_out} of them not worth learning"
    )


def _torch_llm(llm: str | None, device: str, dtype: str) -> "TorchLanguageModel":
    """The frozen LLM on the engine that gradients flow through; the embedded one when None."""
    import torch

    from audiochat.model.embedded_llm import prepare
    from audiochat.model.torch_engine import TorchLanguageModel

    folder = prepare("torch", show_progress) if llm in {None, "embedded"} else Path(str(llm))
    return TorchLanguageModel.load(folder, device=device, dtype=getattr(torch, dtype))


def _llm_name(llm: str | None) -> str:
    """As a weights folder says it: "embedded", or the whole path of its folder."""
    return "embedded" if llm in {None, "embedded"} else str(Path(str(llm)).resolve())


def add_align(steps: Steps) -> None:
    """Add `train align`."""
    parser = add_step(steps, "align", _align, "train a connector through the frozen LLM")
    parser.add_argument("--recipe", choices=sorted(ALIGN_RECIPES), default="embedded")
    parser.add_argument(
        "--weights", type=Path, required=True, help="the ear; the result goes there"
    )
    parser.add_argument("--connector", choices=("hybrid", "end_to_end"), help="the recipe's own")
    parser.add_argument("--fresh", action="store_true", help="forget the connector that is there")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="packed folders")
    parser.add_argument("--responses", type=Path, required=True)
    parser.add_argument("--noise", type=Path, help="spoil every other recording, with these noises")
    parser.add_argument("--dev", type=Path, nargs="+", help="packed, held out, to validate on")
    parser.add_argument("--dev-responses", type=Path, help="the responses to --dev")
    parser.add_argument("--out", type=Path, required=True, help="the run, resumed if begun")
    parser.add_argument("--batch-examples", type=whole(1), help="examples to a step")
    parser.add_argument("--kl-weight", type=SHARE, help="share of the distillation loss")
    parser.add_argument(
        "--encoder-rate", type=number(), help="train the ear at this share of the rate"
    )
    parser.add_argument(
        "--shard-llm", action=argparse.BooleanOptionalAction, help="over the processes, if several"
    )
    parser.add_argument(
        "--shrink", type=SHARE, help="write a hybrid with this share of its residual, at the end"
    )
    parser.add_argument("--seed", type=int)
    parser.add_argument("--json", type=Path, metavar="OUT", help="the figures of the run")
    add_length(parser, 20)
    _add_llm(parser)


def _add_llm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--llm", help="embedded, or the folder of a Llama-family model")
    parser.add_argument("--dtype", choices=get_args(LlmType), help="of the LLM's weights")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda (%(default)s)")


def _align(options: argparse.Namespace) -> None:
    recipe = _recipe(options)  # before the slow imports, as it may be wrong usage
    from audiochat.training.align import AlignStage
    from audiochat.training.processes import Processes
    from audiochat.training.sharding import shard_layers
    from audiochat.training.train import Run, RunSettings

    processes = Processes(options.device)
    recipe = _spread(recipe, processes.count)
    if options.json:
        check_output(options.json)
    if bool(options.dev) != bool(options.dev_responses):
        raise DataError("--dev and --dev-responses go together.")
    lm = _torch_llm(options.llm, processes.device, recipe.dtype)
    parts = _parts(options, recipe, lm)
    parts.modules().to(processes.device)
    train_set, held_out = _examples(options, recipe, parts, lm)
    if recipe.shard_llm:
        shard_layers(lm, processes)
    stage = AlignStage(recipe, parts, lm, train_set=train_set, held_out=held_out)
    settings = RunSettings(
        options.out,
        options.minutes,
        options.steps,
        options.part_minutes,
        validate_together=recipe.shard_llm,
        seed=recipe.seed,
    )
    run = Run(stage, settings, processes)
    figures = run.run()
    if processes.rank:
        return
    if ended(run.share, options.weights):
        with run.averaged():
            _write(parts, options)
    _tell(options, stage, run, figures)


def _write(parts: "TrainedParts", options: argparse.Namespace) -> None:
    from audiochat.model.checkpoint import save_parts
    from audiochat.model.connector import HybridConnector

    hybrid = parts.connectors.get("hybrid")
    if options.shrink is not None and isinstance(hybrid, HybridConnector):
        hybrid.shrink(options.shrink)
    save_parts(parts, options.weights)


def _parts(
    options: argparse.Namespace, recipe: AlignRecipe, lm: "TorchLanguageModel"
) -> "TrainedParts":
    """The ear, and the connector to be trained: the one that is there, or a fresh one."""
    import torch

    from audiochat.model.checkpoint import load_parts
    from audiochat.training.align import warn_of_the_others, with_connector

    torch.manual_seed(recipe.seed)  # of a fresh connector's weights
    parts = with_connector(
        load_parts(options.weights),
        recipe.connector,
        lm,
        llm=_llm_name(options.llm),
        fresh=options.fresh,
    )
    if recipe.encoder_rate:
        warn_of_the_others(parts, recipe.connector)
    return parts


def _tell(
    options: argparse.Namespace, stage: "AlignStage", run: "Run", figures: dict[str, float]
) -> None:
    """Print a run's figures, and write them where --json says."""
    for name, value in figures.items():
        print(f"{name} {value:.3f}")
    if not options.json:
        return
    # Here, as it needs a package that the other steps of the recipe do without.
    from audiochat.evaluation.provenance import write_json

    told = {
        "settings": {name: getattr(stage.recipe, name) for name in _SETTINGS},
        "steps": run.progress.step,
        "elapsed_s": round(run.progress.elapsed_s, 1),
        "train_n": len(stage.train_set),
        "held_out_n": len(stage.held_out),
        "figures": figures,
    }
    write_json(options.json, told)


def _recipe(options: argparse.Namespace) -> AlignRecipe:
    """The recipe with what the options change; it is wrong usage not to name the LLM it needs."""
    given = {name: getattr(options, name) for name in _SETTINGS}
    recipe = ALIGN_RECIPES[options.recipe]
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    if recipe.llm != "embedded" and options.llm is None:
        options.usage_error(
            f"--recipe {options.recipe} is meant for {recipe.llm}, and for {recipe.speech}: say "
            "with --llm FOLDER where the LLM is."
        )
    if options.shrink is not None and recipe.connector != "hybrid":
        options.usage_error("--shrink goes with --connector hybrid: the other has no residual.")
    return recipe


def _spread(recipe: AlignRecipe, n_processes: int) -> AlignRecipe:
    """The recipe with the LLM whole where there are no processes to spread it over."""
    if recipe.shard_llm and n_processes < 2:
        logging.info("One process trains: the LLM stays whole in it, whatever --shard-llm says.")
        return replace(recipe, shard_llm=False)
    return recipe


def _reading_llm(options: argparse.Namespace, lm: "TorchLanguageModel") -> "LanguageModel":
    """The LLM that has its say on the words heard: on a CPU by the page's engine, the faster."""
    from audiochat.model.embedded_llm import embedded_llm

    on_page = _llm_name(options.llm) == "embedded" and lm.device.type == "cpu"
    return embedded_llm("onnx", progress=show_progress) if on_page else lm


def _examples(
    options: argparse.Namespace,
    recipe: AlignRecipe,
    parts: "TrainedParts",
    lm: "TorchLanguageModel",
) -> tuple[list["Example"], list["Example"]]:
    """To train on, and to validate on: of --dev, or the last of the others."""
    from audiochat.model.weights_folder import beam_reader
    from audiochat.speech_data.augmentation import STRONG, Augmentation
    from audiochat.training.examples import hear_examples
    from audiochat.training.exercises import by_name
    from audiochat.training.responses import read_responses

    read = beam_reader(options.weights, parts.units, _reading_llm(options, lm))

    def heard(
        folders: list[Path],
        responses: Path,
        read: "Read | None",
        augmentation: Augmentation | None = None,
    ) -> list["Example"]:
        speech = [source for folder in folders for source in packed_folders(folder)]
        told = read_responses(responses, lm)
        examples = hear_examples(
            told,
            by_name(speech),
            parts,
            lm,
            read=read,
            max_response_tokens=recipe.max_response_tokens,
            augmentation=augmentation,
        )
        return list(tqdm(examples, total=len(told), unit="clip", desc="hearing"))

    harder = None
    if options.noise:
        harder = Augmentation(STRONG, noise_folder=options.noise, seed=recipe.seed)
    # Connector A takes no words: they are chosen with care where the cascade is beside it.
    read_all = recipe.connector == "hybrid" or not options.dev
    examples = heard(options.speech, options.responses, read if read_all else None, harder)
    held_out = heard(options.dev, options.dev_responses, read) if options.dev else []
    if not held_out:
        examples, held_out = examples[:-N_HELD_OUT], examples[-N_HELD_OUT:]
    if not examples:
        raise DataError(
            f"{options.responses} has too few responses to recordings: {N_HELD_OUT} are held out "
            "to validate. Make more with `train responses --count`."
        )
    return examples, held_out
