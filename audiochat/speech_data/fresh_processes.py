"""Work done piece by piece, each piece in a process that has done nothing before.

For C libraries whose results depend on what they did earlier. A process pool keeps its processes,
and the standard library's way of renewing them can hang (CPython issue 115634).
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

from audiochat.errors import AudioChatError, DataError

Item = TypeVar("Item")
Result = TypeVar("Result")


def each_in_a_fresh_process(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with ``function(item)``, `workers` at a time, as they are done.

    Raises:
        DataError: a process died.
        AudioChatError: what the function raised. The processes still at work are stopped.
    """
    # Forked from a process that has imported the function's module but never called it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    waiting = list(reversed(items))
    running: dict[Connection, tuple[Item, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                item = waiting.pop()
                reader, writer = context.Pipe(duplex=False)
                process: BaseProcess = context.Process(
                    target=_work, args=(function, item, writer), daemon=True
                )
                process.start()
                writer.close()
                running[reader] = (item, process)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                item, process = running.pop(ready)
                yield item, _result(ready, process)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _work(function: Callable[[Item], Result], item: Item, writer: Connection) -> None:
    outcome: Result | AudioChatError
    try:
        outcome = function(item)
    except AudioChatError as error:
        outcome = error
    except KeyboardInterrupt:
        return  # the parent got it too, and says so
    writer.send(outcome)


def _result(reader: Connection, process: BaseProcess) -> Result:  # type: ignore[type-var]
    try:
        outcome: Result | AudioChatError = reader.recv()
    except EOFError:
        process.join()
        raise DataError(
            f"A process was killed or failed (exit code {process.exitcode}), perhaps for want of "
            "memory. What was done before is kept: run the same command again, with fewer workers."
        ) from None
    process.join()
    if isinstance(outcome, AudioChatError):
        raise outcome
    return outcome
