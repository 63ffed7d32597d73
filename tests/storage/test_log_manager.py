"""All logs together: create, find, delete, restart, retention, checkpoints, failing directories."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage.data_directory import DataDirectoryError, DataDirectoryInUseError
from pykbroker.storage.partition_directories import NO_TOPIC_ID
from tests.harness.batches import NOW_MS, a_batch
from tests.harness.clock import ManualClock
from tests.harness.logs import FaultyFiles, a_config, append, copy_of, error_code, values
from tests.harness.managers import CLUSTER_ID, ID, OTHER_ID, a_log, a_manager, an_open_manager

BATCH_BYTES = a_batch(records=2).size_bytes


def tree(path: Path) -> set[str]:
    return {str(file.relative_to(path)) for file in path.rglob("*")}


def test_a_new_data_directory_has_kafkas_files(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    append(a_log(manager))
    manager.close()

    assert tree(tmp_path / "data") == {
        ".kafka_cleanshutdown",
        ".lock",
        "log-start-offset-checkpoint",
        "meta.properties",
        "orders-0",
        "orders-0/00000000000000000000.index",
        "orders-0/00000000000000000000.log",
        "orders-0/00000000000000000000.timeindex",
        "orders-0/00000000000000000001.snapshot",
        "orders-0/leader-epoch-checkpoint",
        "orders-0/partition.metadata",
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
    }
    data = tmp_path / "data"
    assert (data / "recovery-point-offset-checkpoint").read_bytes() == b"0\n1\norders 0 1\n"
    assert (data / "replication-offset-checkpoint").read_bytes() == b"0\n1\norders 0 1\n"
    assert (data / "log-start-offset-checkpoint").read_bytes() == b"0\n0\n"


def test_creating_is_idempotent(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    log = a_log(manager)

    assert a_log(manager) is log
    assert manager.get("orders", 0) is log
    assert manager.get("orders", 1) is None
    assert list(manager.all()) == [log]


@pytest.mark.parametrize("is_clean", [True, False])
def test_logs_are_there_after_a_restart(tmp_path: Path, is_clean: bool) -> None:
    manager = an_open_manager(tmp_path)
    for partition in range(3):
        append(a_log(manager, partition), records=partition + 1)
    a_log(manager, 1).delete_records(1, NOW_MS)
    manager.write_checkpoints(NOW_MS)
    manager.write_start_offsets(NOW_MS)
    if is_clean:
        manager.close()
    data = copy_of(tmp_path / "data", tmp_path / "later" / "data")

    again = an_open_manager(data.parent)

    assert {log.partition: log.log_end_offset for log in again.all()} == {0: 1, 1: 2, 2: 3}
    log = again.get("orders", 1)
    assert log is not None
    assert (log.log_start_offset, log.topic_id) == (1, ID)
    assert list(values(log)) == [1]


def test_two_brokers_do_not_share_a_directory(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)

    with pytest.raises(DataDirectoryInUseError):
        a_manager(tmp_path).acquire()

    manager.close()
    other = a_manager(tmp_path)
    other.acquire()
    assert other.read_cluster_id() == CLUSTER_ID
    other.close()
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists(), "it was never opened"


def test_a_new_directory_belongs_to_no_cluster(tmp_path: Path) -> None:
    manager = a_manager(tmp_path)
    manager.acquire()

    assert manager.read_cluster_id() is None


def test_a_kill_is_no_clean_stop(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    append(a_log(manager))
    manager.close()
    an_open_manager(tmp_path)

    assert not (tmp_path / "data" / ".kafka_cleanshutdown").exists()


def test_partitions_go_to_the_directory_with_the_fewest(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path, directories=3)
    for partition in range(7):
        a_log(manager, partition)

    counts = [sum(log.directory is d for log in manager.all()) for d in manager.directories]
    assert counts == [3, 2, 2]


def test_a_directory_offline_gets_no_partitions(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path, directories=2)
    manager.directories[0].fail("broken")

    log = a_log(manager)
    assert log.directory is manager.directories[1]
    manager.directories[1].fail("broken too")
    assert error_code(lambda: a_log(manager, 1)) == ErrorCode.KAFKA_STORAGE_ERROR


def test_one_failing_directory_leaves_the_others_serving(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path, directories=2)
    first, second = a_log(manager, 0), a_log(manager, 1)
    append(first)
    first.directory.fail("broken")

    assert error_code(lambda: append(first)) == ErrorCode.KAFKA_STORAGE_ERROR
    append(second)
    manager.housekeeping(manager.all(), NOW_MS)
    manager.write_checkpoints(NOW_MS)
    manager.close()

    assert not (tmp_path / "data" / ".kafka_cleanshutdown").exists()
    assert (tmp_path / "data1" / ".kafka_cleanshutdown").exists()


def test_the_same_partition_twice_is_refused(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path, directories=2)
    a_log(manager)
    manager.close()
    (tmp_path / "data1" / "orders-0").mkdir()

    with pytest.raises(DataDirectoryError, match="hold the same partition"):
        an_open_manager(tmp_path, directories=2)


def test_an_unreadable_directory_is_told(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    a_log(manager)
    manager.close()
    (tmp_path / "data" / "orders-0" / "partition.metadata").unlink()
    (tmp_path / "data" / "orders-0" / "partition.metadata").mkdir()

    with pytest.raises(DataDirectoryError, match=r"cannot use data directory .*: Is a directory"):
        an_open_manager(tmp_path)


# Deleting


def test_a_deleted_partition_is_gone_at_once_and_removed_later(tmp_path: Path) -> None:
    seen: list[bool] = []
    manager = an_open_manager(tmp_path, on_advance=lambda log: seen.append(log.is_closed))
    log = a_log(manager)
    append(log)

    manager.delete("orders", 0)
    manager.delete("orders", 0)

    assert seen == [False, True]
    assert manager.get("orders", 0) is None
    (left,) = (tmp_path / "data").glob("*-delete")
    assert left.name.startswith("orders-0.")
    assert len(left.name) == len("orders-0.") + 32 + len("-delete")
    assert not manager.is_behind(NOW_MS + 59_999)
    manager.catch_up(NOW_MS + 59_999)
    assert left.exists()
    assert manager.is_behind(NOW_MS + 60_000)
    manager.catch_up(NOW_MS + 60_000)
    assert not left.exists()


def test_a_long_name_is_cut_to_what_fits(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    manager.create("t" * 249, ID, 0, a_config())

    manager.delete("t" * 249, 0)

    (left,) = (tmp_path / "data").glob("*-delete")
    assert len(left.name) == 255


def test_a_topic_made_anew_starts_empty(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    append(a_log(manager))

    log = manager.create("orders", OTHER_ID, 0, a_config())

    assert (log.log_end_offset, log.topic_id) == (0, OTHER_ID)


def test_what_was_being_deleted_is_removed_after_a_restart(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    append(a_log(manager))
    manager.delete("orders", 0)
    manager.close()

    again = an_open_manager(tmp_path)
    assert not again.all()
    again.catch_up(NOW_MS)

    assert not list((tmp_path / "data").glob("*-delete"))


def test_a_directory_that_cannot_be_removed_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = an_open_manager(tmp_path)
    a_log(manager, file_delete_delay_ms=0)
    manager.delete("orders", 0)
    (left,) = (tmp_path / "data").glob("*-delete")
    (left / "unexpected").mkdir()

    manager.catch_up(NOW_MS)

    assert "cannot remove" in caplog.text
    assert manager.directories[0].failure is None


def test_a_partition_that_cannot_be_renamed_takes_the_directory_offline(tmp_path: Path) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    a_log(manager)
    files.failures["rename"] = errno.EROFS

    manager.delete("orders", 0)

    assert manager.get("orders", 0) is None
    assert manager.directories[0].failure is not None


# What is found in a data directory


def test_a_partition_that_came_from_elsewhere_is_checked_and_adopted(tmp_path: Path) -> None:
    elsewhere = an_open_manager(tmp_path / "elsewhere")
    append(a_log(elsewhere), records=3)
    elsewhere.close()
    manager = an_open_manager(tmp_path)
    manager.close()
    copy_of(tmp_path / "elsewhere" / "data" / "orders-0", tmp_path / "data" / "orders-0")
    log_file = tmp_path / "data" / "orders-0" / "00000000000000000000.log"
    log_file.write_bytes(log_file.read_bytes() + bytes(50))

    manager = an_open_manager(tmp_path)

    log = manager.get("orders", 0)
    assert log is not None
    assert (log.log_end_offset, log.topic_id) == (3, ID)
    assert log_file.stat().st_size == log.size_bytes, "the torn end was noticed"


@pytest.mark.parametrize("metadata", [None, b"garbage"])
def test_a_partition_without_an_id_gets_that_of_its_topic(
    tmp_path: Path, metadata: bytes | None
) -> None:
    manager = an_open_manager(tmp_path)
    append(a_log(manager))
    manager.close()
    path = tmp_path / "data" / "orders-0" / "partition.metadata"
    path.unlink()
    if metadata is not None:
        path.write_bytes(metadata)
    manager = an_open_manager(tmp_path)
    log = manager.get("orders", 0)
    assert log is not None
    assert log.topic_id == NO_TOPIC_ID

    assert a_log(manager) is log

    assert log.topic_id == ID
    assert path.read_bytes().startswith(b"version: 0\ntopic_id: ")


def test_a_partition_whose_id_there_is_no_room_for_gets_it_later(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    append(a_log(manager))
    manager.close()
    (tmp_path / "data" / "orders-0" / "partition.metadata").unlink()
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    files.failures["write_file"] = errno.ENOSPC

    assert error_code(lambda: a_log(manager)) == ErrorCode.KAFKA_STORAGE_ERROR
    files.failures.clear()

    assert a_log(manager).topic_id == ID


def test_foreign_directories_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("__cluster_metadata-0", "lost+found", "notes", "orders-0.abc-future"):
        (tmp_path / "data" / name).mkdir(parents=True)

    manager = an_open_manager(tmp_path)

    assert not manager.all()
    assert caplog.text.count("directory ignored") == 4


def test_a_damaged_log_is_refused_and_the_others_are_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = an_open_manager(tmp_path)
    for partition in range(2):
        append(a_log(manager, partition))
    manager.close()
    damaged = tmp_path / "data" / "orders-0" / "00000000000000000000.log"
    damaged.write_bytes(damaged.read_bytes()[:-1])

    manager = an_open_manager(tmp_path)

    assert manager.get("orders", 0) is None
    assert manager.get("orders", 1) is not None
    assert "is damaged at byte 0" in caplog.text
    with pytest.raises(KafkaError, match="is damaged at byte 0"):
        a_log(manager)


def test_a_log_that_was_refused_is_refused_again_after_a_clean_stop(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    for partition in range(2):
        append(a_log(manager, partition))
    manager.close()
    damaged = tmp_path / "data" / "orders-0" / "00000000000000000000.log"
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1  # a start after a clean stop does not read the batches
    damaged.write_bytes(data)
    (tmp_path / "data" / ".kafka_cleanshutdown").unlink()

    for _ in range(2):
        manager = an_open_manager(tmp_path)
        assert set(manager.refused) == {("orders", 0)}
        manager.close()
        assert not manager.is_stop_incomplete


# Housekeeping


def test_housekeeping_applies_retention_and_forgets_idle_producers(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    log = a_log(manager, retention_ms=1000, segment_bytes=BATCH_BYTES)
    for sequence in range(3):
        append(log, producer_id=4, producer_epoch=0, base_sequence=sequence)

    manager.housekeeping(manager.all(), NOW_MS + 500, producer_id_expiration_ms=1000)
    assert (log.log_start_offset, len(log.producers.producers)) == (0, 1)

    manager.housekeeping(manager.all(), NOW_MS + 1500, producer_id_expiration_ms=1000)
    assert (log.log_start_offset, len(log.producers.producers)) == (3, 0)


def test_housekeeping_survives_a_failing_disk(tmp_path: Path) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    append(a_log(manager, retention_ms=0))
    files.failures["write_file"] = errno.EIO

    manager.housekeeping(manager.all(), NOW_MS + 1000)

    assert manager.directories[0].failure is not None


def test_a_checkpoint_that_cannot_be_written_takes_the_directory_offline(tmp_path: Path) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    files.failures["write_file"] = errno.EIO

    manager.write_checkpoints(NOW_MS)

    assert manager.directories[0].failure is not None
    manager.close()


@pytest.mark.parametrize("operation", ["sync", "write_file"])
def test_a_stop_that_fails_is_no_clean_stop(tmp_path: Path, operation: str) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    if operation == "sync":
        append(a_log(manager))
    files.failures[operation] = errno.EIO

    manager.close()

    assert not (tmp_path / "data" / ".kafka_cleanshutdown").exists()
    an_open_manager(tmp_path)


def test_a_partition_that_cannot_be_made_takes_the_directory_offline(tmp_path: Path) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    files.failures["make_directory"] = errno.EROFS

    assert error_code(lambda: a_log(manager)) == ErrorCode.KAFKA_STORAGE_ERROR
    assert manager.directories[0].failure is not None


@pytest.mark.parametrize("operation", ["make_directory", "write_file"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE])
def test_a_partition_without_room_is_made_later(tmp_path: Path, operation: str, code: int) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    files.failures[operation] = code

    assert error_code(lambda: a_log(manager)) == ErrorCode.KAFKA_STORAGE_ERROR
    assert manager.directories[0].failure is None
    assert not (tmp_path / "data" / "orders-0").exists()
    files.failures.clear()
    append(a_log(manager))


def test_what_is_in_the_place_of_a_partition_is_not_removed_to_make_room(tmp_path: Path) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    theirs = tmp_path / "data" / "orders-0" / "theirs"
    theirs.parent.mkdir()
    theirs.touch()
    files.failures["rename"] = errno.ENOSPC

    assert error_code(lambda: a_log(manager)) == ErrorCode.KAFKA_STORAGE_ERROR

    assert theirs.exists()
    files.failures.clear()
    append(a_log(manager))
    assert list((tmp_path / "data").glob("orders-0.*-stray/theirs"))


def test_a_checkpoint_without_room_is_written_later(tmp_path: Path) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    log = a_log(manager)
    append(log)
    log.flush()
    files.failures["write_file"] = errno.ENOSPC
    manager.write_checkpoints(NOW_MS)
    files.failures.clear()
    manager.write_checkpoints(NOW_MS)

    checkpoint = tmp_path / "data" / "recovery-point-offset-checkpoint"
    assert "orders 0 1" in checkpoint.read_text()


def test_logs_that_want_to_be_flushed_are_told(tmp_path: Path) -> None:
    manager = an_open_manager(tmp_path)
    append(a_log(manager, 0, flush_ms=100))
    append(a_log(manager, 1))

    assert manager.flush_due(NOW_MS + 99) == []
    assert [log.partition for log in manager.flush_due(NOW_MS + 100)] == [0]
    manager.directories[0].fail("broken")
    assert manager.flush_due(NOW_MS + 100) == []


def test_the_hook_reaches_every_log(tmp_path: Path) -> None:
    seen: list[int] = []
    manager = an_open_manager(tmp_path, on_advance=lambda log: seen.append(log.partition))
    first = a_log(manager, 0)

    append(a_log(manager, 1))
    append(first)

    assert seen == [1, 0]


def test_more_partitions_than_files_may_be_open(tmp_path: Path) -> None:
    files = FaultyFiles(max_open_files=5)
    manager = an_open_manager(tmp_path, files=files)
    for round_number in range(3):
        for partition in range(20):
            append(a_log(manager, partition, segment_bytes=200), records=round_number + 1)

    assert files.open_files <= 5
    for log in manager.all():
        assert len(values(log)) == 6
    assert files.open_files <= 5


def test_loading_tells_how_far_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class FastClock(ManualClock):
        def monotonic_ms(self) -> int:
            self.advance(600)
            return super().monotonic_ms()

    manager = an_open_manager(tmp_path)
    for partition in range(6):
        a_log(manager, partition)
    manager.close()

    with caplog.at_level("INFO"):
        an_open_manager(tmp_path, clock=FastClock())

    assert "done=" in caplog.text


def test_a_stop_that_fails_has_the_next_start_check_everything(tmp_path: Path) -> None:
    files = FaultyFiles()
    manager = an_open_manager(tmp_path, files=files)
    append(a_log(manager))
    append(a_log(manager, 1))
    files.failures["rename"] = errno.ENOSPC  # no producer snapshots

    manager.close()

    assert manager.is_stop_incomplete
    assert not (tmp_path / "data" / ".kafka_cleanshutdown").exists()
    again = an_open_manager(tmp_path)
    assert set(again.unclean) == {("orders", 0), ("orders", 1)}
    again.close()
    assert not again.is_stop_incomplete
