"""Threads that do nothing but flush logs.

A queue to them, and one back, for which the event loop is woken once however many flushes have
ended together, as those do that one journal commit has served. The hand-over through an executor,
whose futures are chained to the loop's, takes three times as long, and a flush is waited for by
clients.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Generic, Protocol, TypeVar


class Flushable(Protocol):
    """What can be flushed."""

    def flush(self) -> None:
        """Make everything durable; blocks."""


L = TypeVar("L", bound=Flushable)

_THREAD_NAME: Final = "pykbroker-fsync"


class FlushThreads(Generic[L]):
    """Up to a number of threads, each started when all others are busy.

    All methods are for the event loop's thread.

    Args:
        number: How many flushes may run at the same time.
        on_flushed: Called in the loop with what was flushed and the error, if it failed.
    """

    def __init__(self, number: int, on_flushed: Callable[[L, BaseException | None], None]) -> None:
        self._number = number
        self._on_flushed = on_flushed
        self._queue: SimpleQueue[L | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._finished: deque[tuple[L, BaseException | None]] = deque()
        self._is_loop_woken = False

    def submit(self, log: L) -> None:
        """Flush `log` as soon as a thread is free."""
        self._unfinished += 1
        if len(self._threads) < min(self._unfinished, self._number):
            loop = asyncio.get_running_loop()
            # A process that ends without `close` must not wait for threads that wait for work.
            thread = threading.Thread(
                target=self._run, args=(loop,), name=_THREAD_NAME, daemon=True
            )
            self._threads.append(thread)
            thread.start()
        self._queue.put(log)

    def close(self) -> list[L]:
        """Wait for the flushes that run.

        Returns:
            Those that had not begun, and now will not.
        """
        dropped = []
        while True:
            try:
                log = self._queue.get_nowait()
            except Empty:
                break
            if log is not None:
                dropped.append(log)
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        return dropped

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            log = self._queue.get()
            if log is None:
                return
            error: BaseException | None = None
            try:
                log.flush()
            except BaseException as failure:
                # Whoever waits must hear of it, whatever it is.
                error = failure
            self._finished.append((log, error))
            # In this order: the loop forgets that it was woken before it looks what there is.
            if not self._is_loop_woken:
                self._is_loop_woken = True
                loop.call_soon_threadsafe(self._finish)
            del log, error

    def _finish(self) -> None:
        self._is_loop_woken = False
        while self._finished:
            log, error = self._finished.popleft()
            self._unfinished -= 1
            self._on_flushed(log, error)
