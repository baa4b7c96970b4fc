"""Where figures come from: the machine, the commit and the command, stamped on every JSON."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

SCHEMA = 1
"""Of every JSON written here; raised when a field changes its meaning."""

SHOWN_VERSIONS = ("torch", "transformers", "onnxruntime", "gradio")


def stamp() -> dict[str, Any]:
    """Return what every JSON carries: schema, created, commit, command and machine."""
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "command": shlex.join(["python", "-m", "audiochat", *sys.argv[1:]]),
        "machine": machine(),
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Save stamped content, whole or not at all; the folder must be there."""
    partial = path.with_name(path.name + ".partial")
    text = json.dumps({**stamp(), **content}, indent=1, ensure_ascii=False, allow_nan=False)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores this process may use, memory, versions.

    `load` is what else was running (tasks, mean of a minute): figures of speed need it near 0.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": _gpu(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in SHOWN_VERSIONS},
    }


def commit() -> str | None:
    """Return the commit the package runs from ("+" after it: changed since), None outside git."""
    here = Path(__file__).parent
    if shutil.which("git") is None or not _git(here, "ls-files", Path(__file__).name):
        return None
    changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    return _git(here, "rev-parse", "HEAD") + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=False, capture_output=True, text=True
    )
    return done.stdout.strip()


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.is_file():
        for line in described.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu() -> str | None:
    # A process without torch has not used a GPU either.
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
