"""What is written down for the next start, and when; files that go, and a full disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pykbroker.protocol.errors import ErrorCode
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.offset_checkpoints import OffsetCheckpoints
from tests.harness.batches import NOW_MS, a_batch
from tests.harness.logs import FaultyFiles, a_config, append, copy_of, error_code, values
from tests.harness.managers import OTHER_ID, a_log, an_open_manager

BATCH_BYTES = a_batch(records=2).size_bytes


def test_the_recovery_point_follows_a_closed_segment(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    log = a_log(manager, segment_bytes=BATCH_BYTES)
    append(log, records=2)
    log.flush()
    assert not manager.is_behind(NOW_MS), "the segment is still open"
    append(log, records=2)
    assert manager.flush_due(NOW_MS) == [log], "the closed segment is not durable"

    log.flush()
    assert manager.is_behind(NOW_MS)
    manager.catch_up(NOW_MS)

    assert not manager.is_behind(NOW_MS)
    checkpoint = tmp_path / "data" / "recovery-point-offset-checkpoint"
    assert "orders 0 4" in checkpoint.read_text()


def test_a_crash_leaves_what_is_below_the_recovery_point_alone(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    log = a_log(manager, segment_bytes=BATCH_BYTES)
    for _ in range(3):
        append(log, records=2)
    log.flush()
    manager.catch_up(NOW_MS)
    append(log, records=2)
    data = copy_of(tmp_path / "data", tmp_path / "later" / "data")
    damaged = data / "orders-0" / "00000000000000000000.log"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")

    again = an_open_manager(data.parent).get("orders", 0)

    assert again is not None
    assert (again.log_start_offset, again.log_end_offset) == (0, 8), "a cut would lose the rest"


def test_files_are_removed_at_once_without_a_delay(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    log = a_log(manager, segment_bytes=BATCH_BYTES, file_delete_delay_ms=0)
    for _ in range(3):
        append(log, records=2)
    log.delete_records(4, NOW_MS)
    assert manager.is_behind(NOW_MS)

    manager.catch_up(NOW_MS)

    assert not list((tmp_path / "data").glob("orders-0/*.deleted"))
    assert not manager.is_behind(NOW_MS)


def test_files_that_cannot_be_removed_take_the_directory_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = an_open_manager(tmp_path)
    log = a_log(manager, segment_bytes=BATCH_BYTES, file_delete_delay_ms=0)
    for _ in range(2):
        append(log, records=2)
    log.delete_records(2, NOW_MS)

    def remove(path: Path | str) -> None:
        raise OSError(errno.EROFS, "injected")

    monkeypatch.setattr(manager._files, "remove", remove)
    manager.catch_up(NOW_MS)
    manager.catch_up(NOW_MS)

    assert manager.directories[0].failure is not None


def test_a_full_disk_is_told_once_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    logs = [a_log(manager, 0), a_log(manager, 1)]
    for log in logs:
        append(log)
    files.failures["pwrite"] = files.failures["write_file"] = errno.ENOSPC

    for at_ms in range(NOW_MS, NOW_MS + 60_001, 10_000):
        for log in logs:
            error_code(lambda log=log, at_ms=at_ms: append(log, now_ms=at_ms))  # type: ignore[misc]
        manager.write_checkpoints(at_ms)

    told = [record.getMessage() for record in caplog.records]
    assert [text.rsplit(" ", 1)[1] for text in told if "append failed" in text] == [
        "times=1", "times=12",
    ]  # fmt: skip
    assert [text.rsplit(" ", 1)[1] for text in told if "checkpoint failed" in text] == [
        "times=1", "times=6",
    ]  # fmt: skip
    assert manager.directories[0].failure is None


def test_a_stop_syncs_only_what_was_written(tmp_path: Path) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    for partition in range(3):
        append(a_log(manager, partition))
    a_log(manager, 3)
    manager.close()
    manager = an_open_manager(tmp_path, files=files)
    log = manager.get("orders", 1)
    assert log is not None
    append(log)
    files.calls.clear()

    manager.close()

    assert files.calls["sync"] == 1
    snapshot_and_directory, checkpoints, clean_shutdown = 2, 3, 2
    assert files.calls["sync_path"] == snapshot_and_directory + checkpoints + clean_shutdown


def test_a_topic_made_anew_does_not_inherit_checkpoints(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    old = a_log(manager)
    append(old, records=9)
    old.delete_records(7, NOW_MS)
    old.flush()
    manager.write_checkpoints(NOW_MS)

    append(manager.create("orders", OTHER_ID, 0, a_config()), records=2)
    data = copy_of(tmp_path / "data", tmp_path / "later" / "data")

    log = an_open_manager(data.parent).get("orders", 0)
    assert log is not None
    assert (log.log_start_offset, log.log_end_offset) == (0, 2)


def test_a_damaged_log_is_refused_again_by_the_next_start(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    for partition in range(2):
        append(a_log(manager, partition))
    manager.close()
    damaged = tmp_path / "data" / "orders-0" / "00000000000000000000.log"
    damaged.write_bytes(damaged.read_bytes()[:-1])

    for is_clean in (True, False, True):
        manager = an_open_manager(tmp_path)
        assert ("orders", 0) in manager.refused
        manager.write_checkpoints(NOW_MS)
        if is_clean:
            manager.close()
        else:
            manager.directories[0].release()


# Log start offsets


def deleted_up_to(manager: LogManager, offset: int) -> OffsetCheckpoints:
    """Delete records as DeleteRecords does; nothing but its checkpoint is written."""
    log = manager.get("orders", 0) or a_log(manager, segment_bytes=BATCH_BYTES)
    while log.log_end_offset < 8:
        append(log, records=2)
    log.delete_records(offset, NOW_MS)
    checkpoints = manager.checkpoints_of(log)
    moves = checkpoints.note_move()
    checkpoints.flush()
    assert checkpoints.recovery_point == moves
    return checkpoints


def test_deleted_records_stay_deleted_though_a_power_cut_brings_files_back(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    deleted_up_to(manager, 4)
    data = copy_of(tmp_path / "data", tmp_path / "later" / "data")
    for file in (data / "orders-0").glob("*.deleted"):
        file.rename(file.with_suffix(""))
    (data / "orders-0" / "00000000000000000002.log").unlink()

    log = an_open_manager(data.parent).get("orders", 0)

    assert log is not None
    assert (log.log_start_offset, log.log_end_offset) == (4, 8)
    assert list(values(log)) == [4, 5, 6, 7]
    assert not (data / "orders-0" / "00000000000000000000.log").exists()


def test_what_is_appended_after_a_lost_end_is_not_taken_for_deleted(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    deleted_up_to(manager, 7)
    data = copy_of(tmp_path / "data", tmp_path / "later" / "data")
    (data / "orders-0" / "00000000000000000006.log").write_bytes(b"")

    manager = an_open_manager(data.parent)
    log = manager.get("orders", 0)
    assert log is not None
    assert (log.log_start_offset, log.log_end_offset) == (7, 7)
    append(log, records=3)
    again = an_open_manager(copy_of(data, tmp_path / "last" / "data").parent).get("orders", 0)

    assert again is not None
    assert list(values(again)) == [7, 8, 9]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_start_offset_that_cannot_be_written_is_told(tmp_path: Path, code: int) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    checkpoints = deleted_up_to(manager, 2)
    log = manager.get("orders", 0)
    assert log is not None
    log.delete_records(3, NOW_MS)
    checkpoints.note_move()
    files.failures["write_file"] = code

    assert error_code(checkpoints.flush) == ErrorCode.KAFKA_STORAGE_ERROR
    files.failures.clear()

    is_offline = code == errno.EIO
    assert (log.directory.failure is not None) == is_offline
    again = error_code(checkpoints.flush)
    assert again == (ErrorCode.KAFKA_STORAGE_ERROR if is_offline else ErrorCode.NONE)
