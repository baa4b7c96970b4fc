"""The sound card's devices: listed for a person, and found by number or by part of a name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Literal

from audiochat.errors import MissingPartError

Kind = Literal["input", "output"]
PARTS: dict[Kind, str] = {"input": "microphone", "output": "loudspeaker"}
"""What a person calls them."""


def listing(sounddevice: Any) -> str:
    """All devices, one a line: the number to choose it by, its name, and what it can be.

    Raises:
        MissingPartError: there is none.
    """
    devices = list(sounddevice.query_devices())
    if not devices:
        raise MissingPartError("No sound device was found. Connect a microphone and a loudspeaker.")
    defaults = {kind: _default(sounddevice, kind) for kind in PARTS}
    width = max(len(device["name"]) for device in devices)
    lines = []
    for index, device in enumerate(devices):
        uses = [
            part + (" (default)" if defaults[kind] == index else "")
            for kind, part in PARTS.items()
            if _offers(device, kind)
        ]
        lines.append(f"{index:3}  {device['name']:<{width}}  {', '.join(uses)}")
    return "\n".join(lines)


def find(sounddevice: Any, wanted: str, kind: Kind) -> int:
    """The number of the device that a person means.

    Args:
        sounddevice: the module.
        wanted: its number, its name, or a part of the name that no other has; case is ignored.
        kind: what it is to be used as.

    Raises:
        MissingPartError: none is meant, or more than one; the sentence names near ones.
    """
    names = {
        index: str(device["name"])
        for index, device in enumerate(sounddevice.query_devices())
        if _offers(device, kind)
    }
    if wanted.isdecimal() and int(wanted) in names:
        return int(wanted)
    lowered = wanted.casefold()
    found = [index for index, name in names.items() if name.casefold() == lowered]
    found = found or [index for index, name in names.items() if lowered in name.casefold()]
    if len(found) == 1:
        return found[0]
    flag, part = f"--{kind}-device", PARTS[kind]
    if found:
        both = "; ".join(f"{index}: {names[index]}" for index in found)
        raise MissingPartError(f"{flag} {wanted!r} fits more than one {part}: {both}. Say which.")
    raise MissingPartError(
        f"There is no {part} {wanted!r} for {flag}. {_near(lowered, names)}"
        "`python -m audiochat chat --list-devices` shows all."
    )


def _near(wanted: str, names: dict[int, str]) -> str:
    """The devices with a word near the one that was asked for."""
    # Names are long ("HDA Intel PCH: ALC257 Analog (hw:0,0)"); people type one word of them.
    words = {
        word: index
        for index, name in names.items()
        for word in [name.casefold(), *re.findall(r"\w+", name.casefold())]
    }
    near = dict.fromkeys(words[word] for word in get_close_matches(wanted, words, n=3, cutoff=0.6))
    if not near:
        return ""
    return f"Did you mean {' or '.join(f'{index}: {names[index]}' for index in near)}? "


def _offers(device: dict[str, Any], kind: Kind) -> bool:
    return bool(device[f"max_{kind}_channels"] > 0)


def _default(sounddevice: Any, kind: Kind) -> int | None:
    try:
        return int(sounddevice.query_devices(kind=kind)["index"])
    except (sounddevice.PortAudioError, ValueError):  # there is no default of this kind
        return None
