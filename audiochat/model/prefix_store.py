"""Keys and values of histories already read, so that a next turn reads only what is new.

A position is known by what was read there: a token's id, or a recording's digest and the place in
it. The store knows nothing of what the keys mean.
"""

from collections.abc import Hashable, Sequence
from threading import Lock

from audiochat.model.language_model import Cache


class PrefixStore:
    """Caches by their keys, bounded in bytes; the least recently used fall out first."""

    def __init__(self, max_bytes: int):
        """Makes an empty store that holds at most `max_bytes` of keys and values."""
        self.max_bytes = max_bytes
        self._entries: dict[tuple[Hashable, ...], Cache] = {}
        self._lock = Lock()

    @property
    def n_bytes(self) -> int:
        """Memory that the caches hold."""
        return sum(cache.n_bytes for cache in self._entries.values())

    def longest(self, keys: Sequence[Hashable]) -> Cache | None:
        """Gives a copy of the longest stored prefix of these positions, or None.

        It leaves out at least the last position: reading that one gives the next logits.
        """
        with self._lock:
            best, length = None, 0
            for known in self._entries:
                common = n_common(known, keys)
                if common > length:
                    best, length = known, common
            length = min(length, len(keys) - 1)
            if best is None or length <= 0:
                return None
            cache = self._entries[best] = self._entries.pop(best)  # now the newest
            return cache.prefix(length)

    def put(self, keys: Sequence[Hashable], cache: Cache) -> None:
        """Keeps a copy of a cache; what it makes superfluous or too much falls out.

        Args:
            keys: One for each position of the cache.
            cache: It stays the caller's.
        """
        assert len(keys) == cache.length
        if not keys:
            return
        copy = cache.prefix(len(keys))
        if copy.n_bytes > self.max_bytes:
            return
        with self._lock:
            for known in list(self._entries):
                if n_common(known, keys) == len(known):
                    del self._entries[known]
            self._entries[tuple(keys)] = copy
            while self.n_bytes > self.max_bytes:
                del self._entries[next(iter(self._entries))]


def n_common(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Counts the positions that two sequences share from their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
