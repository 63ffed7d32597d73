"""Which directories are partitions, and how the others are put out of the way."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pykbroker.storage.checkpoint import format_partition_metadata
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.partition_directories import (
    NO_TOPIC_ID,
    DirectoryRemover,
    Fate,
    FoundPartition,
    Judgement,
    list_directory,
)
from tests.harness.batches import NOW_MS
from tests.harness.clock import ManualClock
from tests.harness.logs import FaultyFiles

ID = bytes(range(16))


def a_directory(path: Path, *names: str) -> DataDirectory:
    for name in names:
        (path / name).mkdir(parents=True)
    return DataDirectory(path, FileLayer(fsync_enabled=False))


def a_partition(path: Path, name: str = "orders-0", topic_id: bytes = ID) -> FoundPartition:
    directory = a_directory(path, name)
    topic, _, number = name.rpartition("-")
    return FoundPartition(directory, path / name, topic, int(number), topic_id)


def left(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_partitions_are_found_with_their_ids(tmp_path: Path) -> None:
    directory = a_directory(tmp_path, "orders-0", "a.b-c_d-12")
    (tmp_path / "orders-0" / "partition.metadata").write_bytes(format_partition_metadata(ID))
    (tmp_path / "notes-1").write_bytes(b"a file")

    found = list_directory(directory).partitions

    assert [(f.key, f.topic_id) for f in found] == [
        (("a.b-c_d", 12), NO_TOPIC_ID),
        (("orders", 0), ID),
    ]
    assert [f.path.name for f in found] == ["a.b-c_d-12", "orders-0"]


def test_only_some_topics_may_be_asked_for(tmp_path: Path) -> None:
    directory = a_directory(tmp_path, "orders-0", "orders-1", "other-0")

    assert [f.key for f in list_directory(directory, frozenset({"other"})).partitions] == [
        ("other", 0)
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lost+found", "not the name of a partition"),
        ("orders", "not the name of a partition"),
        ("orders-007", "not the name of a partition"),
        ("orders-2147483648", "not the name of a partition"),
        ("..-0", "not the name of a partition"),
        ("t" * 250 + "-0", "not the name of a partition"),
        ("orders-0." + "a" * 32 + "-stray", "it was set aside"),
        ("orders-0." + "a" * 32 + "-future", "a partition that Kafka was moving here"),
        ("__cluster_metadata-0", "Kafka's own metadata log"),
    ],
)
def test_what_is_no_partition_is_ignored_with_a_reason(
    tmp_path: Path, name: str, reason: str
) -> None:
    listing = list_directory(a_directory(tmp_path, name))

    ((path, why),) = listing.ignored
    assert (path, listing.partitions, listing.deleted) == (tmp_path / name, [], [])
    assert why.startswith(reason)


def test_what_was_deleted_is_listed(tmp_path: Path) -> None:
    name = "orders-0." + "a" * 32 + "-delete"

    assert list_directory(a_directory(tmp_path, name)).deleted == [tmp_path / name]


def test_a_partition_holds_an_id_or_a_log(tmp_path: Path) -> None:
    assert a_partition(tmp_path, "a-0").holds_a_log()
    empty = a_partition(tmp_path, "b-0", NO_TOPIC_ID)
    assert not empty.holds_a_log()
    (empty.path / "00000000000000000000.log").touch()
    assert empty.holds_a_log()


def test_a_deleted_directory_is_removed_in_time(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    remover = DirectoryRemover(FaultyFiles(), clock)
    found = a_partition(tmp_path)

    target = remover.delete(found.path, found.key, 1000)

    assert left(tmp_path) == [target.name]
    assert target.name.startswith("orders-0.")
    assert len(target.name) == len("orders-0.") + 32 + len("-delete")
    remover.remove_due(NOW_MS + 999)
    assert left(tmp_path) == [target.name]
    remover.remove_due(NOW_MS + 1000)
    assert left(tmp_path) == []


def test_what_an_earlier_run_deleted_is_removed_soon(tmp_path: Path) -> None:
    remover = DirectoryRemover(FaultyFiles(), ManualClock(NOW_MS))
    a_directory(tmp_path, "x-delete")

    remover.remove_soon([tmp_path / "x-delete"])
    remover.remove_due(NOW_MS)

    assert left(tmp_path) == []


def test_a_stray_keeps_everything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remover = DirectoryRemover(FaultyFiles(), ManualClock(NOW_MS))
    found = a_partition(tmp_path)
    (found.path / "file").write_bytes(b"precious")

    remover.execute(Judgement(Fate.STRAY, "it is strange"), found)
    remover.remove_due(NOW_MS + 10**9)

    (name,) = left(tmp_path)
    assert name.startswith("orders-0.")
    assert name.endswith("-stray")
    assert (tmp_path / name / "file").read_bytes() == b"precious"
    assert "reason=it is strange" in caplog.text


def test_remains_go_and_what_is_ignored_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remover = DirectoryRemover(FaultyFiles(), ManualClock(NOW_MS))

    remover.execute(Judgement(Fate.REMAINS, ""), a_partition(tmp_path, "gone-0"))
    remover.execute(Judgement(Fate.IGNORED, "it is odd"), a_partition(tmp_path, "odd-0"))
    remover.remove_due(NOW_MS)

    assert left(tmp_path) == ["odd-0"]
    assert "reason=it is odd" in caplog.text


def test_a_long_name_is_cut_to_what_fits(tmp_path: Path) -> None:
    remover = DirectoryRemover(FaultyFiles(), ManualClock(NOW_MS))
    found = a_partition(tmp_path, "t" * 249 + "-0")

    assert len(remover.delete(found.path, found.key, 0).name) == 255


def test_a_directory_that_cannot_be_renamed_is_as_before(tmp_path: Path) -> None:
    files = FaultyFiles()
    files.failures["rename"] = errno.EROFS
    found = a_partition(tmp_path)

    with pytest.raises(OSError, match="injected"):
        DirectoryRemover(files, ManualClock(NOW_MS)).delete(found.path, found.key, 0)

    assert left(tmp_path) == ["orders-0"]
