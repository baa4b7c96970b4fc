"""The bench command: what it prints and saves; the figures themselves are for a machine at rest."""

import json
from pathlib import Path

import pytest

from audiochat.__main__ import main
from audiochat.evaluation import latency, page_in_browser
from audiochat.evaluation.latency import MEASURES, Figure


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace every measurement by one that notes its name, on a machine at rest."""
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    taken: list[str] = []

    def take(name: str) -> Figure:
        taken.append(name)
        return Figure("ms", "at most 4", (1.0, 3.0, 2.0))

    for name in MEASURES:
        monkeypatch.setitem(MEASURES, name, lambda name=name: take(name))
    return taken


def test_every_figure_is_printed_with_its_machine(
    measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert "cores" in first
    assert measured == list(MEASURES) == [line.split()[0] for line in lines]
    assert "2 ms" in lines[0]
    assert "1 to 3, runs: 3 (aim: at most 4)" in lines[0]


def test_a_busy_machine_is_said(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (3.0, 0.0, 0.0))
    assert main(["bench", "--only", "page_up_s"]) == 0
    assert "Other programs are running (load 3.0)" in capsys.readouterr().out


def test_json_holds_the_runs(measured: list[str], tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    assert main(["bench", "--only", "page_up_s,resident_mb", "--json", str(out)]) == 0
    saved = json.loads(out.read_text())
    assert {"schema", "created", "commit", "command", "machine", "figures"} == set(saved)
    assert saved["schema"] == 1
    assert saved["machine"]["cores"] >= 1
    assert measured == list(saved["figures"]) == ["page_up_s", "resident_mb"]
    assert saved["figures"]["page_up_s"] == {
        "unit": "ms",
        "target": "at most 4",
        "runs": [1.0, 3.0, 2.0],
        "median": 2.0,
        "spread": [1.0, 3.0],
    }


def test_a_missing_folder_is_said_before_anything_is_measured(
    measured: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--json", str(tmp_path / "absent/bench.json")]) == 1
    assert "There is no folder" in capsys.readouterr().err
    assert measured == []


def test_an_unknown_figure_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--only", "page_up"])
    assert stopped.value.code == 2
    assert "page_up_s" in capsys.readouterr().err


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little work: that it can be measured is tested here, not how fast it is."""
    monkeypatch.setattr(latency, "N_RUNS", 2)
    monkeypatch.setattr(latency, "REPLY_TOKENS", 4)
    monkeypatch.setattr(latency, "QUESTIONS", latency.QUESTIONS[:3])


def test_the_speed_of_writing_is_measured_on_the_real_model(short: None) -> None:
    figure = latency.tokens_per_s_at_200()
    low, high = figure.spread
    assert 0 < low <= figure.median <= high
    assert len(figure.runs) == 2


def test_the_engines_are_compared_on_the_real_model(short: None) -> None:
    figure = latency.perplexity_ratio()
    assert len(figure.runs) == 3
    # Four tokens of a reply are few: the aim of 1.01 is for the whole bench.
    assert 0.8 < figure.median < 1.25


def test_a_question_of_five_seconds_is_answered(short: None) -> None:
    figure = latency.first_text_ms()
    assert len(figure.runs) == 2
    assert all(run > 0 for run in figure.runs)


def test_a_figure_that_lacks_a_part_is_named_and_the_others_are_taken(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page_in_browser.shutil, "which", lambda _: None)
    monkeypatch.setitem(MEASURES, "page_sound_ms", latency.page_sound_ms)
    assert main(["bench", "--only", "page_up_s,page_sound_ms"]) == 0
    out = capsys.readouterr().out
    assert "page_sound_ms         not measured: " in out
    assert "chromium" in out
    assert main(["bench", "--only", "page_sound_ms"]) == 1
