"""`audiochat train`: from manifests and text to a weights folder, one step a subcommand."""

import argparse
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tqdm import tqdm

from audiochat.cli.options import show_progress
from audiochat.errors import DataError
from audiochat.speech_data.manifest import Manifest, read_manifest
from audiochat.speech_data.packed import pack_manifest, packed_folders
from audiochat.speech_data.spoken_form import spoken_form, tidy
from audiochat.training.config import CTC_RECIPES, AlignRecipe

if TYPE_CHECKING:
    from audiochat.model.torch_engine import TorchLanguageModel

Steps: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: list[str]) -> int:
    """Run one step of the recipe."""
    options = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.step(options)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The subcommands in the order they are run."""
    parser = argparse.ArgumentParser(prog="audiochat train", description=__doc__)
    steps = parser.add_subparsers(required=True, metavar="STEP")
    _add_pack(steps)
    _add_synthesize(steps)
    _add_ctc(steps)
    _add_responses(steps)
    _add_align(steps)
    return parser


def _step(
    steps: Steps, name: str, function: Callable[[argparse.Namespace], None], help_text: str
) -> argparse.ArgumentParser:
    parser = steps.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(step=function)
    return parser


def _add_pack(steps: Steps) -> None:
    parser = _step(steps, "pack", _pack, "decode a manifest's clips once, for fast reading")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--audio-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)


def _pack(options: argparse.Namespace) -> None:
    manifest = read_manifest(options.manifest, options.audio_root)
    lines = tuple(
        line if line.spoken != line.text else replace(line, spoken=spoken_form(tidy(line.text)))
        for line in manifest.lines
    )
    name = str(options.manifest)
    packed = pack_manifest(
        Manifest(lines, manifest.problems), options.out, name=name, workers=options.workers
    )
    for problem in packed.problems:
        logging.warning(problem)
    skipped = len(packed.problems)
    print(f"{len(lines) - skipped + len(manifest.problems)} clips packed, {skipped} skipped")


def _add_synthesize(steps: Steps) -> None:
    parser = _step(steps, "synthesize", _synthesize, "make speech from text lines")
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="JSONL, also .gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--hours",
        nargs="+",
        required=True,
        metavar="ENGINE=HOURS",
        help="espeak, kal16, kal, slt, awb; e.g. espeak=20 kal16=8",
    )
    parser.add_argument("--cap", type=int, default=16_000, help="most lines from one file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)


def _synthesize(options: argparse.Namespace) -> None:
    from audiochat.speech_data.synthesis import plan_parts, read_text_lines, synthesize

    lines = read_text_lines(options.text, cap=options.cap, seed=options.seed)
    parts = []
    for pair in options.hours:
        engine, _, hours = pair.partition("=")
        try:
            wanted = float(hours)
        except ValueError as error:
            raise DataError(
                f"--hours takes ENGINE=HOURS, as in espeak=20; got {pair!r}."
            ) from error
        parts += plan_parts(lines, engine, wanted, folder=options.out, seed=options.seed)
    bar = tqdm(total=len(parts), unit="part")
    failures = 0
    for _, failed in synthesize(parts, workers=options.workers):
        failures += failed
        bar.update()
    print(f"{len(parts)} parts made; {failures} lines no voice could say")


def _add_ctc(steps: Steps) -> None:
    parser = _step(steps, "ctc", _ctc, "train the encoder on packed speech")
    parser.add_argument("--recipe", choices=sorted(CTC_RECIPES), default="embedded")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="packed folders")
    parser.add_argument("--dev", type=Path, nargs="*", default=[], help="packed, held out")
    parser.add_argument("--noise", type=Path, help="folder of noises and room responses")
    parser.add_argument("--out", type=Path, required=True, help="the run, resumed if begun")
    parser.add_argument("--weights", type=Path, help="write the finished weights folder here")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--steps", type=int, help="instead of --minutes")
    parser.add_argument("--batch-s", type=float, help="seconds of speech to a step")
    parser.add_argument("--human-weight", type=float, help="draws of a human clip to one made")
    parser.add_argument("--device", default="cpu")


def _ctc(options: argparse.Namespace) -> None:
    from audiochat.model.checkpoint import TrainedParts, save_parts
    from audiochat.model.config import AudioChatLlamaConfig
    from audiochat.model.units import Units
    from audiochat.training.ctc import CtcStage
    from audiochat.training.train import Run, RunSettings

    recipe = CTC_RECIPES[options.recipe]
    given = {"batch_s": options.batch_s, "human_weight": options.human_weight}
    recipe = replace(recipe, **{name: value for name, value in given.items() if value})
    speech = [source for folder in options.speech for source in packed_folders(folder)]
    dev = [source for folder in options.dev for source in packed_folders(folder)]
    options.out.mkdir(parents=True, exist_ok=True)
    units_file = options.out / "units.json"
    if not units_file.exists():
        texts = (clip.spoken for source in speech for clip in source)
        Units.trained(texts, recipe.encoder.n_units).save(units_file)
    stage = CtcStage(
        recipe,
        speech,
        dev,
        units=Units.load(units_file),
        noise_folder=options.noise,
        device=options.device,
    )
    hours = sum(source.hours for source in speech)
    millions = sum(weights.numel() for weights in stage.modules.parameters()) / 1e6
    print(f"{hours:.1f} hours of speech, {millions:.2f} M parameters")
    run = Run(stage, RunSettings(options.out, minutes=options.minutes, steps=options.steps))
    for name, rate in run.run().items():
        print(f"{name}: word error rate {rate:.3f}")
    if options.weights and _ended(run.share, options.weights):
        config = AudioChatLlamaConfig(encoder=recipe.encoder)
        save_parts(TrainedParts(config, stage.units, stage.modules.cpu(), {}), options.weights)


def _add_responses(steps: Steps) -> None:
    parser = _step(steps, "responses", _responses, "let the frozen LLM answer transcripts")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="packed folders")
    parser.add_argument("--out", type=Path, required=True, help="JSONL, continued if begun")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--human-share", type=float, default=0.5)
    parser.add_argument("--max-new-tokens", type=int, default=AlignRecipe().max_response_tokens)
    parser.add_argument("--seed", type=int, default=1)
    _add_llm(parser)


def _responses(options: argparse.Namespace) -> None:
    from audiochat.training.responses import choose_clips, write_responses

    speech = [source for folder in options.speech for source in packed_folders(folder)]
    chosen = choose_clips(speech, options.count, human_share=options.human_share, seed=options.seed)
    bar = tqdm(total=len(chosen), unit="response")
    written = write_responses(
        _torch_llm(options.llm, options.device),
        speech,
        chosen,
        options.out,
        max_new_tokens=options.max_new_tokens,
    )
    for count in written:
        bar.update(count - bar.n)


def _torch_llm(llm: str, device: str) -> "TorchLanguageModel":
    """The frozen LLM on the engine that gradients flow through."""
    from audiochat.model.embedded_llm import embedded_llm
    from audiochat.model.torch_engine import TorchLanguageModel

    if llm != "embedded":
        return TorchLanguageModel.load(Path(llm), device=device)
    lm = embedded_llm("torch", device=device, progress=show_progress)
    assert isinstance(lm, TorchLanguageModel)
    return lm


def _add_align(steps: Steps) -> None:
    parser = _step(steps, "align", _align, "train a connector through the frozen LLM")
    parser.add_argument(
        "--weights", type=Path, required=True, help="the ear; the result goes there"
    )
    parser.add_argument("--connector", choices=("hybrid", "end_to_end"), required=True)
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="packed folders")
    parser.add_argument("--responses", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the run, resumed if begun")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--steps", type=int, help="instead of --minutes")
    _add_llm(parser)


def _add_llm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--llm", default="embedded", help="or the folder of a Llama-family model")
    parser.add_argument("--device", default="cpu")


def _align(options: argparse.Namespace) -> None:
    from audiochat.model.checkpoint import load_parts, save_parts
    from audiochat.training.align import AlignStage, with_connector
    from audiochat.training.responses import read_responses
    from audiochat.training.train import Run, RunSettings

    lm = _torch_llm(options.llm, options.device)
    llm = options.llm if options.llm == "embedded" else str(Path(options.llm).resolve())
    parts = with_connector(load_parts(options.weights), options.connector, lm, llm=llm)
    speech = [source for folder in options.speech for source in packed_folders(folder)]
    recipe = AlignRecipe(connector=options.connector)
    stage = AlignStage(
        recipe, parts, lm, speech=speech, responses=read_responses(options.responses)
    )
    run = Run(stage, RunSettings(options.out, minutes=options.minutes, steps=options.steps))
    for name, value in run.run().items():
        print(f"{name} {value:.3f}")
    if _ended(run.share, options.weights):
        save_parts(parts, options.weights)


def _ended(share: float, weights: Path) -> bool:
    """Whether the run got to its end; a stopped one is not annealed, so it writes no weights."""
    if share < 1:
        print(f"stopped at {share:.0%}; run the command again to go on, {weights} is as it was")
    return share >= 1
