"""`models`: the models and voices that can be chosen, and which of them are at hand."""

from __future__ import annotations

import argparse
import json
import os
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_data_dir

from audiochat import backends, voices
from audiochat.model.embedded_llm import LABEL, NAME, WHEEL, cache_folder

ABOUT = {
    "embedded": f"AudioChatLlama on {LABEL}, by the best of its connectors",
    "end-to-end": "the same by the connector that takes no decision about words",
    "cascade": f"the same ear's transcript, then {LABEL}: to compare",
    "espeak": "espeak-ng, in many voices",
    "coqui": "neural voices: tts_models/LANGUAGE/DATASET/MODEL, or coqui:FOLDER",
    "off": "text alone",
}
"""What each name stands for, in one line."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command's options."""
    parser = argparse.ArgumentParser("python -m audiochat models", description=__doc__)
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(argv)
    found = {
        "models": {name: _entry(name, _llm_state()) for name in backends.names()},
        "voices": {name: _entry(name, _voice_state(name)) for name in voices.names()},
    }
    if options.json:
        print(json.dumps(found))
        return 0
    for kind, entries in found.items():
        print(f"{kind} (--{kind[:-1]}):")
        for name, entry in entries.items():
            print(f"  {name:<9} {entry['about']}\n            {entry['state']}")
    print("\nA folder that `audiochat train` wrote is a model too: --model FOLDER.")
    return 0


def _entry(name: str, state: str) -> dict[str, str]:
    return {"about": ABOUT[name], "state": state}


def _llm_state() -> str:
    if any(cache_folder().glob(f"{NAME}-*")):
        return f"at hand in {cache_folder()}"
    return f"fetched when first used ({WHEEL.n_bytes / 1e6:.0f} MB, into {cache_folder()})"


def _voice_state(name: str) -> str:
    if name == "off":
        return "at hand"
    if name == "espeak":
        voice = voices.load_voice(name)
        assert voice is not None
        listed = voice.voices()
        voice.close()
        return f"at hand; {len(listed)} voices: {', '.join(listed[:4])} ..."
    if find_spec("TTS") is None:
        return "not installed: pip install -r requirements.txt"
    fetched = sorted(folder.name.replace("--", "/") for folder in _coqui_folders())
    return f"at hand: {', '.join(fetched)}" if fetched else "weights are fetched when first used"


def _coqui_folders() -> list[Path]:
    """The voices Coqui has kept; it looks in these places in this order."""
    home = os.environ.get("TTS_HOME") or os.environ.get("XDG_DATA_HOME")
    kept = Path(home) / "tts" if home else Path(user_data_dir("tts"))
    return list(kept.glob("tts_models--*"))
