"""The time of a broker, for tests that do not want to wait."""

import asyncio
from collections.abc import Callable
from typing import Final

from pykbroker.faults.movable_clock import MovableClock

MS_PER_S: Final = 1000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


class AsyncBrokerClock:
    """The clock of a broker on the running loop.

    Args:
        clock: What the broker goes by.
    """

    def __init__(self, clock: MovableClock) -> None:
        self._clock = clock

    @property
    def now_ms(self) -> int:
        """The broker's wall time in milliseconds since the epoch."""
        return self._clock.now_ms()

    @property
    def is_stopped(self) -> bool:
        """Whether time passes by `advance` alone."""
        return self._clock.is_standing

    def stop(self) -> None:
        """Have time pass by `advance` alone."""
        self._clock.stand_still()

    def resume(self) -> None:
        """Have time pass as it does, from where it is."""
        self._clock.run()

    async def advance(
        self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Move time on; see `BrokerClock.advance`."""
        await self._clock.advance(all_ms(seconds, minutes, hours, days))


class BrokerClock:
    """The clock of a broker in a thread.

    Args:
        clock: What the broker goes by.
        loop: Returns the loop that the broker runs on; None while it does not.
    """

    def __init__(
        self, clock: MovableClock, loop: Callable[[], asyncio.AbstractEventLoop | None]
    ) -> None:
        self._clock = clock
        self._loop = loop

    @property
    def now_ms(self) -> int:
        """The broker's wall time in milliseconds since the epoch."""
        return self._clock.now_ms()

    @property
    def is_stopped(self) -> bool:
        """Whether time passes by `advance` alone."""
        return self._clock.is_standing

    def stop(self) -> None:
        """Have time pass by `advance` alone."""
        self._in_loop(self._clock.stand_still)

    def resume(self) -> None:
        """Have time pass as it does, from where it is."""
        self._in_loop(self._clock.run)

    def advance(
        self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Move time on, all in all; what is due until then happens now.

        Sessions of members and transactions that have timed out end, groups rebalance, records and
        offsets are deleted that are too old then. Clients do not know of it: a member that should
        have sent a heartbeat meanwhile is gone.

        Raises:
            ValueError: Time does not go back.
        """
        ms = all_ms(seconds, minutes, hours, days)
        loop = self._loop()
        if loop is None:
            self._clock.shift(ms)
        else:
            asyncio.run_coroutine_threadsafe(self._clock.advance(ms), loop).result()

    def _in_loop(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        loop = self._loop()
        if loop is None:
            function()
        else:
            asyncio.run_coroutine_threadsafe(call(), loop).result()


def all_ms(seconds: float, minutes: float, hours: float, days: float) -> float:
    """Return all of it in milliseconds.

    Raises:
        ValueError: Time does not go back.
    """
    all_s = seconds + minutes * _MINUTE_S + hours * _HOUR_S + days * _DAY_S
    if all_s < 0:
        raise ValueError(f"{all_s} seconds: time does not go back")
    return all_s * MS_PER_S
