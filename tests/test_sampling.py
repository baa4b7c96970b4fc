"""Sampling settings are checked when made, by the names of their flags."""

import math
from dataclasses import FrozenInstanceError, replace

import pytest

from audiochat.errors import AudioChatError
from audiochat.sampling import Sampling


def test_the_default_is_greedy_and_a_temperature_is_not():
    assert Sampling().greedy
    assert not Sampling(temperature=0.7).greedy


def test_settings_are_a_value():
    assert Sampling(seed=1) == replace(Sampling(), seed=1)
    with pytest.raises(FrozenInstanceError):
        Sampling().seed = 2


@pytest.mark.parametrize(
    ("flag", "good", "bad"),
    [
        ("temperature", [0.0, 5], [-0.1, 5.1, math.nan, math.inf]),
        ("top_p", [0.01, 1], [0.0, 1.1, math.nan]),
        ("repetition_penalty", [1, 2.0], [0.9, 2.1, math.nan]),
        ("seed", [None, 0, 2**32 - 1], [-1, 2**32]),
        ("max_new_tokens", [1, 4_096], [0, -5, 100_001]),
    ],
)
def test_each_setting_has_bounds_and_the_message_names_its_flag(flag, good, bad):
    for value in good:
        assert getattr(Sampling(**{flag: value}), flag) == value
    for value in bad:
        with pytest.raises(AudioChatError, match=f"--{flag.replace('_', '-')} must be"):
            Sampling(**{flag: value})
