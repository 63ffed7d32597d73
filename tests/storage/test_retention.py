"""Which segments may go: by start offset, by size, by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pykbroker.storage.retention import count_deletable


@dataclass
class FakeSegment:
    base_offset: int
    size_bytes: int = 100
    largest_timestamp: int = 0


def deletable(*segments: FakeSegment, **settings: Any) -> int:
    options: dict[str, Any] = {
        "log_start_offset": 0,
        "high_watermark": 100,
        "log_end_offset": 100,
        "is_delete_policy": True,
        "retention_ms": -1,
        "retention_bytes": -1,
        "now_ms": 1000,
    }
    return count_deletable(segments, **(options | settings))


def segments_at(*timestamps: int, size_bytes: int = 100) -> list[FakeSegment]:
    return [FakeSegment(10 * n, size_bytes, time) for n, time in enumerate(timestamps)]


def test_nothing_goes_without_a_rule() -> None:
    assert deletable(*segments_at(0, 0, 0)) == 0


@pytest.mark.parametrize(
    ("start", "expected"), [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (100, 2)]
)
def test_segments_below_the_start_offset_go_but_never_the_active_one(
    start: int, expected: int
) -> None:
    assert deletable(*segments_at(0, 0, 0), log_start_offset=start) == expected
    assert (
        deletable(*segments_at(0, 0, 0), log_start_offset=start, is_delete_policy=False) == expected
    )


@pytest.mark.parametrize(
    ("retention_ms", "expected"), [(100, 3), (499, 2), (500, 1), (899, 1), (900, 0), (0, 3)]
)
def test_segments_whose_latest_record_is_too_old_go(retention_ms: int, expected: int) -> None:
    assert deletable(*segments_at(100, 500, 800), retention_ms=retention_ms) == expected


def test_a_young_segment_keeps_the_older_behind_it() -> None:
    assert deletable(*segments_at(999, 0, 0), retention_ms=10) == 0


@pytest.mark.parametrize(
    ("retention_bytes", "expected"), [(300, 0), (250, 0), (200, 1), (100, 2), (1, 2), (0, 3)]
)
def test_what_remains_is_at_least_the_retention_size(retention_bytes: int, expected: int) -> None:
    assert deletable(*segments_at(0, 0, 0), retention_bytes=retention_bytes) == expected


def test_a_log_smaller_than_the_retention_size_stays() -> None:
    assert deletable(*segments_at(0, 0), retention_bytes=1000) == 0


def test_only_the_delete_policy_looks_at_size_and_time() -> None:
    assert (
        deletable(*segments_at(0, 0), retention_bytes=0, retention_ms=0, is_delete_policy=False)
        == 0
    )


def test_an_empty_active_segment_stays() -> None:
    segments = [*segments_at(0, 0), FakeSegment(100, 0)]

    assert deletable(*segments, retention_ms=0) == 2


def test_nothing_above_the_high_watermark_goes() -> None:
    assert deletable(*segments_at(0, 0, 0), retention_ms=0, high_watermark=15) == 1


def test_the_rules_apply_one_after_the_other() -> None:
    segments = segments_at(0, 0, 0, 990, 1000)

    assert deletable(*segments, log_start_offset=10, retention_bytes=350, retention_ms=500) == 3
    assert deletable(*segments, log_start_offset=10, retention_bytes=300, retention_ms=-1) == 2
