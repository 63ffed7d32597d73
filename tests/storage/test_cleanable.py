"""Which part of a log may be cleaned, and when that is worth it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pykbroker.storage.cleanable import CleanableRange, find_cleanable

NOW_MS = 1_000_000
NEVER = 2**63 - 1


@dataclass
class ASegment:
    base_offset: int
    size_bytes: int = 100
    first_timestamp: int = NOW_MS - 500
    largest_timestamp: int = NOW_MS - 100


def cleanable(segments: list[ASegment], **given: Any) -> CleanableRange:
    defaults = {
        "cleaned_to": None,
        "log_start_offset": 0,
        "log_end_offset": 100,
        "last_stable_offset": 100,
        "min_compaction_lag_ms": 0,
        "max_compaction_lag_ms": NEVER,
        "now_ms": NOW_MS,
    }
    return find_cleanable(segments, **(defaults | given))


def a_chain(*bases: int, **fields: Any) -> list[ASegment]:
    return [ASegment(base, **fields) for base in bases]


def bounds(found: CleanableRange) -> tuple[int, int, int, int]:
    return found.first_dirty_offset, found.end_offset, found.clean_bytes, found.cleanable_bytes


def test_everything_but_the_active_segment_is_cleanable_at_first() -> None:
    found = cleanable(a_chain(0, 10, 20))

    assert bounds(found) == (0, 20, 0, 200)
    assert found.ratio == 1.0


def test_an_active_segment_alone_is_not_cleanable() -> None:
    found = cleanable(a_chain(0))

    assert bounds(found) == (0, 0, 0, 0)
    assert found.ratio == 0.0
    assert not found.is_worth_it(0.0)


def test_what_was_cleaned_counts_as_clean() -> None:
    found = cleanable(a_chain(0, 10, 20, 30), cleaned_to=20)

    assert bounds(found) == (20, 30, 200, 100)
    assert found.ratio == pytest.approx(1 / 3)


def test_a_segment_that_is_half_clean_counts_on_both_sides() -> None:
    """A full offset map ends a cleaning inside of a segment; Kafka counts so too."""
    assert bounds(cleanable(a_chain(0, 10, 20), cleaned_to=15)) == (15, 20, 200, 100)


@pytest.mark.parametrize("cleaned_to", [3, 101])
def test_a_cleaning_of_a_log_that_was_cut_or_deleted_since_counts_for_nothing(
    cleaned_to: int,
) -> None:
    found = cleanable(a_chain(5, 10, 20), log_start_offset=5, cleaned_to=cleaned_to)

    assert bounds(found) == (5, 20, 0, 200)


def test_open_transactions_bound_it_to_whole_segments() -> None:
    assert cleanable(a_chain(0, 10, 20), last_stable_offset=19).end_offset == 10
    assert cleanable(a_chain(0, 10, 20), last_stable_offset=20).end_offset == 20
    assert bounds(cleanable(a_chain(0, 10, 20), last_stable_offset=5)) == (0, 0, 0, 0)


def test_young_segments_bound_it() -> None:
    segments = a_chain(0, 10, 20, 30)
    segments[1].largest_timestamp = NOW_MS - 50

    assert cleanable(segments, min_compaction_lag_ms=50).end_offset == 30
    assert cleanable(segments, min_compaction_lag_ms=51).end_offset == 10


def test_a_young_segment_that_is_clean_already_does_not_bound_it() -> None:
    segments = a_chain(0, 10, 20, 30)
    segments[0].largest_timestamp = NOW_MS

    assert cleanable(segments, min_compaction_lag_ms=50, cleaned_to=10).end_offset == 30


def test_the_bound_may_lie_before_what_is_clean() -> None:
    found = cleanable(a_chain(0, 10, 20, 30), cleaned_to=20, last_stable_offset=15)

    assert bounds(found) == (20, 10, 200, 0)


def test_the_ratio_must_be_exceeded() -> None:
    found = cleanable(a_chain(0, 10, 20), cleaned_to=10)

    assert not found.is_worth_it(0.5)
    assert found.is_worth_it(0.49)


def test_what_is_dirty_for_too_long_is_cleaned_whatever_the_ratio() -> None:
    segments = a_chain(0, 10, 20)
    segments[1].first_timestamp = NOW_MS - 1001

    assert cleanable(segments, cleaned_to=10, max_compaction_lag_ms=1000).is_worth_it(0.9)
    assert not cleanable(segments, cleaned_to=10, max_compaction_lag_ms=1001).is_worth_it(0.9)
    assert not cleanable(segments, cleaned_to=20, max_compaction_lag_ms=1000).is_overdue


def test_a_segment_without_timestamps_is_never_overdue() -> None:
    segments = a_chain(0, 10, first_timestamp=-1)

    assert not cleanable(segments, max_compaction_lag_ms=0).is_overdue
