"""The layers of the package and the limits of its files, read from the syntax trees."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = [ROOT / "app.py", *sorted((ROOT / "audiochat").rglob("*.py"))]

# From the ground up; a module may import its own layer and those below it.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "torchaudio_guard",
        "audio",
        "audio_decoding",
        "audio_limits",
        "sampling",
        "conversation",
        "prompts",
        "sentences",
        "turn_taking",
        "hands_free",
    ),
    # The model asks espeak-ng how the words it may have heard are pronounced.
    ("model", "backends.base", "voices.base", "voices.espeak"),
    # speech_data stands beside the engines, for it makes speech with one of them.
    ("backends", "voices", "speech_data"),
    ("turn",),
    ("recording",),
    ("training", "evaluation", "serving", "ui"),
    ("cli", "__main__", "app", ""),
)
APART = ("training", "evaluation", "serving", "ui")
"""Neighbours of one layer that never import one another."""

TABLES = {"backends/__init__.py", "voices/__init__.py", "cli/__init__.py"}
"""The only places that import by name."""

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 5
MAX_MODULE_DOCSTRING_LINES = 5


def short_name(path: Path) -> str:
    """`audiochat/model/features.py` as "model.features", `app.py` as "app"."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "audiochat" else parts
    return ".".join(parts[:-1] if parts[-1:] == ("__init__",) else parts)


NAMES = {short_name(path) for path in SOURCES}


def layer_of(name: str) -> int:
    """The layer of a module, by the longest entry of LAYERS that holds it."""
    while True:
        for rank, members in enumerate(LAYERS):
            if name in members:
                return rank
        assert "." in name, f"audiochat.{name} has no place in LAYERS"
        name = name.rpartition(".")[0]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in the file."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                inside = whole.removeprefix("audiochat.") in NAMES
                yield whole if whole.startswith("audiochat.") and inside else str(node.module)


def own_imports(path: Path) -> set[str]:
    """The project's own modules that a file imports, by short name."""
    own = {name for name in imports(path) if name.split(".")[0] == "audiochat"}
    return {name.removeprefix("audiochat").removeprefix(".") for name in own}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))


@each_source
def test_imports_point_down(path: Path) -> None:
    name = short_name(path)
    for imported in own_imports(path):
        assert layer_of(imported) <= layer_of(name), f"{name} imports {imported}, which is above it"
        ours, theirs = name.split(".")[0], imported.split(".")[0]
        neighbours = ours in APART and theirs in APART and ours != theirs
        assert not neighbours, f"{name} imports its neighbour {imported}"


PLACES = {
    "gradio": r"app\.py|audiochat/ui/.*",
    "TTS": r"audiochat/voices/coqui\.py",
    "sounddevice": r"audiochat/cli/.*",
    "spaces": r"app\.py",
}
"""Packages, and the only files that import them."""


@each_source
def test_a_package_stays_where_it_belongs(path: Path) -> None:
    imported = {name.split(".")[0] for name in imports(path)}
    for package, where in PLACES.items():
        if not re.fullmatch(where, str(path.relative_to(ROOT))):
            assert package not in imported


@each_source
def test_files_and_functions_are_short(path: Path) -> None:
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= MAX_FILE_LINES
    for function in functions(path):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        assert length <= MAX_FUNCTION_LINES, f"{function.name} has {length} lines"


@each_source
def test_few_parameters_are_positional(path: Path) -> None:
    for function in functions(path):
        positional = [*function.args.posonlyargs, *function.args.args]
        named = [arg for arg in positional if arg.arg not in {"self", "cls"}]
        assert len(named) <= MAX_POSITIONAL, f"{function.name} takes {len(named)}"


@each_source
def test_modules_say_briefly_what_they_hold(path: Path) -> None:
    docstring = ast.get_docstring(tree_of(path))
    assert docstring
    assert len(docstring.splitlines()) <= MAX_MODULE_DOCSTRING_LINES


@each_source
def test_only_the_tables_import_by_name(path: Path) -> None:
    if str(path.relative_to(ROOT / "audiochat" if path.name != "app.py" else ROOT)) in TABLES:
        return
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
    }
    assert not called & {"import_module", "__import__"}


def test_every_package_imported_is_required() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    assert all("==" in pin for pin in pins)
    required = {plain(pin.split("==")[0]) for pin in pins}
    distributions = packages_distributions()
    # Not on the index for every machine; their absence is handled where they are used.
    optional = {"spaces", "pocketsphinx", "ray", "vllm", "playwright"}
    for path in SOURCES:
        for top in {name.split(".")[0] for name in imports(path)}:
            if top in sys.stdlib_module_names or top == "audiochat" or top in optional:
                continue
            owners = {plain(name) for name in distributions.get(top, [top])}
            assert owners & required, f"{path.name} imports {top}; it is not in requirements.txt"


def test_every_requirement_has_a_reason() -> None:
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        assert "#" in line, f"no reason given for: {line}"


def plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower().split("[")[0]


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "import audiochat.__main__ as m\n"
        "m.main(['--help'])\n"
        "heavy = {'torch', 'transformers', 'gradio', 'onnxruntime'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
