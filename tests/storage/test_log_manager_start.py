"""What a start makes of data directories that fail, and of directories that nobody asked for."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pykbroker.clock import Clock
from pykbroker.protocol.errors import ErrorCode
from pykbroker.storage.data_directory import (
    DataDirectory,
    DataDirectoryError,
    DataDirectoryInUseError,
    ForeignDirectoryError,
)
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_directories import Fate, FoundPartition, Judgement
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.recovery import LogLoader
from tests.harness.batches import NOW_MS
from tests.harness.clock import ManualClock
from tests.harness.logs import FaultyFiles, a_config, append, error_code

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
ID, OTHER_ID = bytes(range(16)), bytes(range(1, 17))


def a_manager(path: Path, directories: int = 2, **options: Any) -> LogManager:
    """A manager of `<path>/data0`, `<path>/data1` and so on; not open yet."""
    clock: Clock = ManualClock(NOW_MS)
    options = {"clock": clock, "node_id": 1, "files": FaultyFiles(), **options}
    return LogManager([path / f"data{n}" for n in range(directories)], **options)


def opened(manager: LogManager) -> LogManager:
    manager.open(CLUSTER_ID, lambda _: a_config())
    return manager


def filled(path: Path, directories: int = 2) -> None:
    """Data directories with one partition and one record in each, after a clean stop."""
    manager = opened(a_manager(path, directories))
    for partition in range(directories):
        append(manager.create("orders", ID, partition, a_config()))
    manager.close()


def partitions(manager: LogManager) -> list[int]:
    return sorted(log.partition for log in manager.all())


def make_a_file_of(directory: Path) -> None:
    directory.rename(directory.with_name("moved"))
    directory.write_bytes(b"")


def damage(name: str) -> Any:
    return lambda directory: (directory / name).write_bytes(b"damaged")


@pytest.mark.parametrize(
    "spoil",
    [
        make_a_file_of,
        damage("meta.properties"),
        damage("recovery-point-offset-checkpoint"),
        damage("log-start-offset-checkpoint"),
    ],
)
def test_a_directory_that_cannot_be_used_leaves_the_others_serving(
    tmp_path: Path, spoil: Any, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path)
    spoil(tmp_path / "data1")

    manager = a_manager(tmp_path)
    manager.acquire()
    assert manager.read_cluster_id() == CLUSTER_ID
    opened(manager)

    assert partitions(manager) == [0]
    assert manager.working_directories == manager.directories[:1]
    assert "data directory offline" in caplog.text
    log = manager.get("orders", 0)
    assert log is not None
    append(log)
    assert manager.create("new", OTHER_ID, 0, a_config()).directory is manager.directories[0]
    manager.close()


@pytest.mark.parametrize("spoil", [make_a_file_of, damage("meta.properties")])
@pytest.mark.parametrize("directories", [1, 2])
def test_without_the_first_directory_there_is_no_start(
    tmp_path: Path, spoil: Any, directories: int
) -> None:
    filled(tmp_path, directories)
    spoil(tmp_path / "data0")

    with pytest.raises(DataDirectoryError) as caught:
        opened(a_manager(tmp_path, directories))

    assert "data0" in str(caught.value)
    assert ("holds the metadata" in str(caught.value)) == (directories == 2)


def test_a_disk_that_fails_while_logs_are_loaded_takes_its_partitions_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, 3)
    manager = opened(a_manager(tmp_path, 3))
    manager.create("orders", ID, 3, a_config())
    manager.close()
    real = LogLoader.load

    def load(loader: Any) -> Any:
        if loader._directory.name == "orders-2":
            raise OSError(errno.EIO, "Input/output error", "a file")
        return real(loader)

    monkeypatch.setattr(LogLoader, "load", load)
    (tmp_path / "data0" / "orders-3").rename(tmp_path / "data2" / "orders-10")

    manager = opened(a_manager(tmp_path, 3))

    assert partitions(manager) == [0, 1]
    assert manager.directories[2].failure is not None
    assert "Input/output error (a file)" in manager.directories[2].failure


def test_a_disk_that_cannot_be_listed_is_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    (tmp_path / "data1" / "orders-1" / "partition.metadata").unlink()
    (tmp_path / "data1" / "orders-1" / "partition.metadata").mkdir()

    assert partitions(opened(a_manager(tmp_path))) == [0]


def test_a_cluster_id_that_cannot_be_read_is_that_of_another_directory(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    (tmp_path / "data0" / "meta.properties").unlink()
    (tmp_path / "data1" / "meta.properties").unlink()
    (tmp_path / "data1" / "meta.properties").mkdir()
    manager = a_manager(tmp_path, 3)

    assert manager.read_cluster_id() == CLUSTER_ID
    assert manager.directories[1].failure is not None


def test_foreign_and_locked_directories_refuse_the_start(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(ForeignDirectoryError, match=r"belongs to node\.id=1, not 2.*set node\.id"):
        opened(a_manager(tmp_path, node_id=2))
    with pytest.raises(ForeignDirectoryError, match=r"belongs to cluster\.id=.*log\.dirs"):
        a_manager(tmp_path).open("another", lambda _: a_config())

    other = DataDirectory(tmp_path / "data1", FaultyFiles())
    other.acquire()
    with pytest.raises(DataDirectoryInUseError):
        a_manager(tmp_path).acquire()


def test_what_may_be_in_a_directory_that_is_offline_is_not_made_anew(tmp_path: Path) -> None:
    filled(tmp_path)
    make_a_file_of(tmp_path / "data1")
    manager = opened(a_manager(tmp_path))

    manager.refuse("orders", 1, a_config())

    def make() -> PartitionLog:
        return manager.create("orders", ID, 1, a_config())

    assert error_code(make) == ErrorCode.KAFKA_STORAGE_ERROR
    assert "data1, which is offline" in manager.refused["orders", 1].reason
    manager.delete("orders", 1)
    manager.create("orders", OTHER_ID, 1, a_config())


# Directories that are not loaded


def judging(manager: LogManager, judgements: Mapping[str, Judgement]) -> list[tuple[str, int]]:
    """Open with a judge; gives what it was told of."""
    told: list[tuple[str, int]] = []

    def judge(found: Sequence[FoundPartition]) -> dict[Path, Judgement]:
        told.extend(partition.key for partition in found)
        return {f.path: judgements[f.path.name] for f in found if f.path.name in judgements}

    manager.open(CLUSTER_ID, lambda _: a_config(), judge)
    return told


def test_what_is_judged_is_not_loaded(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    manager = a_manager(tmp_path, 3)

    told = judging(
        manager,
        {"orders-0": Judgement(Fate.STRAY, "odd"), "orders-1": Judgement(Fate.REMAINS, "gone")},
    )

    assert told == [("orders", 0), ("orders", 1), ("orders", 2)]
    assert partitions(manager) == [2]
    assert [path.name[-6:] for path in (tmp_path / "data0").glob("orders-*")] == ["-stray"]
    manager.catch_up(NOW_MS)
    assert list((tmp_path / "data1").glob("orders-*")) == []


def test_one_of_two_directories_of_a_partition_may_be_judged_away(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "data1" / "orders-0").mkdir()
    with pytest.raises(DataDirectoryError, match="hold the same partition; move one away"):
        opened(a_manager(tmp_path))

    def judge(found: Sequence[FoundPartition]) -> dict[Path, Judgement]:
        return {f.path: Judgement(Fate.STRAY, "") for f in found if f.topic_id != ID}

    manager = a_manager(tmp_path)
    manager.open(CLUSTER_ID, lambda _: a_config(), judge)

    assert partitions(manager) == [0, 1]


def test_what_is_in_the_place_of_a_new_partition_is_set_aside(tmp_path: Path) -> None:
    manager = opened(a_manager(tmp_path, 1))
    (tmp_path / "data0" / "orders-0").mkdir()
    (tmp_path / "data0" / "orders-1").mkdir()
    (tmp_path / "data0" / "orders-1" / "file").write_bytes(b"precious")

    for partition in range(2):
        append(manager.create("orders", ID, partition, a_config()))

    (stray,) = (tmp_path / "data0").glob("*-stray")
    assert (stray / "file").read_bytes() == b"precious"


# Remains of deleted topics


def test_what_is_left_of_a_deleted_topic_is_removed_once_and_for_all(tmp_path: Path) -> None:
    filled(tmp_path)
    manager = a_manager(tmp_path)
    judging(
        manager, {"orders-0": Judgement(Fate.IGNORED, ""), "orders-1": Judgement(Fate.IGNORED, "")}
    )

    gone = manager.discard_remains({ID: "orders", OTHER_ID: "other"})

    assert gone == {ID, OTHER_ID}
    manager.catch_up(NOW_MS)
    assert list(tmp_path.glob("*/orders-*")) == []


def test_remains_of_another_topic_of_that_name_are_left_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    manager = opened(a_manager(tmp_path))

    assert manager.discard_remains({OTHER_ID: "orders"}) == {OTHER_ID}
    assert manager.discard_remains({ID: "orders"}) == set(), "its logs are still open"
    assert partitions(manager) == [0, 1]


def test_a_topic_may_have_remains_where_nobody_can_look(tmp_path: Path) -> None:
    manager = opened(a_manager(tmp_path))
    (tmp_path / "data0").rename(tmp_path / "elsewhere")
    assert manager.discard_remains({ID: "orders"}) == set()
    (tmp_path / "elsewhere").rename(tmp_path / "data0")
    manager.directories[1].fail("broken")
    assert manager.discard_remains({ID: "orders"}) == set()


def test_a_damaged_log_goes_with_its_topic(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    log_file = tmp_path / "data0" / "orders-0" / "00000000000000000000.log"
    log_file.write_bytes(log_file.read_bytes()[:-1])
    manager = opened(a_manager(tmp_path, 1))

    def make() -> PartitionLog:
        return manager.create("orders", ID, 0, a_config())

    assert error_code(make) == ErrorCode.KAFKA_STORAGE_ERROR

    manager.delete("orders", 0, ID)

    assert len(list((tmp_path / "data0").glob("*-delete"))) == 1
    assert make().log_end_offset == 0
