"""Keeping to a number of bytes a second by waiting (Kafka's `Throttler`).

What was done is added up. When a third of a second has passed since the last look and it was more
than the rate allows, the caller waits until it is not more any longer.
"""

from collections.abc import Callable
from typing import Final

_INTERVAL_SECONDS: Final = 0.3


class Throttler:
    """Slows its caller down to a rate.

    Args:
        bytes_per_second: The rate; 0 or less is no limit.
        monotonic: A clock in seconds.
        sleep: Waits for a number of seconds.
    """

    __slots__ = ("_bytes_per_second", "_monotonic", "_observed", "_sleep", "_started")

    def __init__(
        self,
        bytes_per_second: float,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._bytes_per_second = bytes_per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._started = monotonic()
        self._observed = 0

    def note(self, size_bytes: int) -> None:
        """Count bytes that were read or written; may wait."""
        if self._bytes_per_second <= 0:
            return
        self._observed += size_bytes
        elapsed = self._monotonic() - self._started
        if elapsed < _INTERVAL_SECONDS:
            return
        wait = self._observed / self._bytes_per_second - elapsed
        if wait > 0:
            self._sleep(wait)
        self._started = self._monotonic()
        self._observed = 0
