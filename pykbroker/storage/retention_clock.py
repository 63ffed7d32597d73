"""The time that retention and compaction go by: wall time, which jumps ahead reach an hour late.

A wall clock that jumps years ahead makes all records look old. Kafka deletes them with the next
check, and tombstones before anybody has seen them. Here such a clock is doubted for an hour: long
enough for NTP, or for somebody who reads the log, to set it right. What jumps back, or ahead by
less than an hour, is believed at once.

A clock that was wrong when the broker started cannot be told from a right one.
"""

import logging
import threading
from typing import Final

from pykbroker.clock import Clock

JUMP_MS: Final = 3_600_000
DOUBT_MS: Final = 3_600_000

_logger = logging.getLogger(__name__)


class RetentionClock:
    """Wall time for deleting by age; from any thread.

    Args:
        clock: The machine's clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # A pair of times that were believed.
        self._wall_ms = clock.now_ms()
        self._monotonic_ms = clock.monotonic_ms()
        self._doubted_since_ms: int | None = None

    def now_ms(self) -> int:
        """Return the time to go by, in milliseconds since the epoch."""
        with self._lock:
            return self._believed_ms()

    def _believed_ms(self) -> int:
        wall_ms, monotonic_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        expected_ms = self._wall_ms + monotonic_ms - self._monotonic_ms
        if wall_ms - expected_ms > JUMP_MS:
            if self._doubted_since_ms is None:
                self._doubted_since_ms = monotonic_ms
                _logger.warning(
                    "clock jumped ahead seconds=%d advice=%s", (wall_ms - expected_ms) // 1000,
                    "set it right within an hour, or retention.ms deletes by the new time",
                )  # fmt: skip
            if monotonic_ms - self._doubted_since_ms < DOUBT_MS:
                return expected_ms
            _logger.warning("retention goes by the new time")
        self._doubted_since_ms = None
        self._wall_ms, self._monotonic_ms = wall_ms, monotonic_ms
        return wall_ms
