"""The file layer: whole writes, atomic replacement, syncing that can be turned off."""

from __future__ import annotations

import os
import resource
import weakref
from pathlib import Path

import pytest

from pykbroker.protocol.primitives import Buffer
from pykbroker.storage.file_layer import (
    FileHandle,
    FileLayer,
    KeptFile,
    descriptor_limit,
    raise_descriptor_limit,
)


class ShortWrites(FileLayer):
    """Takes three bytes a time, and nothing at all after `limit` bytes."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        self.limit = limit

    def pwrite(self, handle: FileHandle, data: Buffer, position: int) -> int:
        allowed = min(3, max(self.limit - position, 0))
        return super().pwrite(handle, memoryview(data)[:allowed], position)


def test_short_writes_are_gone_on_with(tmp_path: Path) -> None:
    files = ShortWrites()
    handle = files.open(tmp_path / "a", create=True)

    files.write_fully(handle, b"0123456789", 2)

    assert (tmp_path / "a").read_bytes() == b"\0\x000123456789"


def test_a_disk_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    files = ShortWrites(limit=7)

    with pytest.raises(OSError, match="took no bytes"):
        files.write_fully(files.open(tmp_path / "a", create=True), b"0123456789", 0)


def test_opening_makes_files_only_when_asked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLayer().open(tmp_path / "a")
    assert FileLayer().open(tmp_path / "a", create=True).fd > 2


def test_a_handle_whose_descriptor_is_gone_is_let_go_quietly(tmp_path: Path) -> None:
    handle = FileLayer().open(tmp_path / "a", create=True)
    os.close(handle.fd)
    del handle


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, durable: bool) -> None:
    files = FileLayer()
    path = tmp_path / "checkpoint"

    files.replace_file(path, b"old", durable=durable)
    files.replace_file(path, b"new", durable=durable)

    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(("fsync_enabled", "expected"), [(True, 2), (False, 0)])
def test_syncing_can_be_turned_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync_enabled: bool, expected: int
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    files = FileLayer(fsync_enabled=fsync_enabled)

    files.sync(files.open(tmp_path / "a", create=True))
    files.sync_path(tmp_path)

    assert len(synced) == expected


def test_directories_are_made_and_removed(tmp_path: Path) -> None:
    files = FileLayer()
    path = tmp_path / "orders-0"
    files.make_directory(path)
    files.write_file(path / "a", b"1")
    files.truncate(files.open(path / "a"), 0)
    assert (path / "a").read_bytes() == b""

    files.remove(path / "b")
    files.rename(path / "a", path / "b")
    files.remove(path / "b")
    files.write_file(path / "c", b"1")
    files.remove_directory(path)

    assert not path.exists()


def kept_files(files: FileLayer, directory: Path, count: int) -> list[KeptFile]:
    kept = [KeptFile(files, directory / str(number)) for number in range(count)]
    for file in kept:
        file.open(create=True)
    return kept


def test_the_oldest_file_is_closed_when_there_are_too_many(tmp_path: Path) -> None:
    files = FileLayer(max_open_files=2)

    kept = kept_files(files, tmp_path, 4)

    assert [file.handle is not None for file in kept] == [False, False, True, True]
    assert files.open_files == 2
    assert kept[0].open() is kept[0].handle
    assert [file.handle is not None for file in kept] == [True, False, False, True]


def test_a_pinned_file_stays_open_under_a_name_that_another_one_has(tmp_path: Path) -> None:
    files = FileLayer(max_open_files=1)
    (kept,) = kept_files(files, tmp_path, 1)
    kept.is_pinned = True
    handle = kept.handle

    kept_files(files, tmp_path, 2)
    kept.release()

    assert kept.open() is handle


def test_what_is_not_used_any_more_is_not_kept_for_its_open_file(tmp_path: Path) -> None:
    files = FileLayer(max_open_files=1)
    (file,) = kept_files(files, tmp_path, 1)
    unused = weakref.ref(file)

    del file
    assert unused() is None
    assert files.open_files == 0

    (second,) = kept_files(files, tmp_path, 1)
    assert second.handle is not None


@pytest.mark.parametrize(("limit", "expected"), [(1024, 512), (-1, 1 << 16)])
def test_half_of_the_processs_files_may_be_kept_open(
    monkeypatch: pytest.MonkeyPatch, limit: int, expected: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))

    assert FileLayer()._max_open_files == expected


def test_the_descriptor_limit_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = [(64, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))

    assert descriptor_limit() == 64
    raise_descriptor_limit()
    assert descriptor_limit() == 4096
    limits.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert descriptor_limit() is None


def test_a_descriptor_limit_that_stays_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(what: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_descriptor_limit()


def test_a_file_gets_another_time_of_change(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")

    FileLayer().set_modified(path, 1_234_567_891)

    assert path.stat().st_mtime_ns == 1_234_567_891
