"""Pictures of the figures of `evaluate chat`: success and perplexity over noise, for each arm.

Made from the report alone, so that an old report can be drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audiochat.errors import MissingPartError

COLOURS = {"text": "#555555", "cascade": "#d08a1d", "end_to_end": "#1f77b4", "hybrid": "#2a8f4f"}
MARKERS = {"text": "s", "cascade": "o", "end_to_end": "^", "hybrid": "D"}
PANELS = {
    "success": ("Right answers (share)", "success_ci95"),
    "perplexity": ("Perplexity of the text arm's reply", "perplexity_ci95"),
}
FILE_NAME = "chat"


def check_plots(folder: Path) -> None:
    """Make the folder, and make sure that pictures can be drawn, before an hour of asking.

    Raises:
        MissingPartError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingPartError(
            "matplotlib is not installed, so --plot cannot draw. Install it with "
            "`pip install -r requirements.txt`, or leave --plot out."
        )
    folder.mkdir(parents=True, exist_ok=True)


def plot_chat(report: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """Draw a report of `evaluate chat` as PNG and SVG, and return where they are."""
    from matplotlib.figure import Figure

    conditions = {"clean": report["arms"]}
    for snr_db in sorted(report["noise"], key=float, reverse=True):
        conditions[f"{snr_db} dB"] = report["noise"][snr_db]["arms"]
    shown = [
        key for key in PANELS if any(one[key] is not None for one in conditions["clean"].values())
    ]
    picture = Figure(figsize=(5.2 * max(1, len(shown)), 3.8), layout="constrained")
    panels = picture.subplots(1, len(shown), squeeze=False)[0]
    for axes, key in zip(panels, shown, strict=True):
        _draw(axes, conditions, key)
    handles, labels = panels[0].get_legend_handles_labels()
    picture.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        frameon=False,
        fontsize=9,
    )
    n = max(one["n"] for one in report["arms"].values())
    picture.suptitle(f"Spoken questions answered, {n} clips (bars: 95 % intervals)", fontsize=10)
    paths = tuple(folder / f"{FILE_NAME}.{kind}" for kind in ("png", "svg"))
    for path in paths:
        picture.savefig(path, dpi=150)
    return paths


def _draw(axes: Any, conditions: Mapping[str, Any], key: str) -> None:
    """One panel: a line for each arm over the conditions, the arms a little apart."""
    label, interval = PANELS[key]
    arms = list(conditions["clean"])
    for index, arm in enumerate(arms):
        points = [
            (
                place + 0.06 * (index - (len(arms) - 1) / 2),
                figures[arm][key],
                figures[arm][interval],
            )
            for place, figures in enumerate(conditions.values())
            if figures[arm][key] is not None
        ]
        if not points:
            continue
        at, values, intervals = (list(column) for column in zip(*points, strict=True))
        # A resampled interval may, by a hair, leave out its own value.
        below = [max(0.0, v - low) for v, (low, _) in zip(values, intervals, strict=True)]
        above = [max(0.0, high - v) for v, (_, high) in zip(values, intervals, strict=True)]
        style = {"color": COLOURS[arm], "marker": MARKERS[arm], "markersize": 5, "capsize": 3}
        label_of_arm = arm.replace("_", " ")
        axes.errorbar(at, values, yerr=[below, above], label=label_of_arm, linewidth=1.4, **style)
    axes.set_xticks(range(len(conditions)), list(conditions))
    axes.set_xlim(-0.5, len(conditions) - 0.5)
    axes.set_xlabel("Signal-to-noise ratio" if len(conditions) > 1 else "")
    axes.set_ylabel(label)
    if key == "success":
        axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
