"""The echo of a reply and a voice above it, as levels."""

import math

import numpy as np
import pytest

from audiochat.cli.echo_guard import EchoGuard


def reply(seed: int = 0, n_blocks: int = 60) -> np.ndarray:
    """Levels of a reply, dB of full scale: syllables, and pauses now and then."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(-26.0, -14.0, n_blocks)
    levels[::9] = -45.0
    return levels


def recent(levels: np.ndarray, at: int) -> float:
    return float(levels[max(0, at - 9) : at + 1].max())


@pytest.mark.parametrize("coupling_db", [6.0, 0.0, -20.0, -40.0])
@pytest.mark.parametrize("delay", [0, 4])
def test_a_reply_is_its_own_echo_however_loud_and_late_it_comes_back(
    coupling_db: float, delay: int
) -> None:
    guard, levels = EchoGuard(), reply()
    for at in range(len(levels)):
        heard_db = levels[at - delay] + coupling_db if at >= delay else -60.0
        assert guard.is_echo(heard_db, recent(levels, at))


@pytest.mark.parametrize("coupling_db", [-20.0, -60.0])
def test_a_voice_above_the_echo_is_none(coupling_db: float) -> None:
    guard, levels = EchoGuard(), reply()
    for at in range(40):
        guard.is_echo(levels[at] + coupling_db, recent(levels, at))
    voice_db = -14.0 + coupling_db + 10.0
    for at in range(40, 50):  # half a second of it
        assert not guard.is_echo(voice_db, recent(levels, at))


def test_a_silent_loudspeaker_has_no_echo() -> None:
    guard = EchoGuard()
    assert not guard.is_echo(-30.0, -math.inf)
    assert not guard.is_echo(-30.0, -70.0)


def test_before_anything_is_known_all_may_be_echo() -> None:
    assert EchoGuard().is_echo(0.0, -20.0)
    assert EchoGuard().is_echo(-math.inf, -20.0)
