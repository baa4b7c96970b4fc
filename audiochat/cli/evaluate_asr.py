"""`evaluate asr`: word error rates of the model, whole, streamed, in noise and beside a peer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from audiochat import load
from audiochat.audio import Waveform
from audiochat.cli.evaluate_options import add_shared, check_shared, positive, print_skipped
from audiochat.evaluation import asr, streamed
from audiochat.evaluation.clips import Clip, ClipSet, Noises, lay_noise, read_clips, read_noises
from audiochat.evaluation.peers import PEERS
from audiochat.evaluation.provenance import write_json
from audiochat.model.audio_chat_llama import AudioChatLlama
from audiochat.model.beam_search import BeamSearch
from audiochat.model.ear import Read
from audiochat.model.ngram import FILE_NAME, Ngrams
from audiochat.model.reader import Reader
from audiochat.model.streaming import stream_context


def add_asr(tasks: Any) -> None:
    """Add this task to the subparsers of `evaluate`."""
    hearing = tasks.add_parser("asr", help="word error rates", description=asr.__doc__)
    add_shared(hearing)
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
    hearing.set_defaults(run=run, parser=hearing)


def run(options: argparse.Namespace) -> int:
    """Run the task and return its exit code."""
    check_shared(options)
    if options.lm and not options.beam:
        options.parser.error("--lm goes with --beam")
    noises = read_noises(options.noise) if options.noise else ()
    clips = read_clips(options.manifest, options.audio_root, options.limit)
    print_skipped(clips.problems)
    write_json(options.json, _hear(options, clips, noises))
    return 0


def _hear(options: argparse.Namespace, clips: ClipSet, noises: Noises) -> dict[str, Any]:
    """Hear the clips in every way asked for, and print the figures."""
    # First, for a package that is missing should be said before an hour of listening.
    peer = PEERS[options.peer]() if options.peer else None
    model = load(options.model)

    def hear(
        clips: Sequence[Clip], waveforms: Iterable[Waveform] | None = None
    ) -> list[asr.HeardClip]:
        return asr.hear_all(lambda waveform: model.hear(waveform).text, clips, waveforms)

    greedy = _use_beam(options, model, hear, clips) if options.beam else {}
    whole = hear(clips.clips)
    found = asr.report(whole, len(clips.problems)) | greedy
    _print_rates("overall", found["overall"])
    for name, figures in found["sets"].items():
        _print_rates(f"  {name}", figures)
    found["streaming"] = _hear_streamed(model, options.streaming or (), whole)
    found["noise"], found["peers"] = {}, {}
    for snr_db in options.snr or ():
        noisy = lay_noise((clip.waveform for clip in clips.clips), noises, snr_db)
        found["noise"][f"{snr_db:g}"] = asr.summary(hear(clips.clips, noisy))
        _print_rates(f"noise, {snr_db:g} dB", found["noise"][f"{snr_db:g}"])
    if peer is not None:
        found["peers"][options.peer] = asr.summary(asr.hear_all(peer, clips.clips))
        _print_rates(options.peer, found["peers"][options.peer])
    return found


def _use_beam(
    options: argparse.Namespace,
    model: AudioChatLlama,
    hear: Callable[[Sequence[Clip]], list[asr.HeardClip]],
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
        return _reader(model, Ngrams.load(options.lm / FILE_NAME))
    if model.read:
        return model.read
    print(
        "The weights have no n-gram model: the beam search goes by sound alone. Make one with "
        "`python -m audiochat train lm`.",
        file=sys.stderr,
    )
    return _reader(model, None)


def _reader(model: AudioChatLlama, ngrams: Ngrams | None) -> Read:
    units = model.parts.units
    return Reader(BeamSearch(units, ngrams), model.lm)


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


def _chunks(value: str) -> tuple[int, ...]:
    return tuple(positive(one) for one in value.split(","))
