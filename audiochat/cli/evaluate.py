"""`evaluate`: how well the model hears (`asr`), and how well it answers by voice (`chat`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from audiochat import load
from audiochat.cli.evaluate_sets import add_sets, build
from audiochat.cli.options import check_output
from audiochat.errors import ModelError
from audiochat.evaluation import asr, chat, streamed
from audiochat.evaluation.arms import ARMS, TEXT, Setting, ask_all
from audiochat.evaluation.clips import Clip, ClipSet, read_clips, with_noise
from audiochat.evaluation.peers import PEERS
from audiochat.evaluation.provenance import write_json
from audiochat.model.alignment import Read
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.model.beam_search import BeamSearch
from audiochat.model.ngram import FILE_NAME, Ngrams
from audiochat.model.streaming import stream_context
from audiochat.prompts import DEFAULT_SYSTEM_PROMPT
from audiochat.sampling import Sampling


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command's options."""
    whole = argparse.ArgumentParser("python -m audiochat evaluate", description=__doc__)
    tasks = whole.add_subparsers(dest="task", required=True)
    hearing = tasks.add_parser("asr", help="word error rates", description=asr.__doc__)
    _add_shared(hearing)
    hearing.add_argument(
        "--streaming",
        type=_chunks,
        nargs="?",
        const=(1280,),
        metavar="CHUNK_MS,...",
        help="again while they are spoken, in chunks of so many milliseconds (1280)",
    )
    hearing.add_argument("--beam", action="store_true", help="read by beam search, greedily beside")
    hearing.add_argument("--lm", type=Path, metavar="FOLDER", help="the n-gram model for --beam")
    hearing.add_argument("--peer", choices=PEERS, help="another recogniser on the same clips")
    answering = tasks.add_parser("chat", help="answers by voice", description=chat.__doc__)
    _add_shared(answering)
    answering.add_argument("--arms", type=_arms, required=True, help=f"of {', '.join(ARMS)}")
    answering.add_argument("--system-prompt", default=DEFAULT_SYSTEM_PROMPT)
    answering.add_argument("--max-new-tokens", type=_tokens, default=64, metavar="N")
    add_sets(tasks)
    return whole


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    reader = build_parser()
    options = reader.parse_args(argv)
    if options.task == "sets":
        build(options)
        return 0
    if (options.snr is None) != (options.noise is None):
        reader.error("--snr and --noise go together")
    if options.task == "asr" and options.lm and not options.beam:
        reader.error("--lm goes with --beam")
    check_output(options.json)
    clips = read_clips(options.manifest, options.audio_root, options.limit)
    for problem in clips.problems:
        print(f"skipped: {problem}", file=sys.stderr)
    run = {"asr": _hear, "chat": _answer}[options.task]
    write_json(options.json, run(options, clips))
    return 0


def _hear(options: argparse.Namespace, clips: ClipSet) -> dict[str, Any]:
    """Run `evaluate asr` and print its figures."""
    # First, for a package that is missing should be said before an hour of listening.
    peer = PEERS[options.peer]() if options.peer else None
    model = load(options.model)

    def hear(clips: tuple[Clip, ...]) -> list[asr.HeardClip]:
        return asr.hear_all(lambda waveform: model.hear(waveform).text, clips)

    greedy = _use_beam(options, model, hear, clips) if options.beam else {}
    whole = hear(clips.clips)
    found = asr.report(whole, len(clips.problems)) | greedy
    _print_rates("overall", found["overall"])
    for name, figures in found["sets"].items():
        _print_rates(f"  {name}", figures)
    found["streaming"] = _hear_streamed(model, options.streaming or (), whole)
    found["noise"], found["peers"] = {}, {}
    for snr_db in options.snr or ():
        noisy = with_noise(clips.clips, options.noise, snr_db)
        found["noise"][f"{snr_db:g}"] = asr.summary(hear(noisy))
        _print_rates(f"noise, {snr_db:g} dB", found["noise"][f"{snr_db:g}"])
    if peer is not None:
        found["peers"][options.peer] = asr.summary(asr.hear_all(peer, clips.clips))
        _print_rates(options.peer, found["peers"][options.peer])
    return found


def _use_beam(
    options: argparse.Namespace,
    model: AudioChatLlama,
    hear: Callable[[tuple[Clip, ...]], list[asr.HeardClip]],
    clips: ClipSet,
) -> dict[str, Any]:
    """Hear the clips greedily, for comparison, then make the model read by beam search."""
    read = _beam_reader(options, model)
    model.read = None
    figures = asr.summary(hear(clips.clips), len(clips.problems))
    _print_rates("greedy", figures)
    model.close()  # forget the greedy hearings
    model.read = read
    return {"greedy": figures}


def _beam_reader(options: argparse.Namespace, model: AudioChatLlama) -> Read:
    """A beam search with the n-gram model given, or with the one that came with the weights."""
    if options.lm:
        return BeamSearch(model.parts.units, Ngrams.load(options.lm / FILE_NAME)).read
    if model.read:
        return model.read
    print(
        "The weights have no n-gram model: the beam search goes by sound alone. Make one with "
        "`python -m audiochat train lm`.",
        file=sys.stderr,
    )
    return BeamSearch(model.parts.units, None).read


def _hear_streamed(
    model: AudioChatLlama, chunks_ms: Sequence[int], whole: Sequence[asr.HeardClip]
) -> dict[str, Any]:
    """Hear the clips again in chunks of each length, and print what that costs and saves."""
    found = {}
    for chunk_ms in chunks_ms:
        context = stream_context(model.parts.config.encoder, chunk_ms)
        begin = partial(model.hear_while_speaking, context)
        rows = streamed.hear_streamed(begin, [row.clip for row in whole], model.read)
        figures = streamed.report(rows, whole)
        _print_streamed(f"streaming, {chunk_ms} ms", figures)
        for name, part in figures["sets"].items():
            _print_streamed(f"  {name}", part)
        found[str(chunk_ms)] = figures
    return found


def _answer(options: argparse.Namespace, clips: ClipSet) -> dict[str, Any]:
    """Run `evaluate chat` and print its figures."""
    model = load(options.model)
    setting = Setting(
        options.system_prompt, replace(Sampling(), max_new_tokens=options.max_new_tokens)
    )

    def answered(clips: tuple[Clip, ...]) -> list[chat.Answered]:
        asked = tqdm(clips, unit="clip", disable=not sys.stderr.isatty())
        return [chat.Answered(c, ask_all(model, c, options.arms, setting)) for c in asked]

    found = chat.report(answered(clips.clips), options.arms)
    for arm in options.arms:
        _print_arm(arm, found["arms"][arm], found["retention"].get(arm))
    found["noise"] = {}
    for snr_db in options.snr or ():
        rows = answered(with_noise(clips.clips, options.noise, snr_db))
        in_noise = {arm: chat.summary(rows, arm) for arm in options.arms}
        found["noise"][f"{snr_db:g}"] = {"arms": in_noise}
        for arm, figures in in_noise.items():
            _print_arm(f"{arm}, {snr_db:g} dB", figures, None)
    settings = {"model": options.model, **asdict(setting), "skipped": len(clips.problems)}
    return {"settings": settings, **found}


def _print_arm(name: str, figures: dict[str, Any], kept: dict[str, Any] | None) -> None:
    shown = {
        "success": figures["success"],
        "perplexity": figures["perplexity"],
        "chrF": figures["chrf"],
        "exact": figures["exact"],
        "WER": figures["wer"],
    }
    said = [f"{key} {value:.3f}" for key, value in shown.items() if value is not None]
    for rows, one in (kept or {}).items():
        if one["retention"] is not None:
            said.append(f"retention {one['retention']:.2f} ({rows} rows, n {one['n']})")
    if figures["first_text_ms"] is not None:
        said.append(f"first text {figures['first_text_ms']['median']:.0f} ms")
    print(f"{name:<20} {'  '.join(said)}  ({figures['n']} clips)", flush=True)


def _print_rates(name: str, figures: dict[str, Any]) -> None:
    low, high = figures["wer_ci95"]
    print(
        f"{name:<28} WER {figures['wer']:.3f} ({low:.3f} to {high:.3f})  CER {figures['cer']:.3f}  "
        f"{figures['clips']} clips, {figures['words']} words, "
        f"{figures['audio_s']:.0f} s at {figures['rtf']:.3f} of real time",
        flush=True,
    )


def _print_streamed(name: str, figures: dict[str, Any]) -> None:
    _print_rates(name, figures)
    low, high = figures["wer_cost_ci95"]
    tail = figures["tail_ms"]
    print(
        f"{'':<28} WER {figures['wer_cost']:+.3f} ({low:+.3f} to {high:+.3f}) beside the whole "
        f"clip; left to do at the end {tail['median']:.0f} ms, p95 {tail['p95']:.0f} ms",
        flush=True,
    )


def _add_shared(parser: argparse.ArgumentParser) -> None:
    """Add the options that both tasks take."""
    parser.add_argument("--manifest", type=Path, required=True, help="JSON lines with audio, text")
    parser.add_argument("--audio-root", type=Path, required=True, help="where the clips lie")
    parser.add_argument("--json", type=Path, required=True, metavar="OUT", help="the figures")
    parser.add_argument("--model", default="embedded", help="embedded, or a weights folder")
    parser.add_argument("--snr", type=_ratios, metavar="20,10", help="again in noise, in dB")
    parser.add_argument("--noise", type=Path, metavar="DIR", help="the noise for --snr")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N lines")


def _arms(value: str) -> tuple[str, ...]:
    arms = tuple(arm.strip() for arm in value.split(","))
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown or TEXT not in arms:
        raise argparse.ArgumentTypeError(
            f"choose of {', '.join(ARMS)}; {TEXT} is what the others are measured against"
        )
    return arms


def _ratios(value: str) -> tuple[float, ...]:
    return tuple(float(ratio) for ratio in value.split(","))


def _chunks(value: str) -> tuple[int, ...]:
    return tuple(_positive(one) for one in value.split(","))


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def _tokens(value: str) -> int:
    try:
        return Sampling(max_new_tokens=int(value)).max_new_tokens
    except ModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
