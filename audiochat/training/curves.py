"""A run's figures: rows appended to CSV files while it goes, and a picture of them at its end."""

import csv
from pathlib import Path

TRAINING = "curve.csv"
VALIDATION = "validation.csv"


def append(path: Path, row: dict[str, float]) -> None:
    """Add a row; the first one names the columns."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def read(path: Path) -> dict[str, list[float]]:
    """The columns of a CSV file that `append` wrote; none if there is no such file."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}


def plot(folder: Path) -> Path:
    """Draw the training loss and what was validated over the minutes of work: curves.png."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    training, validation = read(folder / TRAINING), read(folder / VALIDATION)
    minutes = [seconds / 60 for seconds in training.get("elapsed_s", [])]
    for name in (name for name in training if name.endswith("loss")):
        left.plot(minutes, training[name], label=name, linewidth=0.8)
    minutes = [seconds / 60 for seconds in validation.get("elapsed_s", [])]
    for name in (name for name in validation if name not in {"step", "elapsed_s"}):
        right.plot(minutes, validation[name], label=name, marker=".")
    for axes, title in ((left, "training"), (right, "held out")):
        axes.set(title=title, xlabel="minutes of training")
        axes.grid(visible=True, alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    figure.savefig(folder / "curves.png", dpi=120)
    return folder / "curves.png"
