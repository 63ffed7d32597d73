"""Time that can be moved on: what is due until then happens at once.

The clock runs as the machine's does, ahead of it by what it was moved, or stands still until it is
moved. Each timer runs at its own time, and what it sets off may set timers for later: time is moved
on in steps, and between them the event loop has its turns. A step is a small part of the whole, so
that a week in which something happens every second takes no longer than a minute of it.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Final

MS_PER_S: Final = 1000
NS_PER_MS: Final = 1_000_000
# What a timer sets off, a task or two, is done after so many turns of the loop.
TURNS_AFTER_TIMER: Final = 5
MAX_STEPS: Final = 2000


class MovableTimer:
    """A call that is due later."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the call."""
        self.callback = None


class MovableClock:
    """Wall and monotonic time that can be moved, and timers; reading it is safe from any thread.

    Args:
        wall_ms: The machine's wall time.
        monotonic_ms: The machine's monotonic time.
    """

    def __init__(
        self,
        wall_ms: Callable[[], float] = lambda: time.time_ns() / NS_PER_MS,
        monotonic_ms: Callable[[], float] = lambda: time.monotonic_ns() / NS_PER_MS,
    ) -> None:
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms
        # Ahead of the machine's wall and monotonic time; or both times while it stands still.
        self._ahead_ms = (0.0, 0.0)
        self._standing_ms: tuple[float, float] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake_up: asyncio.TimerHandle | None = None
        self._timers: list[tuple[float, int, MovableTimer]] = []
        self._numbers = count()
        self._advancing = asyncio.Lock()
        self._is_advancing = False
        self._listeners: list[Callable[[], None]] = []

    # -- Clock -------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since the epoch."""
        return int(self._now()[0])

    def monotonic_ms(self) -> int:
        """Return a time that never goes back, in milliseconds."""
        return int(self._now()[1])

    def call_later(
        self, delay_ms: float, callback: Callable[[], None]
    ) -> MovableTimer | asyncio.Handle:
        """Call `callback` in the running event loop once `delay_ms` have passed."""
        loop = asyncio.get_running_loop()
        if delay_ms <= 0:
            return loop.call_soon(callback)
        if loop is not self._loop:
            self._begin(loop)
        timer = MovableTimer(callback)
        due_ms = self._now()[1] + delay_ms
        heapq.heappush(self._timers, (due_ms, next(self._numbers), timer))
        if self._timers[0][2] is timer:
            self._arm()
        return timer

    # -- for tests ---------------------------------------------------------------------------

    @property
    def is_standing(self) -> bool:
        """Whether time passes by `advance` alone."""
        return self._standing_ms is not None

    @property
    def is_advancing(self) -> bool:
        """Whether time is being moved on: what is due is not all done yet."""
        return self._is_advancing

    async def settled(self) -> None:
        """Return when time is not being moved on."""
        while self._is_advancing:
            async with self._advancing:
                pass

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener when `is_advancing` changes; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def stand_still(self) -> None:
        """Stop; in the event loop of the timers, or without one."""
        if self._standing_ms is None:
            self._standing_ms = self._now()
            self._arm()

    def run(self) -> None:
        """Go on from the time that it is; in the event loop of the timers, or without one."""
        if self._standing_ms is not None:
            wall_ms, monotonic_ms = self._standing_ms
            self._ahead_ms = (wall_ms - self._wall_ms(), monotonic_ms - self._monotonic_ms())
            self._standing_ms = None
            self._arm()

    def shift(self, ms: float) -> None:
        """Move time on while nobody has timers: the broker does not run."""
        is_running = not self.is_standing
        self.stand_still()
        self._move(ms)
        if is_running:
            self.run()

    async def advance(self, ms: float) -> None:
        """Move time on; returns when the timers that were due have run, each at its time.

        Raises:
            ValueError: Time does not go back.
        """
        if ms < 0:
            raise ValueError(f"{ms} ms: time does not go back")
        async with self._advancing:
            self._tell_advancing(True)
            try:
                is_running = not self.is_standing
                self.stand_still()
                await self._take_steps(ms)
                if is_running:
                    self.run()
            finally:
                self._tell_advancing(False)

    # -- private -----------------------------------------------------------------------------

    async def _take_steps(self, ms: float) -> None:
        end_ms = self._now()[1] + ms
        while self._timers and self._timers[0][0] <= end_ms:
            step_end_ms = min(max(self._timers[0][0], self._now()[1]) + ms / MAX_STEPS, end_ms)
            self._run_timers(step_end_ms)
            await _turns()
        self._move_to(end_ms)
        await _turns()

    def _tell_advancing(self, is_advancing: bool) -> None:
        self._is_advancing = is_advancing
        for listener in list(self._listeners):
            listener()

    def _now(self) -> tuple[float, float]:
        standing_ms = self._standing_ms
        if standing_ms is not None:
            return standing_ms
        wall_ms, monotonic_ms = self._ahead_ms
        return self._wall_ms() + wall_ms, self._monotonic_ms() + monotonic_ms

    def _move(self, ms: float) -> None:
        assert self._standing_ms is not None
        wall_ms, monotonic_ms = self._standing_ms
        self._standing_ms = (wall_ms + ms, monotonic_ms + ms)

    def _move_to(self, monotonic_ms: float) -> None:
        self._move(max(monotonic_ms - self._now()[1], 0))

    def _run_timers(self, until_ms: float) -> None:
        """Move time on, and run each timer at its own."""
        while self._timers and self._timers[0][0] <= until_ms:
            due_ms, _, timer = heapq.heappop(self._timers)
            self._move_to(due_ms)
            if timer.callback is not None:
                timer.callback()
        self._move_to(until_ms)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the timers of a broker that has ended with its event loop."""
        self._loop = loop
        self._timers.clear()
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None
        self._advancing = asyncio.Lock()
        self._is_advancing = False

    def _arm(self) -> None:
        """Wake up when the next timer is due."""
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None
        if self._loop is None or self._loop.is_closed():
            self._timers.clear()
        elif self._timers and not self.is_standing:
            delay_ms = self._timers[0][0] - self._now()[1]
            self._wake_up = self._loop.call_later(max(delay_ms, 0) / MS_PER_S, self._fire)

    def _fire(self) -> None:
        self._wake_up = None
        while self._timers and self._timers[0][0] <= self._now()[1]:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()
        self._arm()


async def _turns() -> None:
    for _ in range(TURNS_AFTER_TIMER):
        await asyncio.sleep(0)
