import json
import subprocess
from pathlib import Path

import pytest

from audiochat.evaluation.provenance import commit, machine, write_json
from tests.conftest import ROOT


def test_the_commit_is_the_repositorys() -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    found = commit()
    assert found is not None
    assert found.removesuffix("+") == head


def test_the_machine_is_described() -> None:
    described = machine()
    assert described["cores"] >= 1
    assert described["memory_gb"] > 0
    assert described["versions"]["onnxruntime"]


def test_json_is_stamped_and_whole(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    write_json(out, {"overall": {"wer": 0.5}})
    saved = json.loads(out.read_text())
    assert saved["overall"] == {"wer": 0.5}
    assert saved["command"].startswith("python -m audiochat")
    assert [path.name for path in out.parent.iterdir()] == ["figures.json"]


def test_what_is_not_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "figures.json", {"wer": float("nan")})
    assert not list(tmp_path.iterdir())
