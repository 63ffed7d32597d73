"""A clock that stands still until a test moves it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class ManualTimer:
    """A timer of `ManualClock`."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualClock:
    """Wall and monotonic time that `advance` moves; due timers run in order of their time."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._elapsed_ms = 0
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._numbers = count()

    def now_ms(self) -> int:
        return self._now_ms + self._elapsed_ms

    def monotonic_ms(self) -> int:
        return self._elapsed_ms

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> ManualTimer:
        timer = ManualTimer(callback)
        due_ms = self._elapsed_ms + max(0.0, delay_ms)
        heapq.heappush(self._timers, (due_ms, next(self._numbers), timer))
        return timer

    @property
    def pending_timers(self) -> int:
        """How many timers are armed and not cancelled."""
        return sum(not timer.is_cancelled for _, _, timer in self._timers)

    def stand_still(self, ms: int) -> None:
        """Let time pass without the process: what is due runs late, with the next `advance`."""
        self._elapsed_ms += ms

    def advance(self, ms: int) -> None:
        """Move time on by `ms`, running each due timer at its own time."""
        end_ms = self._elapsed_ms + ms
        while self._timers and self._timers[0][0] <= end_ms:
            due_ms, _, timer = heapq.heappop(self._timers)
            self._elapsed_ms = max(self._elapsed_ms, int(due_ms))
            if not timer.is_cancelled:
                timer.callback()
        self._elapsed_ms = end_ms
