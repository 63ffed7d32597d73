"""The log of a partition: append, read, roll, delete, restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.record_batch import RecordBatch, iter_batches
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.batches import NOW_MS, a_batch, a_record
from tests.harness.logs import (
    BATCH_BYTES,
    FaultyFiles,
    a_config,
    a_filled_log,
    a_log,
    append,
    batch_of,
    crashed,
    error_code,
    fetched,
    names,
    reopened,
    values,
)

# Appending and reading


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    log = a_log(tmp_path)

    assert (log.log_start_offset, log.high_watermark, log.log_end_offset) == (0, 0, 0)
    assert fetched(log, 0) == b""
    assert log.size_bytes == 0
    assert log.max_timestamp_offset(0) is None
    assert repr(log) == "PartitionLog(orders-0, 0..0)"


def test_batches_get_consecutive_offsets_and_the_leader_epoch(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.leader_epoch = 4

    first = append(log, records=3)
    second = append(log, records=2)

    assert first == (0, 2, -1, False)
    assert second == (3, 4, -1, False)
    assert (log.high_watermark, log.last_stable_offset, log.log_end_offset) == (5, 5, 5)
    assert batch_of(log, 4).partition_leader_epoch == 4
    assert batch_of(log, 4).is_crc_valid()
    assert log.end_offset_for_epoch(4) == (4, 5)
    assert log.epoch_at(2) == 4


def test_append_time_is_told(tmp_path: Path) -> None:
    log = a_log(tmp_path)

    assert append(log, log_append_time_ms=NOW_MS + 5).log_append_time_ms == NOW_MS + 5


def test_every_append_and_move_is_announced(tmp_path: Path) -> None:
    seen: list[tuple[int, int, bool]] = []
    log = a_log(
        tmp_path,
        on_advance=lambda log: seen.append(
            (log.log_start_offset, log.high_watermark, log.is_closed)
        ),
    )

    append(log, records=2)
    log.delete_records(1, NOW_MS)
    log.close()
    log.close()

    assert seen == [(0, 2, False), (1, 2, False), (1, 2, True)]


def test_a_read_starts_with_the_whole_batch_that_holds_the_offset(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 20, segment_bytes=BATCH_BYTES * 4)
    assert len(log.segments) == 5

    for offset in range(40):
        batches = list(iter_batches(fetched(log, offset)))
        assert batches[0].base_offset == offset // 2 * 2
        segment_end = offset // 8 * 8 + 8
        assert batches[-1].last_offset == segment_end - 1


@pytest.mark.parametrize(
    ("max_bytes", "at_least_one_batch", "expected"),
    [
        (0, True, BATCH_BYTES),
        (0, False, 0),
        (BATCH_BYTES - 1, True, BATCH_BYTES),
        (BATCH_BYTES - 1, False, 0),
        (BATCH_BYTES, False, BATCH_BYTES),
        (BATCH_BYTES * 2 - 1, True, BATCH_BYTES * 2 - 1),  # the second one is cut off
        (10**9, False, BATCH_BYTES * 3),
    ],
)
def test_a_read_respects_the_limit(
    tmp_path: Path, max_bytes: int, at_least_one_batch: bool, expected: int
) -> None:
    log = a_filled_log(tmp_path, 3)
    for reader in (log, reopened(log)):
        data = fetched(reader, 0, max_bytes, at_least_one_batch=at_least_one_batch)
        assert len(data) == expected


def test_nothing_past_the_upper_bound_is_returned(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 3)

    assert len(fetched(log, 0, up_to=4)) == BATCH_BYTES * 2
    assert len(fetched(log, 2, up_to=4)) == BATCH_BYTES
    assert fetched(log, 4, up_to=4) == b""
    assert fetched(log, 6) == b""
    assert [b.base_offset for b in log.read_batches(3, 4)] == [2]


def test_offsets_outside_of_the_log_are_out_of_range(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 3)
    log.delete_records(2, NOW_MS)

    for offset in (-1, 0, 1, 7):
        code = error_code(lambda offset=offset: fetched(log, offset))  # type: ignore[misc]
        assert code == ErrorCode.OFFSET_OUT_OF_RANGE
    assert list(values(log)) == [2, 3, 4, 5]


def test_records_of_the_broker_itself_are_one_batch(tmp_path: Path) -> None:
    log = a_log(tmp_path)

    result = log.append_records([a_record(key=b"a"), a_record(key=b"b")], NOW_MS)

    assert (result.base_offset, result.last_offset) == (0, 1)
    assert [r.key for r in batch_of(log, 0).records(1000)] == [b"a", b"b"]


def test_the_brokers_own_records_may_be_part_of_a_transaction(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    for _ in range(2):
        log.append_records([a_record(), a_record()], NOW_MS, producer=(7, 3))
    assert log.has_open_transaction(7, 3)
    for batch in log.read_batches(0, log.log_end_offset):
        assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (7, 3, 0)
        assert batch.is_transactional
    log.append_records([a_record()], NOW_MS, producer=(7, 4))
    code = error_code(lambda: log.append_records([a_record()], NOW_MS, producer=(7, 3)))
    assert code == ErrorCode.INVALID_PRODUCER_EPOCH
    assert log.log_end_offset == 5


def test_a_batch_larger_than_a_segment_is_refused(tmp_path: Path) -> None:
    log = a_log(tmp_path, segment_bytes=BATCH_BYTES - 1)

    assert error_code(lambda: append(log, records=2)) == ErrorCode.RECORD_LIST_TOO_LARGE
    assert log.log_end_offset == 0


def test_a_damaged_place_is_reported_and_the_rest_can_be_read(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 6, index_interval_bytes=10**6)
    data = bytearray(log.segments[0].path.read_bytes())
    data[BATCH_BYTES * 2 + 8 : BATCH_BYTES * 2 + 12] = b"\xff" * 4
    log.segments[0].path.write_bytes(data)
    log = reopened_damaged(log)

    assert len(fetched(log, 0, BATCH_BYTES)) == BATCH_BYTES
    assert error_code(lambda: fetched(log, 8)) == ErrorCode.CORRUPT_MESSAGE


def reopened_damaged(log: PartitionLog) -> PartitionLog:
    """The same log object without what it remembers of recent batches."""
    log.segments[0]._recent.clear()
    return log


# Rolling


def test_a_full_segment_is_followed_by_a_new_one(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 5, segment_bytes=BATCH_BYTES * 2)

    assert [segment.base_offset for segment in log.segments] == [0, 4, 8]
    assert {
        "00000000000000000004.log",
        "00000000000000000004.index",
        "00000000000000000004.timeindex",
        "00000000000000000004.snapshot",
        "00000000000000000008.log",
        "00000000000000000008.snapshot",
    } <= names(log)
    assert list(values(log)) == list(range(10))


def test_age_is_measured_from_the_first_batch_of_the_segment(tmp_path: Path) -> None:
    log = a_log(tmp_path, segment_ms=1000)
    for age_ms in (0, 1000, 1001, 500, 2001, 2002):
        append(log, records=[a_record(timestamp=NOW_MS + age_ms)])

    # 1001 is too old for the first segment, 2002 is so for the second, which began at 1001.
    assert [segment.base_offset for segment in log.segments] == [0, 2, 5]


def test_without_timestamps_age_is_measured_from_the_making_of_the_segment(tmp_path: Path) -> None:
    log = a_log(tmp_path, segment_ms=1000)
    for now_ms in (NOW_MS, NOW_MS + 1000, NOW_MS + 1001):
        append(log, records=[a_record(timestamp=-1)], now_ms=now_ms)

    assert [segment.base_offset for segment in log.segments] == [0, 2]


def test_an_empty_segment_is_not_rolled(tmp_path: Path) -> None:
    log = a_log(tmp_path, segment_ms=0)
    log.roll(NOW_MS)
    assert len(log.segments) == 1

    append(log)
    log.roll(NOW_MS)
    log.roll(NOW_MS)

    assert [segment.base_offset for segment in log.segments] == [0, 1]


def test_jitter_makes_a_segment_roll_earlier(tmp_path: Path) -> None:
    log = a_log(tmp_path, segment_ms=1000, segment_jitter_ms=5000)
    append(log)
    log.roll(NOW_MS)

    assert 0 <= log.segments[1].roll_jitter_ms < 1000


def test_a_full_index_rolls(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 24, segment_index_bytes=36)

    assert len(log.segments) > 2
    assert list(values(log)) == list(range(48))


def test_an_offset_that_does_not_fit_the_index_rolls(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    wide = a_batch(records=[a_record(0), a_record(2**31 - 1)], keep_offsets=True)
    log.append(wide, NOW_MS)

    append(log)

    assert [segment.base_offset for segment in log.segments] == [0, 2**31]
    assert len(fetched(log, 5)) == wide.size_bytes


def test_settings_can_change(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 3)
    log.reconfigure(a_config(segment_bytes=BATCH_BYTES, index_interval_bytes=7))
    append(log, records=2)

    assert len(log.segments) == 2
    assert log.segments[0].index_interval_bytes == 7


# Deleting


def test_deleting_records_moves_the_start_and_removes_whole_segments(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 5, segment_bytes=BATCH_BYTES * 2)

    assert log.delete_records(5, NOW_MS) == 5
    assert [segment.base_offset for segment in log.segments] == [4, 8]
    assert log.delete_records(3, NOW_MS) == 5
    assert "00000000000000000000.log.deleted" in names(log)
    assert list(values(log)) == [5, 6, 7, 8, 9]

    log.remove_deleted_files(NOW_MS + 59_999)
    assert "00000000000000000000.log.deleted" in names(log)
    log.remove_deleted_files(NOW_MS + 60_000)
    assert not [name for name in names(log) if name.endswith(".deleted")]


def test_deleting_everything_goes_on_with_the_next_offset(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 2)

    assert log.delete_records(-1, NOW_MS) == 4
    log = reopened(log)
    assert (log.log_start_offset, log.log_end_offset) == (4, 4)
    assert append(log).base_offset == 4


@pytest.mark.parametrize("offset", [-2, 5])
def test_only_existing_offsets_can_be_deleted(tmp_path: Path, offset: int) -> None:
    log = a_filled_log(tmp_path, 2)

    code = error_code(lambda: log.delete_records(offset, NOW_MS))

    assert code == ErrorCode.OFFSET_OUT_OF_RANGE


def test_retention_by_time_can_empty_the_log(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 5, segment_bytes=BATCH_BYTES * 2, retention_ms=1000)

    assert log.apply_retention(NOW_MS + 1001) == 0
    assert log.apply_retention(NOW_MS + 1002) == 3

    assert (log.log_start_offset, log.log_end_offset) == (10, 10)
    assert [segment.base_offset for segment in log.segments] == [10]
    log = crashed(log)
    assert append(log).base_offset == 10


def test_retention_by_size_keeps_at_least_that(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 8, segment_bytes=BATCH_BYTES * 2, retention_bytes=BATCH_BYTES * 4)

    assert log.apply_retention(NOW_MS) == 2

    assert log.log_start_offset == 8
    assert log.size_bytes == BATCH_BYTES * 4
    assert log.apply_retention(NOW_MS) == 0


def test_a_file_can_be_read_after_its_segment_was_deleted(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 4, segment_bytes=BATCH_BYTES * 2)
    found = log.read(0, 10**6, up_to=8, at_least_one_batch=True)
    expected = fetched(log, 0)

    log.delete_records(4, NOW_MS)
    log.remove_deleted_files(NOW_MS + 10**9)

    assert found.slice is not None
    assert found.slice.read() == expected


# Restart


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.ZSTD])
@pytest.mark.parametrize("restart", [reopened, crashed])
def test_everything_is_there_after_a_restart(tmp_path: Path, restart: Any, codec: Codec) -> None:
    log = a_log(tmp_path, segment_bytes=BATCH_BYTES * 4)
    log.leader_epoch = 3
    for _ in range(10):
        append(log, records=2, codec=codec)
    before = values(log)
    log.leader_epoch = 5
    append(log)

    log = restart(log)

    assert values(log) == before | {20: b"value-0"}
    assert log.epochs.entries == [(3, 0), (5, 20)]
    assert log.leader_epoch == 5
    assert append(log).base_offset == 21


def test_a_clean_stop_leaves_kafkas_files(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 3)
    log.close()

    assert names(log) == {
        "00000000000000000000.log",
        "00000000000000000000.index",
        "00000000000000000000.timeindex",
        "00000000000000000006.snapshot",
        "leader-epoch-checkpoint",
    }
    assert (log.path / "leader-epoch-checkpoint").read_bytes() == b"0\n1\n0 0\n"
    # Batches at 0, 92, 184; an entry after more than 100 bytes.
    index = (log.path / "00000000000000000000.index").read_bytes()
    assert index.hex(" ", 4) == "00000005 " + f"{2 * BATCH_BYTES:08x}"


def test_the_second_clean_stop_writes_nothing(tmp_path: Path) -> None:
    log = reopened(a_filled_log(tmp_path, 3))
    files = FaultyFiles()
    log = reopened(log, files=files)
    log.close()

    assert not files.calls


def test_files_are_closed_when_idle_and_opened_again(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 4, segment_bytes=BATCH_BYTES * 2)
    log.release_idle_files()
    assert not log.segments[0].is_open
    assert log.segments[1].is_open
    log.release_idle_files()
    assert not log.segments[1].is_open

    append(log, records=2)
    assert list(values(log)) == list(range(10))


def test_records_of_an_unknown_batch_type_keep_their_bytes(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    batch = a_batch(records=2, codec=Codec.LZ4)
    payload = bytes(batch.payload)

    log.append(batch, NOW_MS)

    assert bytes(RecordBatch.parse(fetched(log, 0)).payload) == payload
