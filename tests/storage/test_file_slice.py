"""Slices of a file: read from the cache, from the disk, or looked up later."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pykbroker.protocol.errors import ErrorCode
from pykbroker.storage.file_layer import FileHandle, FileLayer
from pykbroker.storage.file_slice import DeferredSlice, FileSlice
from tests.harness.logs import error_code


def a_handle(path: Path, data: bytes = b"0123456789") -> FileHandle:
    target = path / "a.log"
    target.write_bytes(data)
    return FileLayer().open(target)


def test_a_slice_is_its_range_of_the_file(tmp_path: Path) -> None:
    found = FileSlice(a_handle(tmp_path), 3, 4, 0)
    buffer = memoryview(bytearray(6))

    assert found.read() == b"3456"
    if found.read_cached(buffer):
        assert bytes(buffer) == b"3456\0\0"


def test_what_is_behind_the_end_is_not_made_up(tmp_path: Path) -> None:
    found = FileSlice(a_handle(tmp_path), 8, 4, 0)

    assert found.read() == b"89"
    assert not found.read_cached(memoryview(bytearray(4)))


def fake_preadv(*steps: int | OSError) -> Callable[..., int]:
    """A preadv that returns or raises one step after the other, filling in the right bytes."""
    remaining = list(steps)

    def preadv(fd: int, buffers: list[memoryview], position: int, flags: int) -> int:
        step = remaining.pop(0)
        if isinstance(step, OSError):
            raise step
        data = os.pread(fd, step, position)
        buffers[0][: len(data)] = data
        return len(data)

    return preadv


def test_a_partial_read_from_the_cache_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = FileSlice(a_handle(tmp_path), 1, 6, 0)
    buffer = memoryview(bytearray(6))
    monkeypatch.setattr(os, "preadv", fake_preadv(2, 1, 3))

    assert found.read_cached(buffer)
    assert bytes(buffer) == b"123456"


@pytest.mark.parametrize("last", [BlockingIOError(), 0])
def test_what_is_not_in_the_cache_must_be_read_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int | OSError
) -> None:
    found = FileSlice(a_handle(tmp_path), 1, 6, 0)
    monkeypatch.setattr(os, "preadv", fake_preadv(2, last))

    assert not found.read_cached(memoryview(bytearray(6)))


def test_the_blocking_read_goes_on_after_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = FileSlice(a_handle(tmp_path), 0, 8, 0)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, position: pread(fd, min(size, 3), position))

    assert found.read() == b"01234567"


def test_a_deferred_slice_is_found_when_it_is_read(tmp_path: Path) -> None:
    found = DeferredSlice(10, lambda: FileSlice(a_handle(tmp_path), 2, 3, 0))

    assert found.size_bytes == 10
    assert not found.read_cached(memoryview(bytearray(10)))
    assert found.read() == b"234"


def test_a_deferred_slice_may_be_of_nothing() -> None:
    assert DeferredSlice(10, lambda: None).read() == b""


@pytest.mark.skipif(sys.platform != "linux", reason="files are sent on Linux only")
def test_a_slice_goes_into_a_socket_without_being_read(tmp_path: Path) -> None:
    found = FileSlice(a_handle(tmp_path), 2, 6, 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert found.send(ours.fileno(), 1) == 5
        assert theirs.recv(100) == b"34567"


def test_the_part_behind_a_place_is_a_slice_too(tmp_path: Path) -> None:
    rest = FileSlice(a_handle(tmp_path), 2, 6, 0).behind(4)

    assert len(rest) == 2
    assert rest.read() == b"67"


def test_of_a_deferred_slice_nothing_is_known_to_be_cached(tmp_path: Path) -> None:
    assert not DeferredSlice(4, lambda: FileSlice(a_handle(tmp_path), 0, 4, 0)).is_cached


def raising(error: OSError) -> Callable[[], FileSlice]:
    def find() -> FileSlice:
        raise error

    return find


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError(), ErrorCode.OFFSET_OUT_OF_RANGE),
        (OSError(5, "failed"), ErrorCode.KAFKA_STORAGE_ERROR),
    ],
)
def test_a_failed_read_is_told(tmp_path: Path, error: OSError, code: ErrorCode) -> None:
    found = DeferredSlice(10, raising(error))

    assert error_code(found.read) == code


def test_the_file_stays_open_as_long_as_a_slice_of_it(tmp_path: Path) -> None:
    handle = a_handle(tmp_path)
    fd = handle.fd
    found = FileSlice(handle, 0, 4, 0)
    del handle
    (tmp_path / "a.log").unlink()

    other = os.open(tmp_path, os.O_RDONLY)
    assert other != fd, "the number is not used again under the reader"
    assert found.read() == b"0123"

    del found
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    os.close(other)


def test_a_slice_tells_its_place_once_it_is_known(tmp_path: Path) -> None:
    found = FileSlice(a_handle(tmp_path), 2, 3, 700)
    deferred = DeferredSlice(10, lambda: found)
    assert deferred.place is None

    deferred.read()

    assert deferred.place is found.place is found
    assert (found.base_offset, found.end_position) == (700, 5)
