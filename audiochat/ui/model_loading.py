"""Loads models and the voice in the background, so that the page need not wait for them.

Knows nothing of Gradio: whoever shows the progress reads it from here.
"""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from audiochat.backends.base import Backend, Progress
from audiochat.errors import AudioChatError, ModelError

T = TypeVar("T")
Load = Callable[[Progress], T]

UNEXPECTED = "Something went wrong inside. The reason is in the log of the program; try again."


_log = logging.getLogger(__name__)


class Loading(Generic[T]):
    """One thing, loaded in a thread of its own from the first time it is wanted."""

    def __init__(self, load: Load[T]) -> None:
        self.sentence = "Starting …"
        self.fraction: float | None = None
        self.value: T | None = None
        self.error: AudioChatError | None = None
        self._load = load
        self._finished = threading.Event()
        self._started = threading.Lock()

    @property
    def finished(self) -> bool:
        """Whether it is loaded or failed."""
        return self._finished.is_set()

    def start(self) -> None:
        """Start loading, unless that was done."""
        if self._started.acquire(blocking=False):
            # A daemon: Ctrl-C must not wait for a download.
            threading.Thread(target=self._run, name="loading", daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is loaded or failed; tell whether it is."""
        self.start()
        return self._finished.wait(timeout_s)

    def result(self) -> T:
        """Wait, and return the thing.

        Raises:
            AudioChatError: it could not be loaded.
        """
        self.wait()
        if self.error is not None:
            raise self.error
        return cast(T, self.value)

    def _run(self) -> None:
        # The `finally` holds for errors nobody foresaw too: they go to the log by the thread's own
        # hook, and nobody may wait for ever.
        failure: AudioChatError | None = ModelError(UNEXPECTED)
        try:
            self.value = self._load(self._progress)
            failure = None
        except AudioChatError as error:
            failure = error
        finally:
            self.error = failure
            if failure is not None:
                _log.warning("%s", failure)
            self._finished.set()

    def _progress(self, sentence: str, fraction: float | None = None) -> None:
        self.sentence, self.fraction = sentence, fraction


class Models:
    """The backends of this process by name: each loaded once, when it is first wanted."""

    def __init__(self, load: Callable[[str, Progress], Backend], names: list[str]) -> None:
        self.names = names
        self._load = load
        self._loading: dict[str, Loading[Backend]] = {}
        self._lock = threading.Lock()

    def get(self, name: str, *, again: bool = False) -> Loading[Backend]:
        """Return the loading of that backend, started if it was not; `again`: also after a failure.

        Raises:
            ModelError: the name is none of this page's.
        """
        if name not in self.names:
            raise ModelError(f"This page offers {', '.join(self.names)}; {name!r} is not there.")
        with self._lock:
            known = self._loading.get(name)
            if known is None or (again and known.error is not None):
                known = Loading(lambda progress: self._load(name, progress))
                self._loading[name] = known
            known.start()
            return known
