"""Time as a dependency: the only source of it for everything that has state.

Two kinds of time are kept apart. Wall time goes into data (record timestamps, retention, offset
expiry) and may jump. Monotonic time measures waiting (timeouts, deadlines) and never goes back.
Tests drive a manual clock with the same interface.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class TimerHandle(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget the call; does nothing when it has been made already."""


class Clock(Protocol):
    """Wall time, monotonic time and timers, all in milliseconds."""

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since the epoch."""

    def monotonic_ms(self) -> int:
        """Return a time that never goes back, from an arbitrary origin."""

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> TimerHandle:
        """Call `callback` in the event loop once `delay_ms` have passed."""


class SystemClock:
    """The machine's clocks and the running event loop's timers."""

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return the monotonic time in milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> TimerHandle:
        """Call `callback` in the running event loop once `delay_ms` have passed."""
        return asyncio.get_running_loop().call_later(delay_ms / 1000, callback)
