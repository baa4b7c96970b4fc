"""Writes the figures of the model card from what `evaluate` printed: `python -m tests.model_card`.

With `--write` they go into the card; a test compares the two. The JSON files lie beside the
weights in `figures/`, without their rows: `--take NAME FILE` puts one there, and
`--take-connectors FOLDER` those of `train align --json`.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.model_card_bars import Json, bars, interval, table

CARD = ROOT / "assets/embedded/README.md"
FIGURES = ROOT / "assets/embedded/figures"
MARKED = re.compile(r"(<!-- figures:[^\n]*-->\n).*?(<!-- end of figures -->)", re.DOTALL)

SETS = {
    "commonvoice13_delta_en": "people, Common Voice",
    "speechocean762": "people, speechocean762",
    "speechbrain_samples": "people, Harvard sentences",
    "minds14_en": "people on the telephone, MInDS-14 (machine transcripts)",
}
HEARING = {
    "people": "People of the dev set into their own microphones",
    "telephone": "People of the dev set on the telephone",
    "synthetic": "Synthetic voices never trained on",
}
"""The files of `evaluate asr`, by name, with what they are of."""

ANSWERING = {
    "questions": "Spoken questions with known answers, by voices never trained on",
    "prompts": "People of the dev set as prompts, against the text arm's replies",
    "context": "Questions whose rare name stands in the history (60 of them were tuned on)",
    "mixed": "Turns typed and spoken in every order",
    "tasks": "The four tasks",
    "long": "Recordings of one to three minutes",
    "orders": "Recordings with an order inside, to be summarised or translated",
}
"""The files of `evaluate chat`."""

NLL = ("audio", "shuffled", "cascade", "text")
"""What the LLM reads before the responses, as `train align` names it."""

FEWEST = 5
"""Clips of a group for its figures to be shown; smaller ones are in the JSON."""


def read(name: str) -> Json | None:
    """What one run printed, None if it is not there."""
    path = FIGURES / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def provenance(figures: Json) -> str:
    """When, on what and by which command the figures were printed."""
    machine = figures["machine"]
    command = re.sub(
        r"(--\S+) (/\S+)", lambda found: f"{found[1]} {Path(found[2]).name}", figures["command"]
    )
    known = figures["commit"] or "unknown"
    commit = known[:7] + (" with changes" if known.endswith("+") else "")
    return (
        f"`{command}`, {figures['created'][:10]}, commit {commit}, {machine['processor']}, "
        f"{machine['cores']} cores, load {machine['load']}.\n"
    )


def rate(figures: Json) -> tuple[str, ...]:
    """The cells of one summary."""
    low, high = figures["wer_ci95"]
    clips, words = str(figures["clips"]), str(figures["words"])
    return clips, words, f"{figures['wer']:.3f} ({low:.3f} to {high:.3f})", f"{figures['cer']:.3f}"


def hearing(figures: Json) -> str:
    """The tables of one `evaluate asr`."""

    def rows() -> Iterator[tuple[str, ...]]:
        yield ("all", *rate(figures["overall"]))
        if "greedy" in figures:
            yield ("all, greedy", *rate(figures["greedy"]))
        if len(figures["sets"]) > 1:
            yield from ((SETS.get(name, name), *rate(one)) for name, one in figures["sets"].items())
        for field, groups in figures["groups"].items():
            large = {name: one for name, one in groups.items() if one["clips"] >= FEWEST}
            yield from ((f"{field} {name}", *rate(one)) for name, one in large.items())
        yield from ((f"noise at {name} dB", *rate(one)) for name, one in figures["noise"].items())
        for name, one in figures.get("streaming", {}).items():
            yield (f"streamed in {name} ms chunks", *rate(one))
        yield from ((f"peer {name}", *rate(one)) for name, one in figures["peers"].items())

    columns = ("what", "clips", "words", "WER (95 % interval)", "CER")
    text = provenance(figures) + "\n" + table(columns, rows())
    text += f"\nReal time factor {figures['overall']['rtf']:.3f}"
    if "greedy" in figures:
        text += f", read greedily {figures['greedy']['rtf']:.3f}"
    for name, one in figures.get("streaming", {}).items():
        tail, (low, high) = one["tail_ms"], one["wer_cost_ci95"]
        text += (
            f"; streaming in {name} ms chunks costs a WER of {one['wer_cost']:+.3f} ({low:+.3f} to "
            f"{high:+.3f}) and leaves {tail['median']:.0f} ms (p95 {tail['p95']:.0f}) to do when a "
            "recording has ended"
        )
    return text + ".\n"


def answering(figures: Json) -> str:
    """The tables of one `evaluate chat`: all cases, each task and set of several, in noise."""

    def row(when: str, arm: str, one: Json) -> tuple[str, ...]:
        done = "" if one["done"] is None else f"{interval(one['done'], one['done_ci95'])}"
        wer = "" if one["wer"] is None else f"{one['wer']:.3f}"
        return (
            *(when, arm, str(one["n"]), done),
            interval(one["perplexity"], one["perplexity_ci95"]),
            interval(one["chrf"], one["chrf_ci95"]),
            f"{one['exact']:.3f}",
            wer,
        )

    def rows() -> Iterator[tuple[str, ...]]:
        yield from (row("quiet", arm, one) for arm, one in figures["arms"].items())
        parts = figures.get("tasks") or figures.get("sets") or {}  # a set of each task is the same
        for name, found in parts.items():
            yield from (row(name, arm, one) for arm, one in found["arms"].items())
        for snr_db, noisy in figures["noise"].items():
            arms = ((arm, one) for arm, one in noisy["arms"].items() if arm != "text")
            yield from (row(f"{snr_db} dB", arm, one) for arm, one in arms)

    columns = ("what", "arm", "cases", "task done", "perplexity", "chrF", "exact", "WER")
    return f"{provenance(figures)}\n{table(columns, rows())}\n" + "".join(compared(figures))


def compared(figures: Json) -> Iterator[str]:
    """Sentences on what the arms have before one another."""
    for when, found in {"quiet": figures, **figures["noise"]}.items():
        where = when if when == "quiet" else f"{when} dB"
        for pair, one in found["paired"].items():
            if pair.endswith("-cascade"):
                right = "" if one["success"] is None else f"success {one['success']:+.3f}, "
                yield (
                    f"* {pair}, {where}: {right}perplexity "
                    f"{interval(one['perplexity'], one['perplexity_ci95'])}, "
                    f"chrF {interval(one['chrf'], one['chrf_ci95'])}\n"
                )
    yield from (
        f"* {pair}, right answers over {', '.join(one['conditions'])}: {one['ours']} to "
        f"{one['theirs']}, success {interval(one['success'], one['ci95'])}\n"
        for pair, one in figures["summed"].items()
        if one["n"] and pair.endswith("-cascade")
    )
    yield from held(figures)
    yield from sooner(figures)


def sooner(figures: Json) -> Iterator[str]:
    """A sentence on when the first text comes, beside the cascade of the same run."""
    greedy = figures["first_text"]["cascade_greedy"]
    ratios = figures["first_text"]["ratios"]
    for arm in figures["arms"]:
        took = figures["arms"][arm]["first_text_ms"]
        beside = [ratios.get(f"{arm}/{name}") for name in ("cascade_greedy", "cascade")]
        if took and greedy and all(beside):
            yield (
                f"* {arm}, first text: median {took['median']:.0f} ms, {beside[0]:.2f} times that "
                f"of the greedy cascade and {beside[1]:.2f} times that of the cascade\n"
            )


def held(figures: Json) -> Iterator[str]:
    """Sentences on what is kept of the text arm's replies, and on orders and histories."""
    for arm, kept in figures["retention"].items():
        one = kept["wer<=0.1"]
        if ratio := interval(one["perplexity_ratio"], one["perplexity_ratio_ci95"]):
            right = interval(one["retention"], one["ci95"])
            yield (
                f"* {arm}, cases heard with a WER of at most 0.1 ({one['perplexity_n']}): "
                f"perplexity {ratio} times the text arm's"
                + (f", right answers {right} times\n" if right else "\n")
            )
    for arm, one in figures.get("obeyed", {}).items():
        yield f"* {arm} obeyed {interval(one['share'], one['ci95'])} of {one['n']} orders\n"
    for arm, worth in figures.get("history", {}).get("arms", {}).items():
        for what in ("success", "perplexity"):
            if (one := worth[what]) and (gain := interval(one["difference"], one["ci95"])):
                yield f"* {arm}, with the history less without it: {what} {gain}\n"


def connectors(figures: Json) -> str:
    """The table of several `train align`, the best of each connector first."""

    def rows() -> Iterator[tuple[str, ...]]:
        cells = figures["cells"]
        for cell in sorted(cells, key=lambda one: one["figures"]["audio_nll"]):
            settings, found = cell["settings"], cell["figures"]
            yield (
                settings["connector"],
                "cross-entropy" if not settings["kl_weight"] else "and distillation",
                "frozen" if not settings["encoder_rate"] else f"at {settings['encoder_rate']:g}",
                str(settings["seed"]),
                str(cell["steps"]),
                *(f"{found[f'{name}_nll']:.3f}" for name in NLL),
            )

    columns = ("connector", "loss", "encoder", "seed", "steps", *NLL)
    return provenance(figures["cells"][0]) + "\n" + table(columns, rows())


def picture(name: str) -> str:
    """The picture that `--plot` drew, where it lies beside the figures as NAME.png."""
    if not (FIGURES / f"{name}.png").exists():
        return ""
    return f"\n![Success and perplexity of every arm over noise](figures/{name}.png)\n"


def figures() -> str:
    """All figures as the card has them."""
    found = {name: read(name) for name in (*HEARING, *ANSWERING)}
    parts = [f"### The aims\n\n{bars({name: one for name, one in found.items() if one})}"]
    parts += [
        f"### {title}\n\n{hearing(found)}"
        for name, title in HEARING.items()
        if (found := read(name))
    ]
    parts += [
        f"### {title}\n\n{answering(found)}{picture(name)}"
        for name, title in ANSWERING.items()
        if (found := read(name))
    ]
    if found := read("connectors"):
        parts.append(
            "### Connectors compared\n\nNegative log-likelihood a token of the LLM's responses to "
            f"people of the dev set, and to the words of another.\n\n{connectors(found)}"
        )
    return "\n".join(parts)


def with_figures(card: str) -> str:
    """The card with the present figures in their place."""
    return MARKED.sub(lambda marks: marks[1] + figures() + marks[2], card)


def without_rows(value: Any) -> Any:
    """The same without the single clips."""
    if not isinstance(value, dict):
        return value
    return {key: without_rows(one) for key, one in value.items() if key != "rows"}


def take(name: str, printed: Path) -> None:
    """Put what a run printed beside the weights, without its rows."""
    found = json.loads(printed.read_text(encoding="utf-8"))
    FIGURES.mkdir(exist_ok=True)
    text = json.dumps(without_rows(found), indent=1, ensure_ascii=False)
    (FIGURES / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def take_connectors(folder: Path) -> None:
    """Put what the runs of `train align --json` in a folder printed into one file."""
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    text = json.dumps({"cells": cells}, indent=1, ensure_ascii=False)
    (FIGURES / "connectors.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if "--take-connectors" in sys.argv:
        take_connectors(Path(sys.argv[2]))
    elif "--take" in sys.argv:
        take(sys.argv[2], Path(sys.argv[3]))
    elif "--write" in sys.argv:
        CARD.write_text(with_figures(CARD.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(figures(), end="")
