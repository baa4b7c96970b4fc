"""The conversations of the page's visitors, kept by the name that each browser tab gives itself.

Gradio's own state goes with the page's connection, and a run that Gradio could not stop in time
would write over it. Here a conversation outlives the page being loaded anew, and only the newest
thing a visitor did may change it. Knows nothing of Gradio.
"""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from audiochat.ui.session import Session

MAX_VISITORS, MAX_BYTES = 1_024, 2_000_000_000
"""Conversations kept at a time, and their sound: beyond them the one that was left longest ago is
forgotten, but never the one that grows."""

KEEP_S = 12 * 3_600.0
"""A conversation that nobody touched for so long is forgotten. The page says so: change
"about.kept" in `words/` too."""

STOP_WITHIN_S = 2.0
"""What is new waits at most so long for a run to stop that came before it: until then the page may
still be told of what is old."""

BEGIN_WITHIN_S = 5.0
"""A turn whose answer is not begun by then will not be: its run was refused, or lost."""

NAME_LENGTHS = range(16, 65)
"""Of the names that tabs give themselves: long enough that nobody guesses another's. For any other
name nothing is kept."""


@dataclass
class _Visitor:
    session: Session = field(default_factory=Session)
    newest: int = 0
    """Ticket of the newest thing done; what has an older one came too late."""
    kept: int = 0
    """Ticket of what put the session that is there."""
    begun: int = 0
    """Ticket of the newest turn whose answer was begun."""
    n_running: int = 0
    touched_s: float = 0.0
    acts: threading.Lock = field(default_factory=threading.Lock)
    """Held while the visitor does one thing: the next waits for it."""
    stopped: threading.Condition = field(default_factory=threading.Condition)
    """Guards what is above, and tells when a run has stopped."""


class Visitors:
    """The conversations by visitor, bounded in number and time."""

    def __init__(
        self,
        *,
        max_visitors: int = MAX_VISITORS,
        max_bytes: int = MAX_BYTES,
        keep_s: float = KEEP_S,
    ) -> None:
        """Nobody is there yet."""
        self._max_visitors, self._max_bytes, self._keep_s = max_visitors, max_bytes, keep_s
        self._tickets = itertools.count(1)
        self._visitors: dict[str, _Visitor] = {}
        self._lock = threading.Lock()
        self._sweeping: threading.Timer | None = None

    def session(self, name: str) -> Session:
        """What the visitor's page shows: a fresh session for one not known (any more)."""
        with self._lock:
            known = self._visitors.get(name)
        return known.session if known else Session()

    @contextmanager
    def acting(self, name: str) -> Iterator[int]:
        """Do the visitor's next thing, after those before it; gives its ticket.

        What has an older ticket comes too late from here on, and a run that has one is waited for.
        """
        visitor = self._visitor(name)
        try:
            with visitor.acts:
                with visitor.stopped:
                    visitor.newest = next(self._tickets)
                    visitor.stopped.notify_all()
                    visitor.stopped.wait_for(lambda: not visitor.n_running, STOP_WITHIN_S)
                yield visitor.newest
        finally:
            self._make_room()

    @contextmanager
    def answering(self, name: str) -> Iterator[tuple[int, Session] | None]:
        """Answer the visitor's newest turn until the block ends; gives its ticket and session.

        None if no turn waits, or its answer was begun already. Which run answers it is all one: a
        page's messages may overtake each other, and the newest turn is what the visitor wants.
        """
        visitor = self._visitor(name)
        with visitor.stopped:
            turn = None
            if visitor.session.waiting and visitor.begun < visitor.newest == visitor.kept:
                turn = (visitor.newest, visitor.session)
                visitor.begun = visitor.newest
                visitor.stopped.notify_all()
            visitor.n_running += 1
        try:
            yield turn
        finally:
            with visitor.stopped:
                visitor.n_running -= 1
                visitor.stopped.notify_all()

    def begins(self, name: str, ticket: int) -> bool:
        """Whether the answer to that turn is begun within a while, or need not be any more."""
        visitor = self._visitor(name)

        def begun() -> bool:
            return visitor.begun >= ticket or visitor.newest != ticket

        with visitor.stopped:
            return visitor.stopped.wait_for(begun, BEGIN_WITHIN_S)

    def put(self, name: str, ticket: int, session: Session) -> bool:
        """Keep `session`, unless the visitor has done something newer; says whether it is kept."""
        visitor = self._visitor(name)
        with visitor.stopped:
            if visitor.newest != ticket:
                return False
            visitor.session, visitor.kept = session, ticket
            return True

    def _visitor(self, name: str) -> _Visitor:
        if len(name) not in NAME_LENGTHS:
            return _Visitor()  # nobody's, and kept by nobody
        with self._lock:
            known = self._visitors.pop(name, None) or _Visitor()
            self._visitors[name] = known  # the one touched last is the last
            known.touched_s = time.monotonic()
            if self._sweeping is None:
                self._sweep_later()
            return known

    def _make_room(self) -> None:
        """Forget those left longest ago while there are too many, or too much sound."""
        with self._lock:
            left = list(self._visitors)[:-1]
            n_bytes = {name: known.session.n_bytes for name, known in self._visitors.items()}
            total = sum(n_bytes.values())
            for name in left:
                if len(self._visitors) <= self._max_visitors and total <= self._max_bytes:
                    break
                total -= n_bytes[name]
                del self._visitors[name]

    def _sweep_later(self) -> None:
        self._sweeping = threading.Timer(self._keep_s / 50, self._sweep)
        self._sweeping.daemon = True
        self._sweeping.start()

    def _sweep(self) -> None:
        """Forget whom nobody has touched for long; look again later while anybody is left."""
        with self._lock:
            before_s = time.monotonic() - self._keep_s
            for name in [n for n, known in self._visitors.items() if known.touched_s < before_s]:
                del self._visitors[name]
            self._sweeping = None
            if self._visitors:
                self._sweep_later()
