from collections.abc import Hashable
from dataclasses import dataclass

import pytest

from audiochat.model.language_model import LanguageModel
from audiochat.model.prefix_store import PrefixStore

BYTES_PER_POSITION = 10


@dataclass
class FakeCache:
    length: int

    @property
    def n_bytes(self) -> int:
        return self.length * BYTES_PER_POSITION

    def prefix(self, n: int) -> "FakeCache":
        return FakeCache(n)


def put(store: PrefixStore, keys: str) -> None:
    store.put(list(keys), FakeCache(len(keys)))


def longest(store: PrefixStore, keys: str) -> int:
    found = store.longest(list(keys))
    return found.length if found else 0


def test_finds_the_longest() -> None:
    store = PrefixStore(1000)
    put(store, "abcd")
    put(store, "abxyz")
    assert longest(store, "abcdef") == 4
    assert longest(store, "abxyq") == 4
    assert longest(store, "abq") == 2
    assert longest(store, "q") == 0


def test_leaves_the_last_position_to_read() -> None:
    store = PrefixStore(1000)
    put(store, "abcd")
    assert longest(store, "abcd") == 3
    assert longest(store, "a") == 0
    assert longest(store, "") == 0


def test_gives_copies() -> None:
    store = PrefixStore(1000)
    cache = FakeCache(3)
    store.put(list("abc"), cache)
    cache.length = 99
    found = store.longest(list("abcd"))
    assert found == FakeCache(3)
    assert found is not store.longest(list("abcd"))


def test_drops_what_a_longer_one_holds() -> None:
    store = PrefixStore(1000)
    put(store, "ab")
    put(store, "abcd")
    assert store.n_bytes == 4 * BYTES_PER_POSITION


def test_the_least_recently_used_falls_out() -> None:
    store = PrefixStore(10 * BYTES_PER_POSITION)
    put(store, "aaaa")
    put(store, "bbbb")
    assert longest(store, "aaaaa") == 4  # used: "bbbb" is now the older
    put(store, "cccc")
    assert store.n_bytes <= store.max_bytes
    assert [longest(store, name * 5) for name in "abc"] == [4, 0, 4]


def test_what_is_larger_than_the_store_is_not_kept() -> None:
    store = PrefixStore(2 * BYTES_PER_POSITION)
    put(store, "a")
    put(store, "bcd")
    assert longest(store, "ax") == 1
    assert longest(store, "bcde") == 0


def test_audio_positions_are_keys_too() -> None:
    store = PrefixStore(1000)
    keys: list[Hashable] = [1, ("digest", 0), ("digest", 1), 7]
    store.put(keys, FakeCache(4))
    found = store.longest([1, ("digest", 0), ("other", 1), 7])
    assert found == FakeCache(2)


def test_going_on_from_a_stored_prefix_changes_nothing(tiny_lm: LanguageModel) -> None:
    ids = list(range(10, 40))
    embeds = tiny_lm.embed(ids)
    store = PrefixStore(10**6)
    _, cache = tiny_lm.extend(embeds[:20])
    store.put(ids[:20], cache)
    found = store.longest(ids)
    assert found is not None
    assert found.length == 20
    logits, _ = tiny_lm.extend(embeds[20:], found)
    assert logits == pytest.approx(tiny_lm.score(embeds)[0][-1], abs=2e-4)
