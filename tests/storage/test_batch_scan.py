"""Walking the batches of a file: places, headers, whole batches, damage."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from pykbroker.protocol.primitives import Buffer
from pykbroker.storage.batch_scan import (
    DamagedSegmentError,
    find_old_message,
    locate,
    scan_batches,
    scan_headers,
)
from pykbroker.storage.file_layer import FileHandle, FileLayer
from tests.harness.batches import NOW_MS, a_batch, a_record

ONE = a_batch(records=2).size_bytes


def a_file(path: Path, *data: Buffer) -> tuple[FileHandle, Path, int]:
    target = path / "a.log"
    target.write_bytes(b"".join(data))
    return FileLayer().open(target), target, target.stat().st_size


def batches(count: int, *, first: int = 0) -> list[memoryview]:
    return [a_batch(first + 2 * n, records=2).data for n in range(count)]


@pytest.mark.parametrize("nowait", [False, True])
def test_the_batch_that_reaches_an_offset_is_found(tmp_path: Path, nowait: bool) -> None:
    handle, path, end = a_file(tmp_path, *batches(100))

    for offset in (0, 1, 2, 99, 198, 199):
        place = locate(handle, path, 0, end, offset, nowait=nowait)
        first = offset // 2 * 2
        assert place == (ONE * (offset // 2), ONE, first, first + 1)
    assert locate(handle, path, 0, end, 200, nowait=nowait) is None
    assert locate(handle, path, ONE * 3, end, 0) == (ONE * 3, ONE, 6, 7)


def test_headers_are_read_out(tmp_path: Path) -> None:
    batch = a_batch(5, records=3, leader_epoch=4, producer_id=6, producer_epoch=7, base_sequence=8)
    handle, path, end = a_file(tmp_path, batch.data)

    (header,) = scan_headers(handle, path, 0, end)

    assert header == (0, batch.size_bytes, 5, 7, 4, NOW_MS + 2, 6, 7, 8)


def test_whole_batches_are_read(tmp_path: Path) -> None:
    large = a_batch(200, records=[a_record(value=bytes(3_000_000))])
    handle, path, end = a_file(tmp_path, *batches(100), large.data, *batches(2, first=201))

    found = list(scan_batches(handle, path, ONE, end))

    assert [batch.base_offset for _, batch in found] == [*range(2, 201, 2), 201, 203]
    assert all(batch.is_crc_valid() for _, batch in found)
    assert found[0][0] == ONE


@pytest.mark.parametrize("length", [-1, 0, 48, 10**6, 2**31 - 1])
def test_an_impossible_length_is_damage(tmp_path: Path, length: int) -> None:
    bad = bytearray(a_batch(4, records=2).data)
    bad[8:12] = length.to_bytes(4, "big", signed=True)
    handle, path, end = a_file(tmp_path, *batches(2), bad)

    for walk in (
        lambda: list(scan_headers(handle, path, 0, end)),
        lambda: list(scan_batches(handle, path, 0, end)),
        lambda: locate(handle, path, 0, end, 99),
    ):
        with pytest.raises(DamagedSegmentError, match=f"byte {2 * ONE}") as caught:
            walk()
        assert caught.value.position == 2 * ONE
        assert caught.value.path == path


@pytest.mark.parametrize("cut", [1, ONE - 12, ONE - 13, ONE - 61, ONE - 60, ONE - 1])
def test_a_file_that_ends_inside_of_a_batch_is_damaged(tmp_path: Path, cut: int) -> None:
    handle, path, end = a_file(tmp_path, b"".join(batches(3))[:-cut])

    for stated_end in (end, end + cut):  # it may also have shrunk since it was opened
        with pytest.raises(DamagedSegmentError):
            list(scan_batches(handle, path, ONE * 2, stated_end))
    with pytest.raises(DamagedSegmentError):
        list(scan_headers(handle, path, ONE * 2, end))
    with pytest.raises(DamagedSegmentError):
        locate(handle, path, 0, end, 99)


@pytest.mark.parametrize("outcome", [BlockingIOError(), 5])
def test_what_is_not_in_the_cache_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: OSError | int
) -> None:
    def preadv(*_: object) -> int:
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    handle, path, end = a_file(tmp_path, *batches(2))
    monkeypatch.setattr(os, "preadv", preadv)

    with pytest.raises(BlockingIOError):
        locate(handle, path, 0, end, 2, nowait=True)


def test_old_messages_are_told_from_damage(tmp_path: Path) -> None:
    content = b"\1\0" + bytes(8) + struct.pack(">ii", -1, -1)
    size_bytes = struct.pack(">i", len(content) + 4)
    old = bytes(8) + size_bytes + zlib.crc32(content).to_bytes(4, "big") + content

    def found(data: bytes) -> int | None:
        handle, _, end = a_file(tmp_path, data)
        return find_old_message(handle, 0, end)

    assert found(old) == 1
    assert found(old[:-1]) is None
    assert found(old[:-1] + b"x") is None
    assert found(bytes(100)) is None
    assert found(bytes(3)) is None
    assert found(bytes(batches(1)[0])) is None
