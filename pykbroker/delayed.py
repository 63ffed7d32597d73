"""Parked fetches: requests that wait for data, with a condition and a deadline (DelayedFetch).

A parked request is registered with every log that it reads. A log that moves (append, high
watermark, last stable offset, log start) or goes away calls `notify`, which asks the condition of
each request parked on it; with nobody parked, that is one lookup. The request itself then runs in
its own next turn of the event loop, so a producer pays neither for the reads nor for the answers of
those who waited for it, and several appends of one turn wake a request once.

A request leaves the registry however its waiting ends: condition, deadline, or cancellation.
"""

import asyncio
from collections.abc import Callable, Collection, Hashable
from typing import Any

from pykbroker.clock import Clock

# Asked with the log that has changed; it must not raise, block, or change logs.
Condition = Callable[[Any], bool]


class _ParkedRequest:
    """One waiting request."""

    __slots__ = ("future", "is_due")

    def __init__(self, future: asyncio.Future[None], is_due: Condition) -> None:
        self.future = future
        self.is_due = is_due

    def wake(self) -> None:
        """End the waiting; does nothing the second time."""
        if not self.future.done():
            self.future.set_result(None)


class ParkedFetches:
    """The registry of parked requests, by the log that may wake them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The inner dict is an ordered set: the request that came first is woken first.
        self._by_log: dict[Hashable, dict[_ParkedRequest, None]] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many requests are parked."""
        return len({request for requests in self._by_log.values() for request in requests})

    def notify(self, log: Hashable) -> None:
        """Wake the requests that a change of `log` completes; safe to call during an append."""
        requests = self._by_log.get(log)
        if requests is not None:
            for request in requests:
                if not request.future.done() and request.is_due(log):
                    request.future.set_result(None)

    async def wait(self, logs: Collection[Hashable], max_wait_ms: int, is_due: Condition) -> None:
        """Return when `is_due` says so after a change of one of the logs, or at the deadline.

        Args:
            logs: The logs to watch; one that is given twice counts once.
            max_wait_ms: After so many milliseconds the waiting ends in any case.
            is_due: The condition.
        """
        if self._is_closed:
            return
        request = _ParkedRequest(asyncio.get_running_loop().create_future(), is_due)
        for log in logs:
            self._by_log.setdefault(log, {})[request] = None
        timer = self._clock.call_later(max_wait_ms, request.wake)
        try:
            await request.future
        finally:
            timer.cancel()
            for log in logs:
                requests = self._by_log.get(log)
                if requests is not None:
                    requests.pop(request, None)
                    if not requests:
                        del self._by_log[log]

    def close(self) -> None:
        """Wake everyone, now and from now on: the broker is stopping, nobody may wait for data."""
        self._is_closed = True
        for requests in self._by_log.values():
            for request in requests:
                request.wake()
