"""Which part of a compacted log may be cleaned, and whether that is worth it (pure).

    log start        first dirty offset        end offset            log end
    |  clean bytes   |     cleanable bytes     |  not yet cleanable  |

The rules are those of Kafka's `LogCleanerManager`: nothing at or above the last stable offset, in
the active segment, or in a segment younger than `min.compaction.lag.ms` is cleaned, and only whole
segments are. A log is worth cleaning when the cleanable part of its bytes exceeds
`min.cleanable.dirty.ratio`, or when `max.compaction.lag.ms` is over for something that is dirty.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class CleanableSegment(Protocol):
    """What is looked at."""

    @property
    def base_offset(self) -> int:
        """First offset that may be in the segment."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the `.log` file."""

    @property
    def first_timestamp(self) -> int:
        """Largest timestamp of the first batch in ms, or -1."""

    @property
    def largest_timestamp(self) -> int:
        """Largest timestamp of its records in ms."""


@dataclass(frozen=True, slots=True)
class CleanableRange:
    """What a cleaning of a log would do.

    Attributes:
        first_dirty_offset: What lies before has been cleaned.
        end_offset: Where a segment begins that must not be cleaned yet.
        clean_bytes: Size of what has been cleaned.
        cleanable_bytes: Size of what has not.
        is_overdue: Whether something dirty is older than `max.compaction.lag.ms`.
    """

    first_dirty_offset: int
    end_offset: int
    clean_bytes: int
    cleanable_bytes: int
    is_overdue: bool

    @property
    def ratio(self) -> float:
        """Which part of the bytes is cleanable, from 0 to 1."""
        total_bytes = self.clean_bytes + self.cleanable_bytes
        return self.cleanable_bytes / total_bytes if total_bytes else 0.0

    def is_worth_it(self, min_ratio: float) -> bool:
        """Whether to clean; the ratio must be exceeded, as in Kafka."""
        return self.cleanable_bytes > 0 and (self.is_overdue or self.ratio > min_ratio)


def find_cleanable(
    segments: Sequence[CleanableSegment],
    *,
    cleaned_to: int | None,
    log_start_offset: int,
    log_end_offset: int,
    last_stable_offset: int,
    min_compaction_lag_ms: int,
    max_compaction_lag_ms: int,
    now_ms: int,
) -> CleanableRange:
    """Return what may be cleaned of a log.

    Args:
        segments: All segments, oldest first; the last one is active.
        cleaned_to: Where the last cleaning ended; None if there was none.
        log_start_offset: Records below it are deleted.
        log_end_offset: If `cleaned_to` lies behind it, the log was cut and counts as dirty.
        last_stable_offset: Open transactions begin here.
        min_compaction_lag_ms: `min.compaction.lag.ms`.
        max_compaction_lag_ms: `max.compaction.lag.ms`.
        now_ms: Wall time.
    """
    if cleaned_to is None or not log_start_offset <= cleaned_to <= log_end_offset:
        cleaned_to = log_start_offset
    bases = [segment.base_offset for segment in segments]
    dirty = segments[_holding(bases, cleaned_to) : -1]
    bound = min(last_stable_offset, bases[-1])
    if min_compaction_lag_ms > 0:
        young_ms = now_ms - min_compaction_lag_ms
        young = (s.base_offset for s in dirty if s.largest_timestamp > young_ms)
        bound = min(bound, next(young, bound))
    end = _holding(bases, bound)
    end_offset = bases[end]
    overdue_ms = now_ms - max_compaction_lag_ms
    first_cleanable = _holding(bases, min(cleaned_to, end_offset))
    return CleanableRange(
        cleaned_to,
        end_offset,
        sum(segment.size_bytes for segment in segments if segment.base_offset < cleaned_to),
        sum(segment.size_bytes for segment in segments[first_cleanable:end]),
        # Usually there is no limit, and then nothing need be read from the disk.
        overdue_ms > 0 and any(0 < s.first_timestamp < overdue_ms for s in dirty),
    )


def _holding(bases: Sequence[int], offset: int) -> int:
    """Return the index of the segment that holds an offset; 0 for one below all of them."""
    return max(bisect_right(bases, offset) - 1, 0)
