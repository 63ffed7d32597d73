"""Which aborted transactions a fetch has to know, over several segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykbroker.storage.aborted_transactions import AbortedTransactions
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.segment import Segment
from pykbroker.storage.transaction_index import AbortedTransaction, TransactionIndex
from tests.harness.batches import NOW_MS
from tests.harness.logs import a_log, append, crashed, reopened


def write(log: PartitionLog, producer_id: int, sequence: int = 0) -> None:
    append(
        log,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=sequence,
        is_transactional=True,
    )


def abort(log: PartitionLog, producer_id: int) -> None:
    log.append_marker(producer_id, 0, is_commit=False, coordinator_epoch=0, now_ms=NOW_MS)


def a_log_of_three_segments(path: Path) -> PartitionLog:
    """Offsets 0 to 4, 5 to 9, 10 and 11; a transaction over all, others in the first and second."""
    log = a_log(path)
    write(log, 1)  # 0 to 10
    write(log, 2)  # 1 to 2
    abort(log, 2)
    append(log, records=2)
    log.roll(NOW_MS)
    write(log, 3)  # 5 to 6
    abort(log, 3)
    append(log, records=3)
    log.roll(NOW_MS)
    abort(log, 1)
    append(log)
    return log


def found(log: PartitionLog, offset: int, up_to: int) -> list[tuple[int, int]]:
    entries = log.transactions.aborted.find(offset, up_to)
    return [(entry.producer_id, entry.first_offset) for entry in entries]


@pytest.mark.parametrize("restart", [lambda log: log, reopened, crashed])
def test_what_overlaps_is_found_in_all_segments(tmp_path: Path, restart: Any) -> None:
    log = restart(a_log_of_three_segments(tmp_path))

    assert found(log, 0, 12) == [(2, 1), (3, 5), (1, 0)]
    assert found(log, 0, 1) == [(1, 0)]
    assert found(log, 3, 5) == [(1, 0)]
    assert found(log, 3, 6) == [(3, 5), (1, 0)]
    assert found(log, 7, 12) == [(1, 0)]
    assert found(log, 11, 12) == []
    assert not log.transactions.aborted.may_overlap(11)
    assert log.transactions.aborted.may_overlap(10)


def test_a_transaction_that_is_aborted_now_is_found_at_once(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    assert found(log, 0, 100) == []
    for number in range(3):
        write(log, 1, number)
        abort(log, 1)
        assert found(log, 2 * number, 100) == [(1, 2 * number)]
        if number == 1:
            log.roll(NOW_MS)
    assert found(log, 0, 100) == [(1, 0), (1, 2), (1, 4)]


def test_deleted_segments_take_their_transactions_along(tmp_path: Path) -> None:
    log = a_log_of_three_segments(tmp_path)

    log.delete_records(5, NOW_MS)

    assert found(log, 5, 12) == [(3, 5), (1, 0)]
    assert [segment.base_offset for segment in log.segments] == [5, 10]


def test_a_segment_without_entries_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = a_log(tmp_path)
    for number in range(10):
        write(log, 1, number)
        if number in (3, 6):
            abort(log, 1)
        log.roll(NOW_MS)
    collected: list[Path] = []
    original = TransactionIndex.collect

    def collect(self: TransactionIndex, *bounds: int) -> Any:
        collected.append(self.path)
        return original(self, *bounds)

    monkeypatch.setattr(TransactionIndex, "collect", collect)

    assert found(log, 0, 1) == [(1, 0)]
    assert found(log, 6, 12) == [(1, 5)]
    assert found(log, 11, 12) == []
    assert [path.name for path in collected] == [f"{base:020}.txnindex" for base in (3, 7)]


def test_many_entries_are_searched_and_not_read_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = a_log(tmp_path)
    for number in range(1000):
        write(log, 1, number)
        abort(log, 1)
    reads: list[int] = []
    original = TransactionIndex._read

    def read(self: TransactionIndex, first: int, count: int) -> list[AbortedTransaction]:
        reads.append(count)
        return original(self, first, count)

    monkeypatch.setattr(TransactionIndex, "_read", read)

    assert found(log, 1000, 1010) == [(1, offset) for offset in range(1000, 1010, 2)]

    assert len(reads) <= 11
    assert sum(reads) <= 140


def bound(log: PartitionLog, offset: int, max_bytes: int) -> int:
    read = log.read(offset, max_bytes, up_to=log.high_watermark, at_least_one_batch=True)
    assert read.slice is not None
    return log.transactions.aborted.upper_bound(read.slice, log.log_end_offset)


def test_the_bound_is_the_next_index_entry_or_the_end_of_the_segment(tmp_path: Path) -> None:
    log = a_log(tmp_path, index_interval_bytes=0)
    for _ in range(3):
        append(log, records=2)
    log.roll(NOW_MS)
    append(log, records=2)
    batch_bytes = log.segments[0].size_bytes // 3

    assert bound(log, 0, batch_bytes) == 3, "the last offset of the batch behind the bytes"
    assert bound(log, 0, batch_bytes + 1) == 5
    assert bound(log, 0, 1 << 20) == 6, "the next segment"
    assert bound(log, 2, batch_bytes) == 5
    assert bound(log, 6, batch_bytes) == 8


def test_a_list_keeps_to_the_segments_that_it_was_made_of(tmp_path: Path) -> None:
    log = a_log_of_three_segments(tmp_path)
    before = log.transactions.aborted
    segments: tuple[Segment, ...] = log.segments

    log.roll(NOW_MS)

    assert before.segments == segments
    assert log.transactions.aborted is not before
    assert log.transactions.aborted is log.transactions.aborted
    assert AbortedTransactions(segments).find(0, 1) == before.find(0, 1)
