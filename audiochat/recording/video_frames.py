"""The still pictures of the video: one for each caption, with a list that says how long each stays.

The font comes with a required package, so that no font of the system is needed.
"""

from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from audiochat.conversation import Role
from audiochat.recording import Recording
from audiochat.recording.captions import SPEAKERS, heading, when
from audiochat.recording.timeline import Cue, Timeline

SIZE = (1280, 720)
WAVE_BOX = (80, 130, 1120, 240)
"""Left, top, width and height of the waves."""

COLOURS: dict[Role, str] = {"user": "#a5a1ff", "assistant": "#5fd3b3"}
GROUND, INK, QUIET = "#10131c", "#f4f5fa", "#a3abbe"

TITLE_WIDTH = 780
CAPTION_WIDTH = 1120
CAPTION_TOP = 440
TEXT_PX = (44, 34)
"""The smaller one for what would take more than three lines."""

LIST_NAME = "frames.txt"


def draw_frames(recording: Recording, timeline: Timeline, folder: Path) -> None:
    """Write the pictures and, for ffmpeg's concat, the list of them into `folder`."""
    still = _ground(recording)
    _save(still, folder / "still.png")
    shown: list[tuple[str, float]] = []
    now_s = 0.0
    for number, cue in enumerate(timeline.cues):
        if cue.start_s > now_s:
            shown.append(("still.png", cue.start_s - now_s))
        name = f"{number:06d}.png"
        _save(_with_caption(still, cue), folder / name)
        shown.append((name, cue.end_s - cue.start_s))
        now_s = cue.end_s
    # Concat does not heed how long the last picture stays: it is told twice.
    shown += [("still.png", max(0.04, timeline.duration_s - now_s)), ("still.png", 0.04)]
    lines = [f"file {name}\nduration {length_s:.3f}" for name, length_s in shown]
    (folder / LIST_NAME).write_text("\n".join(["ffconcat version 1.0", *lines, ""]))


def wrapped(text: str, size: int) -> list[str]:
    """Cut a caption into lines that fit the picture: at words, a long one inside."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if _width(joined, size) <= CAPTION_WIDTH:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if _width(lines[-1] + character, size) > CAPTION_WIDTH:
                lines.append("")
            lines[-1] += character
    return lines


def _ground(recording: Recording) -> Image.Image:
    """What every picture shows: the heading, and the two voices by their colours."""
    picture = Image.new("RGB", SIZE, GROUND)
    pen = ImageDraw.Draw(picture)
    title = heading(recording)[:200]
    size = next((px for px in (30, 24) if _width(title, px) <= TITLE_WIDTH), 24)
    while _width(title, size) > TITLE_WIDTH:
        title = title[:-2].rstrip() + "…"
    pen.text((80, 62), title, INK, _font(size), "lm")
    pen.text((80, 84), when(recording.created), QUIET, _font(22))
    right = SIZE[0] - 80
    for role in ("assistant", "user"):
        name = SPEAKERS[role]
        right -= round(_width(name, 26))
        pen.text((right, 47), name, COLOURS[role], _font(26))
        right -= 26
        pen.ellipse((right, 55, right + 16, 71), COLOURS[role])
        right -= 30
    return picture


def _with_caption(ground: Image.Image, cue: Cue) -> Image.Image:
    picture = ground.copy()
    pen = ImageDraw.Draw(picture)
    middle = SIZE[0] // 2
    pen.text((middle, CAPTION_TOP - 20), SPEAKERS[cue.role], COLOURS[cue.role], _font(28), "mm")
    size = next((px for px in TEXT_PX if len(wrapped(cue.text, px)) <= 3), TEXT_PX[-1])
    for number, line in enumerate(wrapped(cue.text, size)):
        y = CAPTION_TOP + 45 + 1.35 * size * number
        pen.text((middle, y), line, INK, _font(size), "mm")
    return picture


def _save(picture: Image.Image, path: Path) -> None:
    picture.save(path, compress_level=1)


def _width(text: str, size: int) -> float:
    return float(_font(size).getlength(text))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along: Latin, Greek, Cyrillic and more."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
