"""Finding records by time, in closed and active segments, with every codec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.protocol.compression import Codec
from pykbroker.storage.batch_scan import BatchHeader, DamagedSegmentError
from pykbroker.storage.log_search import TimestampedOffset, find_produced, read_batch
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.batches import NOW_MS, a_record
from tests.harness.logs import a_log, append, crashed, reopened


def a_log_of_times(path: Path, *batches: list[int], **options: Any) -> PartitionLog:
    """A log whose batches hold records of the given timestamps."""
    log = a_log(path, **{"segment_bytes": 300, **options})
    for timestamps in batches:
        append(log, records=[a_record(timestamp=timestamp) for timestamp in timestamps])
    return log


@settings(max_examples=30, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.integers(-1, 30), min_size=1, max_size=4), min_size=1, max_size=12
    ),
    start=st.integers(0, 6),
    open_records=st.integers(0, 6),
    is_reopened=st.booleans(),
)
def test_the_first_record_at_or_after_a_time_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[int]],
    start: int,
    open_records: int,
    is_reopened: bool,
) -> None:
    log = a_log_of_times(tmp_path_factory.mktemp("log"), *batches)
    times = [timestamp for batch in batches for timestamp in batch]
    start = min(start, len(times))
    log.delete_records(start, NOW_MS)
    up_to = max(len(times) - open_records, start)
    # Only whole batches become visible.
    while up_to < len(times) and not any(
        up_to == sum(map(len, batches[:n])) for n in range(len(batches) + 1)
    ):
        up_to += 1
    if is_reopened:
        log = reopened(log)

    visible = range(start, up_to)
    for target in (0, *range(1, 31, 3), 31):
        expected = next((o for o in visible if times[o] >= target), None)
        found = log.offset_for_timestamp(target, up_to)
        assert (found.offset if found else None) == expected
        assert found is None or found.timestamp == times[found.offset]
    there = range(start, len(times))
    largest = max((times[o] for o in there), default=None)
    expected = next((o for o in there if times[o] == largest), None)
    found = log.max_timestamp_offset(up_to)
    if expected is None or expected >= up_to:
        assert found is None, "as in Kafka: not the largest that is visible"
    else:
        assert found is not None
        assert (found.timestamp, found.offset) == (largest, expected)
    log.abandon()


def test_records_without_time_have_a_largest_time_too(tmp_path: Path) -> None:
    """As Kafka: the first of them, at -1."""
    log = a_log_of_times(tmp_path, [-1, -1], [-1])
    log.delete_records(1, NOW_MS)
    assert log.max_timestamp_offset(3) == TimestampedOffset(1, -1, 0)
    log.abandon()


@pytest.mark.parametrize("codec", list(Codec))
def test_compressed_batches_are_looked_into(tmp_path: Path, codec: Codec) -> None:
    log = a_log(tmp_path)
    log.leader_epoch = 3
    append(log, records=[a_record(timestamp=t) for t in (1, 9, 5, 9)], codec=codec)

    assert log.offset_for_timestamp(5, 4) == (1, 9, 3)
    assert log.max_timestamp_offset(4) == (1, 9, 3)


def test_append_time_is_that_of_every_record(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    append(log, records=3, log_append_time_ms=50)
    append(log, records=3, log_append_time_ms=60)

    assert log.offset_for_timestamp(51, 6) == (3, 60, 0)
    assert log.max_timestamp_offset(6) == (3, 60, 0)


def test_a_time_is_found_after_a_crash(tmp_path: Path) -> None:
    log = crashed(a_log_of_times(tmp_path, [1, 2], [3, 4], [5, 6], [7, 8], [9, 1]))

    assert log.offset_for_timestamp(8, 10) == (7, 8, 0)
    assert log.max_timestamp_offset(10) == (8, 9, 0)


def test_batches_of_a_producer_are_collected(tmp_path: Path) -> None:
    log = a_log(tmp_path, segment_bytes=200)
    for producer_id, epoch, sequence in [(5, 0, 0), (5, 1, 0), (6, 1, 0), (5, 1, 1), (6, 1, 1)]:
        append(log, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)

    found = find_produced(log.segments, 5, 1)

    assert [(batch.first_sequence, batch.first_offset) for batch in found] == [(0, 1), (1, 3)]


def test_a_batch_that_is_not_there_is_damage(tmp_path: Path) -> None:
    log = a_log_of_times(tmp_path, [1])

    with pytest.raises(DamagedSegmentError):
        read_batch(log.segments[0], BatchHeader(0, 10**6, 0, 0, 0, 0, -1, -1, -1))
