"""A run's figures: rows appended to CSV files while it goes, and a picture of them at its end."""

import csv
import logging
import math
from pathlib import Path

log = logging.getLogger(__name__)

TRAINING = "curve.csv"
VALIDATION = "validation.csv"


def append(path: Path, row: dict[str, float]) -> None:
    """Add a row; columns it is the first to have are empty in those before it.

    A row that cannot be written is left out with a warning: it is not worth the run.
    """
    try:
        header = _header(path)
        new = [name for name in row if name not in header]
        if new:
            said = {name: str(value) for name, value in row.items()}
            _rewrite(path, [*header, *new], [*_rows(path), said])
            return
        with path.open("a", newline="", encoding="utf-8") as handle:
            csv.DictWriter(handle, header, restval="").writerow(row)
    except OSError as error:
        log.warning("%s: a row could not be written (%s)", path, error.strerror or error)


def drop_after(path: Path, step: int) -> None:
    """Leave out the rows past a step: a run that goes on from there writes them again."""
    try:
        rows = _rows(path)
        kept = [row for row in rows if _number(row.get("step")) <= step]
        if len(kept) < len(rows):
            _rewrite(path, _header(path), kept)
    except OSError as error:
        log.warning("%s: rows stay that come again (%s)", path, error.strerror or error)


def read(path: Path) -> dict[str, list[float]]:
    """The columns of a CSV file that `append` wrote; NaN where a row has no value."""
    rows = _rows(path)
    return {name: [_number(row.get(name)) for row in rows] for name in _header(path) if rows}


def _header(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return next(csv.reader(handle), [])


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _rewrite(path: Path, header: list[str], rows: list[dict[str, str]]) -> None:
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, header, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


def _number(value: str | None) -> float:
    """NaN for what is none, as in a row that a kill cut."""
    try:
        return float(value or "nan")
    except ValueError:
        return math.nan


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
