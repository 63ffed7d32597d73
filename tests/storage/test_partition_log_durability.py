"""What a flush promises, and what a failing disk does to a log."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage.file_layer import FileHandle
from tests.harness.batches import NOW_MS
from tests.harness.logs import (
    BATCH_BYTES,
    FaultyFiles,
    a_config,
    a_filled_log,
    a_log,
    append,
    crashed,
    error_code,
    reopened,
    values,
)


def test_a_flush_advances_the_recovery_point(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 3, files=files)
    assert log.recovery_point == 0

    log.flush()
    assert log.recovery_point == 6
    assert files.calls["sync"] == 1

    log.flush()
    assert files.calls["sync"] == 1, "nothing new, nothing to do"


def test_a_flush_covers_all_segments_since_the_last_one(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 6, files=files, segment_bytes=BATCH_BYTES * 2)

    log.flush()
    assert files.calls["sync"] == 3

    append(log, records=2)
    log.flush()
    assert files.calls["sync"] == 4
    assert log.recovery_point == 14


@pytest.mark.parametrize(
    ("settings", "waited_ms", "is_due"),
    [
        ({}, 10**9, False),
        ({"flush_messages": 3}, 0, False),
        ({"flush_messages": 2}, 0, True),
        ({"flush_ms": 100}, 99, False),
        ({"flush_ms": 100}, 100, True),
    ],
)
def test_a_flush_is_due_when_the_topic_says_so(
    tmp_path: Path, settings: dict[str, Any], waited_ms: int, is_due: bool
) -> None:
    log = a_filled_log(tmp_path, 1, **settings)

    assert log.is_flush_due(NOW_MS + waited_ms) is is_due
    log.flush()
    assert not log.is_flush_due(NOW_MS + waited_ms)


def test_a_roll_makes_a_flush_due(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 1)
    log.roll(NOW_MS)

    assert log.is_flush_due(NOW_MS)
    log.flush()
    assert not log.is_flush_due(NOW_MS)


def test_a_failed_fsync_takes_the_directory_offline_for_good(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 2, files=files)
    files.failures["sync"] = errno.EIO

    assert error_code(log.flush) == ErrorCode.KAFKA_STORAGE_ERROR
    files.failures.clear()

    assert log.is_offline
    assert log.recovery_point == 0
    for call in (log.flush, lambda: append(log), lambda: log.delete_records(1, NOW_MS)):
        assert error_code(call) == ErrorCode.KAFKA_STORAGE_ERROR
    assert log.apply_retention(NOW_MS + 10**12) == 0
    assert list(values(log)) == [0, 1, 2, 3]


def test_without_space_an_append_fails_and_a_later_one_works(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 2, files=files)
    files.short_write_bytes = 30

    assert error_code(lambda: append(log, records=2)) == ErrorCode.KAFKA_STORAGE_ERROR
    assert not log.is_offline
    assert log.segments[0].path.stat().st_size == BATCH_BYTES * 2
    files.failures.clear()

    assert append(log, records=2).base_offset == 4
    assert list(values(crashed(log))) == list(range(6))


def test_without_a_file_descriptor_nothing_is_broken(tmp_path: Path) -> None:
    class NoDescriptors(FaultyFiles):
        def open(self, path: Path | str, *, create: bool = False) -> FileHandle:
            if create and str(path).endswith(".log"):
                raise OSError(errno.EMFILE, "injected")
            return super().open(path, create=create)

    log = a_log(tmp_path, files=NoDescriptors())

    assert error_code(lambda: append(log)) == ErrorCode.KAFKA_STORAGE_ERROR
    assert not log.is_offline


def test_a_flush_without_a_file_descriptor_can_be_repeated(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 2, files=files)
    log.roll(NOW_MS)
    files.failures["sync_path"] = errno.EMFILE

    assert error_code(log.flush) == ErrorCode.KAFKA_STORAGE_ERROR
    assert not log.is_offline
    assert log.is_flush_due(NOW_MS)
    assert log.recovery_point == 0

    files.failures.clear()
    before = files.calls["sync_path"]
    log.flush()
    assert log.recovery_point == 4
    assert files.calls["sync_path"] > before, "nothing was forgotten"


def test_appends_and_flushes_may_run_at_the_same_time(tmp_path: Path) -> None:
    """Whatever the interleaving, what the recovery point covers was synced."""
    synced: dict[int, int] = {}

    class Watching(FaultyFiles):
        def sync(self, handle: FileHandle) -> None:
            stat = os.fstat(handle.fd)
            synced[stat.st_ino] = stat.st_size

    log = a_log(tmp_path, files=Watching(), segment_bytes=BATCH_BYTES * 20)
    is_done = threading.Event()

    def flush_all_the_time() -> None:
        while not is_done.is_set():
            log.flush()

    thread = threading.Thread(target=flush_all_the_time)
    thread.start()
    for _ in range(300):
        append(log, records=2)
    is_done.set()
    thread.join()

    covered = log.recovery_point
    for segment in log.segments:
        stat = os.stat(segment.path)
        end = min(covered, segment.next_offset)
        if end > segment.base_offset:
            assert synced[stat.st_ino] >= (end - segment.base_offset) // 2 * BATCH_BYTES
    log.flush()
    assert log.recovery_point == log.log_end_offset == 600


def test_a_torn_write_that_cannot_be_cut_is_overwritten(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 2, files=files)
    files.short_write_bytes = 90
    files.failures["truncate"] = errno.ENOSPC
    assert error_code(lambda: append(log, records=9)) == ErrorCode.KAFKA_STORAGE_ERROR
    files.failures.clear()

    append(log, records=1)

    assert list(values(crashed(log))) == list(range(5))


def test_any_other_failed_write_takes_the_directory_offline(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 2, files=files)
    files.failures["pwrite"] = errno.EIO

    assert error_code(lambda: append(log)) == ErrorCode.KAFKA_STORAGE_ERROR
    assert log.is_offline
    assert log.log_end_offset == 4


def test_a_failed_deletion_takes_the_directory_offline(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 4, files=files, segment_bytes=BATCH_BYTES)
    files.failures["rename"] = errno.EROFS

    assert error_code(lambda: log.delete_records(4, NOW_MS)) == ErrorCode.KAFKA_STORAGE_ERROR
    assert log.is_offline


def test_a_failed_close_is_told(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 1, files=files)
    files.failures["write_file"] = errno.EROFS

    assert error_code(log.close) == ErrorCode.KAFKA_STORAGE_ERROR
    assert log.is_closed


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = a_filled_log(tmp_path, 1)
    log.abandon()

    for call in (log.flush, lambda: append(log), lambda: log.delete_records(1, NOW_MS)):
        assert error_code(call) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_a_flush_of_a_log_that_is_being_deleted_is_no_failure_of_the_disk(tmp_path: Path) -> None:
    class DeletingFiles(FaultyFiles):
        def sync_path(self, path: Path | str) -> None:
            log.abandon()
            raise OSError(errno.ENOTDIR, "renamed")

    log = a_filled_log(tmp_path, 1, files=DeletingFiles())

    assert error_code(log.flush) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert not log.is_offline


def test_a_failure_names_what_failed(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 1, files=files)
    files.failures["pwrite"] = errno.EIO

    with pytest.raises(KafkaError, match="orders-0"):
        append(log)
    with pytest.raises(KafkaError, match="orders-0"):
        append(log)


@pytest.mark.parametrize("before_offset", [5, 8])
def test_a_full_disk_does_not_keep_what_is_deleted(tmp_path: Path, before_offset: int) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 4, files=files, segment_bytes=BATCH_BYTES)
    files.failures["write_file"] = errno.ENOSPC

    assert log.delete_records(before_offset, NOW_MS) == before_offset

    assert log.segments[0].base_offset == before_offset // 2 * 2 - 2 * (before_offset == 8)
    files.failures.clear()
    append(log, records=1)
    assert list(values(log)) == list(range(before_offset, 9))


@pytest.mark.parametrize("before_offset", [5, 8])
def test_a_broken_disk_is_noticed_when_records_are_deleted(
    tmp_path: Path, before_offset: int
) -> None:
    files = FaultyFiles()
    log = a_filled_log(tmp_path, 4, files=files, segment_bytes=BATCH_BYTES)
    files.failures["write_file"] = errno.EIO

    code = error_code(lambda: log.delete_records(before_offset, NOW_MS))

    assert code == ErrorCode.KAFKA_STORAGE_ERROR
    assert log.is_offline


def test_a_leader_epoch_that_there_was_no_room_for_is_known_after_a_stop(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = a_log(tmp_path, files=files)
    append(log)
    log.leader_epoch = 3
    files.failures["write_file"] = errno.ENOSPC
    with pytest.raises(KafkaError):
        append(log)
    files.failures.clear()
    append(log)

    log = reopened(log)

    assert log.epochs.entries == [(0, 0), (3, 1)]


def test_a_damaged_log_refuses_batches_and_to_be_closed(tmp_path: Path) -> None:
    log = reopened(a_filled_log(tmp_path, 4))
    log.segments[0].path.write_bytes(b"\xff" * log.size_bytes)

    for call in (lambda: append(log), lambda: log.roll(NOW_MS), log.close):
        with pytest.raises(KafkaError, match="damaged at byte 0"):
            call()

    assert log.directory.failure is None
    assert log.is_closed


def test_a_producer_whose_history_cannot_be_read_may_try_again(tmp_path: Path) -> None:
    config = a_config(segment_bytes=BATCH_BYTES)
    log = a_log(tmp_path, config=config)
    for number in range(3):
        append(log, producer_id=7, producer_epoch=0, base_sequence=number)
    log = reopened(log, config=config)
    first = log.segments[0].path
    first.rename(tmp_path / "away")

    assert error_code(lambda: append(log, producer_id=7, producer_epoch=0, base_sequence=0)) == (
        ErrorCode.KAFKA_STORAGE_ERROR
    )
    (tmp_path / "away").rename(first)

    assert append(log, producer_id=7, producer_epoch=0, base_sequence=0).is_duplicate
