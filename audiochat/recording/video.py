"""The recording as an MP4, by the program ffmpeg: the voices' waves, captions, both voices.

The captions are drawn here and not by ffmpeg, whose builds may lack the filters and whose machine
may have no fonts; they are also in a subtitle track of their own, for players and search.
"""

import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

from audiochat.errors import DataError, MissingPartError
from audiochat.recording import Recording
from audiochat.recording.captions import srt
from audiochat.recording.sound_track import mixed
from audiochat.recording.timeline import Timeline, lay_out
from audiochat.recording.video_frames import COLOURS, WAVE_BOX, draw_frames

VIDEO_NAME = "conversation.mp4"
FRAMES_PER_S = 25
LONGEST_S = 900
"""Of ffmpeg's work: hours of conversation take minutes."""


def write_video(recording: Recording, path: Path) -> None:
    """Make the video.

    Raises:
        MissingPartError: ffmpeg is not installed.
        DataError: ffmpeg failed; the message has its last line.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise MissingPartError(
            f"{path.name} was left out: it needs the program ffmpeg, which is not installed. "
            "Install it (ffmpeg.org), then `python -m audiochat export` makes the video too."
        )
    timeline = lay_out(recording)
    # Files of plain names in a folder of its own: ffmpeg reads meaning into many characters.
    with tempfile.TemporaryDirectory(prefix="audiochat-") as made:
        folder = Path(made)
        _write_sound(timeline, folder / "sound.wav")
        (folder / "captions.srt").write_bytes(srt(timeline).encode("utf-8", "replace"))
        draw_frames(recording, timeline, folder)
        try:
            done = subprocess.run(
                [ffmpeg, *_arguments(timeline.duration_s)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(
                f"{path.name} was left out: ffmpeg took over {LONGEST_S / 60:.0f} minutes."
            ) from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = said[-1] if said else f"exit code {done.returncode}"
            raise DataError(f"{path.name} was left out: ffmpeg failed ({why}).")
        shutil.move(folder / "video.mp4", path)


def _write_sound(timeline: Timeline, path: Path) -> None:
    track, rate = mixed(timeline)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(track.astype("<i2").tobytes())


def _arguments(duration_s: float) -> list[str]:
    """Pictures, waves, sound and captions into one file that starts to play while it loads."""
    left, top, width, height = WAVE_BOX
    colours = "|".join(f"0x{COLOURS[role].removeprefix('#')}" for role in ("user", "assistant"))
    waves = (
        f"showwaves=s={width}x{height}:mode=cline:draw=full:scale=sqrt:rate={FRAMES_PER_S}:"
        f"split_channels=0:colors={colours}"
    )
    graph = [
        "[1:a]asplit=2[seen][spoken]",
        f"[seen]{waves}[waves]",
        # Each picture is converted once, then repeated.
        f"[0:v]format=yuv420p,fps={FRAMES_PER_S}[frames]",
        f"[frames][waves]overlay={left}:{top}:eof_action=pass,format=yuv420p[video]",
        # Both channels at full level: only one of them speaks at a time.
        "[spoken]pan=mono|c0=c0+c1[sound]",
    ]
    return [
        *("-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
        *("-f", "concat", "-i", "frames.txt", "-i", "sound.wav", "-i", "captions.srt"),
        *("-filter_complex", ";".join(graph), "-map", "[video]", "-map", "[sound]", "-map", "2:s"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "22", "-profile:v", "high"),
        *("-c:a", "aac", "-b:a", "96k", "-ar", "48000", "-c:s", "mov_text"),
        # The captions are in the picture already: the track is there to be switched on.
        *("-disposition:s:0", "0", "-metadata:s:s:0", "title=Captions"),
        *("-t", f"{duration_s:.3f}", "-movflags", "+faststart", "video.mp4"),
    ]
