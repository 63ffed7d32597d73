"""A data directory: its lock, its identity, its checkpoint files."""

from __future__ import annotations

import errno
import multiprocessing
from pathlib import Path

import pytest

from pykbroker.storage.data_directory import (
    LOG_START_OFFSETS,
    RECOVERY_POINTS,
    DataDirectory,
    DataDirectoryError,
    DataDirectoryInUseError,
)
from pykbroker.storage.file_layer import FileLayer
from tests.harness.logs import FaultyFiles

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"


def a_directory(path: Path) -> DataDirectory:
    return DataDirectory(path / "data", FileLayer(fsync_enabled=False))


def test_a_directory_is_made_and_locked(tmp_path: Path) -> None:
    first = a_directory(tmp_path)
    first.acquire()
    first.acquire()

    with pytest.raises(DataDirectoryInUseError, match=r"data is in use by another process"):
        a_directory(tmp_path).acquire()

    first.release()
    a_directory(tmp_path).acquire()


def _try_to_acquire(path: str) -> str:
    try:
        a_directory(Path(path)).acquire()
    except DataDirectoryError as error:
        return type(error).__name__
    return "acquired"


def test_another_process_is_kept_out(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    directory.acquire()

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_try_to_acquire, [str(tmp_path)]) == "DataDirectoryInUseError"


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"a file")

    with pytest.raises(DataDirectoryError, match="cannot use data directory"):
        a_directory(tmp_path).acquire()


def test_a_new_directory_becomes_that_of_the_node(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    directory.acquire()
    assert directory.read_cluster_id() is None

    directory.ensure_identity(CLUSTER_ID, 1)
    before = (directory.path / "meta.properties").read_bytes()
    directory.ensure_identity(CLUSTER_ID, 1)

    assert (directory.path / "meta.properties").read_bytes() == before
    assert directory.read_cluster_id() == CLUSTER_ID


@pytest.mark.parametrize(
    ("cluster_id", "node_id", "reason"),
    [("other", 1, "cluster.id=MkU3"), (CLUSTER_ID, 2, "node.id=1")],
)
def test_a_directory_of_another_is_refused(
    tmp_path: Path, cluster_id: str, node_id: int, reason: str
) -> None:
    directory = a_directory(tmp_path)
    directory.acquire()
    directory.ensure_identity(CLUSTER_ID, 1)

    with pytest.raises(DataDirectoryError, match=reason):
        directory.ensure_identity(cluster_id, node_id)


def test_a_damaged_identity_is_refused(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    directory.acquire()
    (directory.path / "meta.properties").write_bytes(b"\xff")

    with pytest.raises(DataDirectoryError, match=r"meta\.properties is damaged"):
        directory.ensure_identity(CLUSTER_ID, 1)
    assert directory.read_cluster_id() is None


def test_a_clean_stop_counts_once(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    directory.acquire()
    assert not directory.take_clean_shutdown()

    directory.write_clean_shutdown(7)

    text = (directory.path / ".kafka_cleanshutdown").read_text()
    assert text == '{"version":0,"brokerEpoch":7}'
    assert directory.take_clean_shutdown()
    assert not directory.take_clean_shutdown()


def test_checkpoints_are_read_back(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    directory.acquire()
    assert directory.read_checkpoint(RECOVERY_POINTS) == {}

    directory.write_checkpoints(lambda: [(RECOVERY_POINTS, {("orders", 3): 17})])

    assert directory.read_checkpoint(RECOVERY_POINTS) == {("orders", 3): 17}
    (directory.path / RECOVERY_POINTS).write_bytes(b"0\n9\n")
    with pytest.raises(DataDirectoryError, match="is damaged"):
        directory.read_checkpoint(RECOVERY_POINTS)


def test_the_first_failure_is_kept_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = a_directory(tmp_path)
    assert directory.failure is None

    directory.fail("first")
    directory.fail("second")

    assert directory.failure == "first"
    (record,) = caplog.records
    assert "data directory offline" in record.getMessage()
    assert "reason=first" in record.getMessage()


def test_a_checkpoint_that_would_not_change_is_left_alone(tmp_path: Path) -> None:
    files = FaultyFiles()
    directory = DataDirectory(tmp_path, files)
    offsets = {("orders", 3): 17}
    directory.write_checkpoints(lambda: [(RECOVERY_POINTS, offsets), (LOG_START_OFFSETS, {})])
    synced = files.calls["sync_path"]

    directory.write_checkpoints(lambda: [(RECOVERY_POINTS, offsets), (LOG_START_OFFSETS, {})])
    assert files.calls["sync_path"] == synced == 3, "two files and their directory"

    directory.write_checkpoints(lambda: [(RECOVERY_POINTS, {("orders", 3): 18})])
    assert files.calls["sync_path"] == synced + 2


def test_a_checkpoint_that_may_have_been_written_is_written_again(tmp_path: Path) -> None:
    files = FaultyFiles()
    directory = DataDirectory(tmp_path, files)
    files.failures["rename"] = errno.ENOSPC
    with pytest.raises(OSError, match="injected"):
        directory.write_checkpoints(lambda: [(RECOVERY_POINTS, {("orders", 3): 17})])
    files.failures.clear()

    directory.write_checkpoints(lambda: [(RECOVERY_POINTS, {("orders", 3): 17})])

    assert directory.read_checkpoint(RECOVERY_POINTS) == {("orders", 3): 17}


def test_entries_are_kept_that_nobody_knows_better(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    directory.acquire()
    damaged, whole = ("orders", 3), ("orders", 4)
    directory.write_checkpoints(lambda: [(RECOVERY_POINTS, {damaged: 17, whole: 5})])

    directory.write_checkpoints(lambda: [(RECOVERY_POINTS, {whole: 6})], {damaged, ("new", 0)})

    assert directory.read_checkpoint(RECOVERY_POINTS) == {damaged: 17, whole: 6}


def test_a_partition_that_is_gone_leaves_all_checkpoints(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    directory.acquire()
    gone, other = ("orders", 3), ("orders", 4)
    offsets = {gone: 17, other: 5}
    directory.write_checkpoints(lambda: [(RECOVERY_POINTS, offsets), (LOG_START_OFFSETS, offsets)])

    directory.forget(gone)

    for name in (RECOVERY_POINTS, LOG_START_OFFSETS):
        assert directory.checkpointed(name, gone) is None
        assert directory.checkpointed(name, other) == 5
        assert directory.read_checkpoint(name) == {other: 5}


def test_new_partitions_share_a_sync_of_their_names(tmp_path: Path) -> None:
    files = FaultyFiles()
    directory = DataDirectory(tmp_path, files)
    changes = [directory.note_entry() for _ in range(3)]

    for change in changes:
        directory.sync_entries(change)
    assert files.calls["sync_path"] == 1

    directory.sync_entries(directory.note_entry())
    assert files.calls["sync_path"] == 2


def test_names_that_could_not_be_synced_are_not_synced_again(tmp_path: Path) -> None:
    files = FaultyFiles()
    directory = DataDirectory(tmp_path, files)
    first, second = directory.note_entry(), directory.note_entry()
    files.failures["sync_path"] = errno.EMFILE
    with pytest.raises(OSError, match="injected"):
        directory.sync_entries(first)
    assert directory.failure is None, "no sync has failed, there was none"

    files.failures["sync_path"] = errno.EIO
    with pytest.raises(OSError, match="injected"):
        directory.sync_entries(first)
    assert directory.failure is not None
    files.failures.clear()

    with pytest.raises(OSError, match="cannot sync"):
        directory.sync_entries(second)
