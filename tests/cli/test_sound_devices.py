"""Devices are listed and found as a person names them; nothing but the module's lists is faked."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from audiochat.__main__ import main
from audiochat.cli.sound_devices import Kind, find, listing
from audiochat.errors import MissingPartError
from tests.cli.live_card import LiveCard, device


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> LiveCard:
    def nothing(card: LiveCard) -> Iterator[np.ndarray]:
        yield np.zeros(0, np.float32)

    card = LiveCard(nothing)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    return card


@pytest.mark.parametrize(
    ("wanted", "kind", "index"),
    [
        ("1", "input", 1),
        ("2", "output", 2),
        ("headset", "input", 1),
        ("HDMI 0", "output", 2),
        ("built-in audio analog", "output", 0),
    ],
)
def test_a_number_a_name_or_a_part_of_it(
    card: LiveCard, wanted: str, kind: Kind, index: int
) -> None:
    assert find(card, wanted, kind) == index


def test_the_whole_name_is_preferred_to_a_part(card: LiveCard) -> None:
    card.devices.append(device("HDMI", 0, 2))
    assert find(card, "hdmi", "output") == 3


def test_a_name_that_fits_two_is_asked_back(card: LiveCard) -> None:
    card.devices.append(device("USB Webcam", 1, 0))
    with pytest.raises(MissingPartError, match=r"1: USB Headset.*; 3: USB Webcam\. Say which"):
        find(card, "usb", "input")
    assert find(card, "usb", "output") == 1  # the other has no loudspeaker


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--input-device", "hedset"], "There is no microphone 'hedset'"),
        (["--input-device", "hedset"], "Did you mean 1: USB Headset: Mono (hw:1,0)?"),
        (["--input-device", "2"], "There is no microphone '2'"),  # it is a loudspeaker alone
        (["--output-device", "99"], "--list-devices` shows all."),
    ],
)
def test_an_unknown_device_is_a_sentence_and_exit_code_1(
    card: LiveCard,
    flags: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert main(["chat", *flags]) == 1
    assert sentence in capsys.readouterr().err


def test_the_list_has_numbers_names_and_uses(
    card: LiveCard, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "--list-devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "  0  Built-in Audio Analog       microphone (default), loudspeaker (default)",
        "  1  USB Headset: Mono (hw:1,0)  microphone, loudspeaker",
        "  2  HDMI 0                      loudspeaker",
    ]


def test_no_device_at_all_is_a_sentence(card: LiveCard) -> None:
    card.devices.clear()
    with pytest.raises(MissingPartError, match="No sound device was found"):
        listing(card)


def test_a_missing_default_is_no_trouble(card: LiveCard, monkeypatch: pytest.MonkeyPatch) -> None:
    query = card.query_devices

    def without_default(device: int | None = None, kind: str | None = None) -> object:
        if kind is not None:
            raise card.PortAudioError("Error querying device -1")
        return query(device, kind)

    monkeypatch.setattr(card, "query_devices", without_default)
    assert "default" not in listing(card)
