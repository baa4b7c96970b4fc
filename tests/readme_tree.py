"""Writes the README's tree from the first sentences of the modules: `python -m tests.readme_tree`.

With `--write` it goes into the README; a test compares the two.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

MARKED = re.compile(r"(<!-- tree:[^\n]*-->\n).*?(<!-- end of tree -->)", re.DOTALL)
COMMENT_COLUMN = 30
WIDEST = 120


def first_sentence(path: Path) -> str:
    """The module's docstring up to its first full stop, cut to the line's width."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    sentence = re.split(r"(?<=\w)[.;](?:\s|$)", paragraph)[0].rstrip(".")
    room = WIDEST - COMMENT_COLUMN
    return sentence if len(sentence) <= room else sentence[: room - 4].rsplit(" ", 1)[0] + " ..."


def rows(folder: Path, indent: str) -> Iterator[tuple[str, str]]:
    """The modules of a folder, then its sub-folders with theirs."""
    modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    for path in modules:
        yield indent + path.name, first_sentence(path)
    for sub in sorted(path for path in folder.iterdir() if (path / "__init__.py").is_file()):
        yield f"{indent}{sub.name}/", first_sentence(sub / "__init__.py")
        yield from rows(sub, indent + "  ")


def tree() -> str:
    """The whole tree as a block for the README."""
    listed = [
        ("app.py", first_sentence(ROOT / "app.py")),
        ("audiochat/", first_sentence(ROOT / "audiochat/__init__.py")),
        *rows(ROOT / "audiochat", "  "),
        ("assets/", "example clips, the ear's weights and their model card"),
        ("tests/", "the same folders; `tests/fakes.py` has the stand-ins"),
    ]
    lines = "\n".join(f"{name:<{COMMENT_COLUMN}}{what}".rstrip() for name, what in listed)
    return f"```\n{lines}\n```\n"


def with_tree(readme: str) -> str:
    """The README with the present tree in its place."""
    return MARKED.sub(lambda marks: marks[1] + tree() + marks[2], readme)


if __name__ == "__main__":
    README = ROOT / "README.md"
    if "--write" in sys.argv:
        README.write_text(with_tree(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tree(), end="")
