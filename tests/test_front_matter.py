"""The README's front matter is what a Space is built from: it must agree with the pins."""

import re
import tomllib

import pytest
import yaml

from tests.conftest import ROOT

# Hugging Face Spaces takes a number from this list; ZeroGPU only 3.12 of these.
SPACES_PYTHONS = {"3.11", "3.12", "3.13"}


@pytest.fixture(scope="module")
def front_matter() -> dict[str, object]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    found: dict[str, object] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_the_space_installs_the_gradio_that_is_pinned(front_matter: dict[str, object]) -> None:
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.search(r"^gradio==(\S+)", pins, re.MULTILINE)
    assert pinned is not None
    assert front_matter["sdk"] == "gradio"
    assert front_matter["sdk_version"] == pinned.group(1)


def test_the_space_runs_a_python_the_package_allows(front_matter: dict[str, object]) -> None:
    python = front_matter["python_version"]
    # Unquoted, YAML would read 3.10 as the number 3.1.
    assert isinstance(python, str)
    assert python in SPACES_PYTHONS
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest, below = re.findall(r"3\.(\d+)", project["requires-python"])
    assert int(lowest) <= int(python.split(".")[1]) < int(below)


def test_the_space_starts_the_page(front_matter: dict[str, object]) -> None:
    assert (ROOT / str(front_matter["app_file"])).is_file()
    assert front_matter["license"] == "apache-2.0"
    assert len(str(front_matter["short_description"])) <= 60


def test_no_file_is_too_big_for_a_space() -> None:
    too_big = [
        path
        for folder in ("audiochat", "assets")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.stat().st_size > 10_000_000
    ]
    assert not too_big
