"""Which of the oldest segments of a log may go (pure).

Only whole segments from the oldest on, and never one that reaches the high watermark's far side
(Kafka's `UnifiedLog.deletableSegments`). With `cleanup.policy` containing `delete` three rules
apply one after the other, else only the first:

- below the log start offset: the next segment starts at or before it;
- size: what remains after removing the segment is still at least `retention.bytes`;
- time: its largest timestamp is older than `retention.ms`.

The active segment may go by size or time too, if it is not empty; the log rolls a new one first.
"""

from collections.abc import Callable, Sequence
from typing import Protocol


class RetainedSegment(Protocol):
    """What retention looks at."""

    @property
    def base_offset(self) -> int:
        """First offset that may be in the segment."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the `.log` file."""

    @property
    def largest_timestamp(self) -> int:
        """Largest timestamp of its records in ms."""


def count_deletable(
    segments: Sequence[RetainedSegment],
    *,
    log_start_offset: int,
    high_watermark: int,
    log_end_offset: int,
    is_delete_policy: bool,
    retention_ms: int,
    retention_bytes: int,
    now_ms: int,
) -> int:
    """Return how many of the oldest segments may be deleted.

    Args:
        segments: All segments, oldest first; the last one is active.
        log_start_offset: Records below it are deleted already.
        high_watermark: Nothing at or above it may be deleted.
        log_end_offset: Where the active segment ends.
        is_delete_policy: Whether `cleanup.policy` contains `delete`.
        retention_ms: `retention.ms`; negative keeps for ever.
        retention_bytes: `retention.bytes`; negative means no limit.
        now_ms: Wall time.
    """
    ends = [segment.base_offset for segment in segments[1:]] + [log_end_offset]

    def count_more(done: int, is_due: Callable[[int], bool]) -> int:
        while done < len(segments):
            is_empty_active = done == len(segments) - 1 and segments[done].size_bytes == 0
            if is_empty_active or high_watermark < ends[done] or not is_due(done):
                break
            done += 1
        return done

    count = count_more(0, lambda i: i + 1 < len(segments) and ends[i] <= log_start_offset)
    if not is_delete_policy:
        return count
    if retention_bytes >= 0:
        excess = sum(segment.size_bytes for segment in segments[count:]) - retention_bytes

        def is_excess(index: int) -> bool:
            nonlocal excess
            if excess < segments[index].size_bytes:
                return False
            excess -= segments[index].size_bytes
            return True

        if excess >= 0:
            count = count_more(count, is_excess)
    if retention_ms >= 0:
        count = count_more(count, lambda i: now_ms - segments[i].largest_timestamp > retention_ms)
    return count
