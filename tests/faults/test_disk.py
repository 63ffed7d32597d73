import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from pykbroker.faults.disk import FaultyDisk

WRITES: dict[str, Callable[[FaultyDisk, Path], object]] = {
    "write": lambda disk, path: disk.write_fully(disk.open(path / "file"), b"more", 0),
    "create": lambda disk, path: disk.open(path / "new", create=True),
    "write a file": lambda disk, path: disk.write_file(path / "file", b"more"),
    "replace a file": lambda disk, path: disk.replace_file(path / "file", b"more"),
    "make a directory": lambda disk, path: disk.make_directory(path / "directory"),
}
SYNCS: dict[str, Callable[[FaultyDisk, Path], object]] = {
    "file": lambda disk, path: disk.sync(disk.open(path / "file")),
    "path": lambda disk, path: disk.sync_path(path),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_can_be_written_to_a_full_disk(
    tmp_path: Path, write: Callable[[FaultyDisk, Path], object]
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    disk = FaultyDisk(fsync_enabled=False)
    disk.is_full = True
    with pytest.raises(OSError) as refused:
        write(disk, tmp_path)
    assert refused.value.errno == errno.ENOSPC
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
    disk.is_full = False
    write(disk, tmp_path)


def test_what_is_on_a_full_disk_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    disk = FaultyDisk()
    disk.is_full = True
    disk.open(tmp_path / "file", create=True)
    disk.remove(tmp_path / "file")


@pytest.mark.parametrize("sync", SYNCS.values(), ids=SYNCS)
def test_so_many_syncs_fail(tmp_path: Path, sync: Callable[[FaultyDisk, Path], object]) -> None:
    (tmp_path / "file").write_bytes(b"old")
    disk = FaultyDisk()
    disk.failing_syncs = 2
    for _ in range(2):
        with pytest.raises(OSError) as failed:
            sync(disk, tmp_path)
        assert failed.value.errno == errno.EIO
    sync(disk, tmp_path)


def test_a_disk_that_does_not_sync_does_not_fail(tmp_path: Path) -> None:
    disk = FaultyDisk(fsync_enabled=False)
    disk.failing_syncs = 1
    disk.sync_path(tmp_path)
    assert disk.failing_syncs == 1
