"""The folder of a recording: everything that is written of it, but the video."""

import os
from pathlib import Path

from audiochat.audio import encode_wav
from audiochat.errors import DataError
from audiochat.recording import Recording
from audiochat.recording.archive import write_zip
from audiochat.recording.captions import srt, transcript, vtt
from audiochat.recording.document import NAME, document
from audiochat.recording.timeline import lay_out
from audiochat.recording.web_page import PAGE_NAME, web_page

ZIP_NAME = "conversation.zip"


def make_folder(folder: Path) -> None:
    """Make the folder, or take one that is there and empty, before there is anything to lose.

    Raises:
        DataError: it is no folder, is not empty, or nothing may be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder} cannot be made a folder ({error.strerror or error}). Name another."
        ) from error
    if taken:
        raise DataError(f"{folder} is not empty. Name a new folder, so that nothing is lost.")
    if not os.access(folder, os.W_OK):
        raise DataError(f"Nothing may be saved in {folder}. Choose a folder that is yours.")


def contents(recording: Recording) -> dict[str, bytes]:
    """Every file of a recording by its path, but the zip and the video."""
    timeline = lay_out(recording)
    text, sounds = document(recording)
    texts = {
        NAME: text,
        "transcript.txt": transcript(recording, timeline),
        "conversation.vtt": vtt(timeline),
        "conversation.srt": srt(timeline),
        PAGE_NAME: web_page(recording, timeline),
    }
    return {
        # A terminal may have handed over half a character, which no file can hold.
        **{name: text.encode("utf-8", "replace") for name, text in texts.items()},
        **{name: encode_wav(sound) for name, sound in sounds.items()},
    }


def write(recording: Recording, folder: Path) -> None:
    """Write every file but the video into a folder that is there."""
    files = contents(recording)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    write_zip(folder / ZIP_NAME, files, recording.created)
