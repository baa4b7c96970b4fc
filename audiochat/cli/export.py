"""`export`: a recorded conversation again as page, captions, transcript, zip and video."""

from __future__ import annotations

import argparse
from pathlib import Path

from audiochat.cli.live_recording import save
from audiochat.recording.folder import make_folder
from audiochat.recording.reading import read


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command's options."""
    parser = argparse.ArgumentParser("python -m audiochat export", description=__doc__)
    parser.add_argument("file", type=Path, help="conversation.json or conversation.zip")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="new or empty")
    parser.add_argument("--no-video", action="store_true", help="all but conversation.mp4")
    return parser


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(argv)
    recording = read(options.file)
    make_folder(options.to)
    save(recording, options.to, video=not options.no_video)
    for path in sorted(options.to.rglob("*")):
        if path.is_file():
            print(path)
    return 0
