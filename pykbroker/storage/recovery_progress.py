"""Telling how far the start is while it checks logs after a crash: one line a second at most."""

import logging
import os
from pathlib import Path
from typing import Final

from pykbroker.clock import Clock
from pykbroker.storage.segment import LOG_SUFFIX

_INTERVAL_MS: Final = 1000
# The clock is looked at after so many bytes, which take some milliseconds.
_BYTES_PER_LOOK: Final = 4 << 20
_MEGABYTE: Final = 1_000_000

_logger = logging.getLogger(__name__)


class RecoveryProgress:
    """What of a data directory has been loaded; quiet while it takes less than a second.

    Args:
        directory: The data directory.
        clock: Monotonic time.
        logs: How many logs there are.
        expected_bytes: How many bytes of them are to be checked; 0 after a clean stop.
    """

    def __init__(self, directory: Path, clock: Clock, logs: int, expected_bytes: int) -> None:
        self._directory = directory
        self._clock = clock
        self._logs = logs
        self._expected_bytes = expected_bytes
        self._done = 0
        self._checked_bytes = 0
        self._cut_bytes = 0
        self._look_at_bytes = _BYTES_PER_LOOK
        self._started_ms = clock.monotonic_ms()
        self._told_ms = self._started_ms

    def note_checked(self, size_bytes: int) -> None:
        """Count bytes of a log that have been checked."""
        self._checked_bytes += size_bytes
        if self._checked_bytes >= self._look_at_bytes:
            self._look_at_bytes = self._checked_bytes + _BYTES_PER_LOOK
            self._tell()

    def note_loaded(self, cut_bytes: int = 0) -> None:
        """Count a log that has been loaded, and what was cut behind its last whole batch."""
        self._done += 1
        self._cut_bytes += cut_bytes
        self._tell()

    def finish(self) -> None:
        """Tell what was done, if it took long or anything was cut."""
        elapsed_ms = self._clock.monotonic_ms() - self._started_ms
        if elapsed_ms >= _INTERVAL_MS or self._cut_bytes:
            _logger.info(
                "logs loaded directory=%s logs=%d checked_bytes=%d cut_bytes=%d seconds=%.1f",
                self._directory, self._done, self._checked_bytes, self._cut_bytes,
                elapsed_ms / 1000,
            )  # fmt: skip

    def _tell(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._told_ms < _INTERVAL_MS:
            return
        self._told_ms = now_ms
        _logger.info(
            "loading logs directory=%s done=%d of=%d checked_mb=%d of_mb=%d seconds_left=%s",
            self._directory, self._done, self._logs, self._checked_bytes // _MEGABYTE,
            self._expected_bytes // _MEGABYTE, self._seconds_left(now_ms - self._started_ms),
        )  # fmt: skip

    def _seconds_left(self, elapsed_ms: int) -> str:
        """Estimate from the bytes, or from the logs where there are none to check."""
        if self._expected_bytes:
            done, of = self._checked_bytes, self._expected_bytes
        else:
            done, of = self._done, self._logs
        return str(max(of - done, 0) * elapsed_ms // (done * 1000)) if done else "?"


def bytes_to_check(partition: Path, recovery_point: int) -> int:
    """Return the bytes of a log from the segment on that holds the recovery point.

    Raises:
        OSError: The disk failed.
    """
    sizes: dict[int, int] = {}
    with os.scandir(partition) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix == LOG_SUFFIX and stem.isdecimal():
                sizes[int(stem)] = entry.stat().st_size
    first = max((base for base in sizes if base <= recovery_point), default=0)
    return sum(size for base, size in sizes.items() if base >= first)
