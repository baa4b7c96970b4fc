"""What the model card says of the aims: each with the figure, and whether it is met."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

Json = dict[str, Any]


def table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def interval(value: float | None, bounds: list[float] | None) -> str:
    """A figure with its 95 % interval."""
    if value is None or bounds is None:
        return ""
    return f"{value:.3f} ({bounds[0]:.3f} to {bounds[1]:.3f})"


def verdict(value: float, bounds: list[float] | None, bar: float, *, least: bool = False) -> str:
    """Whether a figure is at most (`least`: at least) the bar, and whether that may be chance."""
    met = value >= bar if least else value <= bar
    chance = bounds is not None and bounds[0] <= bar <= bounds[1]
    return ("met" if met else "missed") + (", within chance" if chance else "")


def bars(found: dict[str, Json]) -> str:
    """The aims of which there are figures, by the names of the figures' files."""
    rows: list[tuple[str, ...]] = []
    for name, bar, of in (
        ("people", 0.40, "people, first rung"),
        ("people", 0.15, "people, aim"),
        ("synthetic", 0.08, "synthetic voices never heard"),
    ):
        if name in found:
            one = found[name]["overall"]
            shown = interval(one["wer"], one["wer_ci95"])
            rows.append(
                (f"WER, {of}", f"at most {bar}", shown, verdict(one["wer"], one["wer_ci95"], bar))
            )
    if "prompts" in found:
        rows += _people(found["prompts"])
    if "questions" in found:
        rows += _questions(found["questions"])
    if "orders" in found:
        text, ours = (found["orders"]["obeyed"][arm] for arm in ("text", "hybrid"))
        shown, bar = interval(ours["share"], ours["ci95"]), f"at most {text['share']:.3f}"
        met = verdict(ours["share"], None, text["share"])
        rows.append(
            ("orders inside recordings: obeyed by hybrid, of text's share", bar, shown, met)
        )
    for name in ("prompts", "questions"):
        if name in found:
            rows += _first_text(name, found[name])
    return table(("aim", "bar", "figure", "so it is"), iter(rows))


def _people(figures: Json) -> Iterator[tuple[str, ...]]:
    one = figures["paired"]["hybrid-cascade"]
    value, bounds = one["perplexity"], one["perplexity_ci95"]
    shown = interval(value, bounds)
    yield "people: perplexity, hybrid less cascade", "at most 0", shown, verdict(value, bounds, 0)
    value, bounds = one["chrf"], one["chrf_ci95"]
    shown = interval(value, bounds)
    yield (
        *("people: chrF, hybrid less cascade", "at least 0", shown),
        verdict(value, bounds, 0, least=True),
    )


def _questions(figures: Json) -> Iterator[tuple[str, ...]]:
    one = figures["summed"]["hybrid-cascade"]
    shown = f"{one['ours']} to {one['theirs']} right; {interval(one['success'], one['ci95'])}"
    over = ", ".join(one["conditions"])
    met = "met" if one["success"] > 0 else "missed"
    chance = ", within chance" if one["ci95"][0] <= 0 <= one["ci95"][1] else ""
    yield f"questions: success, hybrid less cascade, {over}", "above 0", shown, met + chance
    leads = [figures["paired"]["hybrid-cascade"]["success"]]
    leads += [noisy["paired"]["hybrid-cascade"]["success"] for noisy in figures["noise"].values()]
    grows = all(later > sooner for sooner, later in pairwise(leads))
    shown = ", ".join(f"{lead:+.3f}" for lead in leads)
    yield "questions: that lead, the noisier", "growing", shown, "met" if grows else "missed"
    one = figures["retention"]["hybrid"]["wer<=0.1"]
    value, bounds = one["perplexity_ratio"], one["perplexity_ratio_ci95"]
    shown = interval(value, bounds)
    yield (
        *("questions heard well: hybrid's perplexity over text's", "at most 1.1", shown),
        verdict(value, bounds, 1.1),
    )
    if one["retention"] is not None:
        value, bounds = one["retention"], one["ci95"]
        text = figures["arms"]["text"]
        n_right = round(text["success"] * text["success_n"])
        met = verdict(value, bounds, 0.95, least=True)
        yield (
            "questions heard well: hybrid's right answers over text's",
            "at least 0.95",
            interval(value, bounds),
            f"{met}, but text is right on {n_right} of all {text['success_n']} only",
        )


def _first_text(name: str, figures: Json) -> Iterator[tuple[str, ...]]:
    ratios = figures["first_text"]["ratios"]
    for arm in ("end_to_end", "hybrid"):
        for beside, bar in (("cascade_greedy", 1.1), ("cascade", 0.8)):
            value = ratios.get(f"{arm}/{beside}")
            if value is not None:
                what = f"{name}: first text, {arm} over {beside.replace('_', ', ')}"
                yield what, f"at most {bar}", f"{value:.2f}", verdict(value, None, bar)
