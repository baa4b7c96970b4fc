"""`python -m audiochat COMMAND`: finds the command and hands it the rest of the line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from audiochat.cli import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 data or model trouble, 2 usage."""
    return run(list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
