"""What can be read without waiting, on file systems that say so, live in memory, or are silent."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykbroker.storage import page_cache
from pykbroker.storage.page_cache import is_cached, read_nowait

MOUNTS = (
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "25 24 {shm} / /dev/shm rw,relatime shared:4 - tmpfs tmpfs rw,size=24684092k\n"
    "27 1 {disk} / / rw master:1 shared:7 - ext4 /dev/vda rw\n"
)


def fd_of(tmp_path: Path) -> int:
    path = tmp_path / "a.log"
    path.write_bytes(b"0123456789")
    return os.open(path, os.O_RDONLY)


def refuse_the_flag(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    preadv = os.preadv

    def fake(fd: int, buffers: list[memoryview], position: int, flags: int = 0) -> int:
        if flags:
            raise OSError(code, os.strerror(code))
        return preadv(fd, buffers, position)

    monkeypatch.setattr(os, "preadv", fake)


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The table of mounts, to be written by the test."""
    path = tmp_path / "mountinfo"
    monkeypatch.setattr(page_cache, "_MOUNTS", path)
    page_cache._is_in_memory.cache_clear()
    yield path
    page_cache._is_in_memory.cache_clear()  # it has learned of the real devices here


def name_of(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def test_what_was_just_written_can_be_read(tmp_path: Path) -> None:
    fd = fd_of(tmp_path)
    buffer = bytearray(4)

    assert read_nowait(fd, buffer, 3) == 4
    assert buffer == b"3456"
    assert read_nowait(fd, buffer, 10) == 0
    os.close(fd)


def test_a_file_system_in_memory_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: Path
) -> None:
    fd = fd_of(tmp_path)
    mounts.write_text(MOUNTS.format(shm=name_of(os.fstat(fd).st_dev), disk="254:0"))
    refuse_the_flag(monkeypatch, errno.EOPNOTSUPP)
    buffer = bytearray(4)

    assert read_nowait(fd, buffer, 3) == 4
    assert buffer == b"3456"
    os.close(fd)


@pytest.mark.parametrize("table", [MOUNTS, "", None])
def test_any_other_file_system_may_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: Path, table: str | None
) -> None:
    fd = fd_of(tmp_path)
    if table is not None:
        mounts.write_text(table.format(shm="0:0", disk=name_of(os.fstat(fd).st_dev)))
    refuse_the_flag(monkeypatch, errno.EOPNOTSUPP)

    with pytest.raises(BlockingIOError):
        read_nowait(fd, bytearray(4), 0)
    os.close(fd)


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EIO])
def test_what_is_not_there_at_once_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    fd = fd_of(tmp_path)
    refuse_the_flag(monkeypatch, code)

    with pytest.raises(BlockingIOError):
        read_nowait(fd, bytearray(4), 0)
    os.close(fd)


def test_a_system_without_the_flag_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = fd_of(tmp_path)
    monkeypatch.setattr(page_cache, "_RWF_NOWAIT", 0)

    with pytest.raises(BlockingIOError):
        read_nowait(fd, bytearray(4), 0)
    os.close(fd)


def counting(monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    monkeypatch.setattr(page_cache, "_count_cached", lambda fd, position, size_bytes: pages)


@pytest.mark.skipif(page_cache._RWF_NOWAIT == 0, reason="this system cannot tell")
@pytest.mark.parametrize(
    ("position", "size_bytes", "pages"),
    [(0, 1, 1), (4095, 1, 1), (4095, 2, 2), (4096, 4096, 1), (5000, 8000, 3)],
)
def test_a_range_is_cached_when_all_pages_that_it_touches_are(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    position: int,
    size_bytes: int,
    pages: int,
) -> None:
    monkeypatch.setattr(mmap, "PAGESIZE", 4096)
    monkeypatch.setattr(page_cache, "read_nowait", lambda fd, buffer, position: 1)
    fd = fd_of(tmp_path)

    counting(monkeypatch, pages)
    assert is_cached(fd, position, size_bytes)
    counting(monkeypatch, pages - 1)
    assert not is_cached(fd, position, size_bytes)
    os.close(fd)


def test_a_page_that_is_being_read_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(fd: int, buffer: bytearray, position: int) -> int:
        raise BlockingIOError

    fd = fd_of(tmp_path)
    counting(monkeypatch, 1)
    monkeypatch.setattr(page_cache, "read_nowait", not_yet)

    assert not is_cached(fd, 0, 10)
    os.close(fd)


def test_a_system_without_the_call_says_that_nothing_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = fd_of(tmp_path)
    monkeypatch.setattr(page_cache, "_libc", lambda: None)

    assert not is_cached(fd, 0, 10)
    os.close(fd)


def test_the_system_is_asked_for_a_file_of_its_own(tmp_path: Path) -> None:
    fd = fd_of(tmp_path)
    if page_cache._count_cached(fd, 0, 10) == 0:
        pytest.skip("this system cannot count cached pages")

    assert page_cache._count_cached(fd, 0, 10) == 1
    assert is_cached(fd, 2, 8)
    assert page_cache._count_cached(-1, 0, 10) == 0
    os.close(fd)
