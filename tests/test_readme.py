"""The README does what it says: every command but the installs is run, every snippet too."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest

from audiochat.cli import COMMANDS
from audiochat.evaluation.page_process import page
from tests.conftest import ROOT
from tests.readme_tree import with_tree

README = (ROOT / "README.md").read_text(encoding="utf-8")
BODY = README.split("---\n", 2)[2].splitlines()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command of the shell blocks, those joined by && one by one."""
    shell = [text for language, text in BLOCKS if language == "bash"]
    lines = [line for text in shell for line in text.replace("\\\n", " ").splitlines()]
    plain = [re.sub(r"\s+#.*", "", line).strip() for line in lines]
    return [command for line in plain for command in line.split(" && ") if command]


COMMANDS_SHOWN = commands()
INSTALLS = [command for command in COMMANDS_SHOWN if command.startswith("pip ")]
TRAININGS = [c for c in COMMANDS_SHOWN if re.search(r"audiochat train (?!--help)", c)]
PAGES = [command for command in COMMANDS_SHOWN if command.startswith("python app.py")]
TESTS = [command for command in COMMANDS_SHOWN if command == "pytest"]
RUNS = [c for c in COMMANDS_SHOWN if c not in {*INSTALLS, *TRAININGS, *PAGES, *TESTS}]
SNIPPETS = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a clone's root, where what the commands write does no harm."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("app.py", "assets", "audiochat", "README.md", "requirements.txt"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def run(arguments: list[str], clone: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as the README's reader would, with nothing to read from."""
    return subprocess.run(
        arguments,
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def python_arguments(command: str) -> list[str]:
    first, *rest = shlex.split(command)
    assert first == "python", f"the README shows a program other than Python: {command}"
    return [sys.executable, *rest]


@pytest.mark.parametrize("command", RUNS)
def test_a_command_runs(command: str, clone: Path) -> None:
    done = run(python_arguments(command), clone)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs(snippet: str, clone: Path) -> None:
    done = run([sys.executable, "-c", snippet], clone)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_page_comes_up() -> None:
    assert PAGES == ["python app.py"]
    with page() as running, urlopen(running.url) as response:
        assert b"audiochat" in response.read()


@pytest.mark.parametrize("command", INSTALLS)
def test_an_install_names_what_is_there(command: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    words = shlex.split(command)
    for flag, value in pairwise(words):
        if flag == "-r":
            assert (ROOT / value).is_file()
        if flag == "-e":
            for extra in re.findall(r"\w+", value):
                assert extra in project["optional-dependencies"]


def test_the_training_commands_are_understood() -> None:
    module = import_module(COMMANDS["train"].target.split(":")[0])
    read = [module.build_parser().parse_args(shlex.split(one)[4:]) for one in TRAININGS]
    steps = {options.step.__name__ for options in read}
    assert steps == {"_pack", "_synthesize", "_ctc", "_lm", "_responses", "_align"}


def test_nothing_shown_is_left_untested() -> None:
    assert len(RUNS) >= 5
    assert SNIPPETS
    assert TESTS == ["pytest"]


def test_the_first_lines_are_enough_to_start() -> None:
    assert BODY[0].startswith("**audiochat** is")
    first_ten = "\n".join(BODY[:10])
    assert "pip install -r requirements.txt && python app.py" in first_ten
    assert "http://127.0.0.1:7860" in first_ten
    assert "from audiochat import load" in "\n".join(BODY[:20])
    assert 0 < BODY.index("## One turn") < BODY.index("## Train, evaluate, measure")


def test_the_tree_is_the_packages() -> None:
    assert with_tree(README) == README, "run: python -m tests.readme_tree --write"


def test_every_file_named_is_there() -> None:
    for name in re.findall(r"\b(?:assets|tests)/[\w./-]*\w", README):
        assert (ROOT / name).exists(), name
