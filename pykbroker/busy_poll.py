"""Keeps the event loop awake for a moment where the next request is about to come.

A processor that has nothing to do is halted, above all a virtual one, and waking it takes longer
than answering a small request. So after a request whose predecessors came shortly after each other
the loop does not block: it looks for events again and again, for at most the window. A client that
sends one small request after the other is then answered without any wake-up.

It must not cost where it gains nothing. Only small requests that come one at a time count; the
first gap that is longer than the window, or a large request, ends the polling until several short
gaps have been seen again. An idle broker does not poll, nor does one with much to do.
"""

import asyncio
from collections.abc import Callable
from typing import Final

# Fewer short gaps in a row may be chance. A poll in vain comes after so many that saved a wake-up.
SHORT_GAPS_BEFORE_POLLING: Final = 4


class BusyPollPolicy:
    """Decides whether to poll; all times are given, in nanoseconds.

    Args:
        window_ns: How long to poll for the next request at most; 0 is never.
    """

    __slots__ = ("_idle_since_ns", "_short_gaps", "_window_ns")

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._idle_since_ns = -window_ns
        self._short_gaps = 0

    def work_begins(self, now_ns: int) -> None:
        """Note that bytes have arrived."""
        if now_ns - self._idle_since_ns < self._window_ns:
            self._short_gaps += 1
        else:
            self._short_gaps = 0

    def work_ends(self, now_ns: int, *, is_single_request: bool) -> None:
        """Note that there is nothing more to do.

        Args:
            now_ns: The time.
            is_single_request: Whether all that came was one small request.
        """
        self._idle_since_ns = now_ns
        if not is_single_request:
            self._short_gaps = 0

    def should_poll(self, now_ns: int) -> bool:
        """Whether the loop should look for events again instead of waiting for them."""
        return (
            self._short_gaps >= SHORT_GAPS_BEFORE_POLLING
            and now_ns - self._idle_since_ns < self._window_ns
        )


class BusyPoll:
    """Polls by a callback that schedules itself: with one due, the event loop does not block.

    The loop looks at all its sockets in between, and lets go of the interpreter's lock.

    Args:
        window_us: See `BusyPollPolicy`; `pykbroker.busy.poll.us`.
        clock_ns: A monotonic time in nanoseconds.
        is_processor_wanted: Whether another thread of the broker is about to need the processor,
            so that the loop must not occupy it.
    """

    def __init__(
        self,
        window_us: int,
        clock_ns: Callable[[], int],
        is_processor_wanted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._policy = BusyPollPolicy(window_us * 1000)
        self._is_enabled = window_us > 0
        self._clock_ns = clock_ns
        self._is_processor_wanted = is_processor_wanted
        self._is_polling = False

    def work_begins(self) -> None:
        """Note that bytes have arrived."""
        if self._is_enabled:
            self._policy.work_begins(self._clock_ns())

    def work_ends(self, loop: asyncio.AbstractEventLoop, *, is_single_request: bool) -> None:
        """Note that what has arrived is done, and poll for more if that is promising."""
        if not self._is_enabled:
            return
        now_ns = self._clock_ns()
        self._policy.work_ends(now_ns, is_single_request=is_single_request)
        if not self._is_polling and self._policy.should_poll(now_ns):
            self._poll(loop)

    def _poll(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_polling = self._policy.should_poll(self._clock_ns()) and (
            not self._is_processor_wanted()
        )
        if self._is_polling:
            loop.call_soon(self._poll, loop)
