"""Walking the batches of a `.log` file: headers only to find a place, whole batches to check them.

A `.log` file is record batches end to end (`protocol.record_batch`). The size of each is in its
header, so a walk hops from header to header. Nothing here writes.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_batch import HEADER_BYTES, RecordBatch
from pykbroker.storage.file_layer import FileHandle
from pykbroker.storage.index_file import DamagedIndexError
from pykbroker.storage.page_cache import read_nowait

_HEADER: Final = struct.Struct(">qiib4xhiqqqhii")
_LENGTH: Final = struct.Struct(">qi")
_PLACE: Final = struct.Struct(">qi11xi")
_OLD_MESSAGE: Final = struct.Struct(">qiIb")
_MIN_OLD_BYTES: Final = 14  # of format 0, with neither key nor value
_LENGTH_OVERHEAD: Final = 12  # base offset and the length field itself
_HEADER_CHUNK_BYTES: Final = 4096
_BATCH_CHUNK_BYTES: Final = 1 << 20


class DamagedSegmentError(Exception):
    """Bytes in a `.log` file that are not a batch.

    Attributes:
        path: The file.
        position: Where the bad batch starts, in bytes.
    """

    def __init__(self, path: Path, position: int, reason: str) -> None:
        super().__init__(f"{path} is damaged at byte {position}: {reason}")
        self.path = path
        self.position = position
        self.reason = reason


class BatchPlace(NamedTuple):
    """Where a batch is, and the offsets it spans."""

    position: int
    size_bytes: int
    base_offset: int
    last_offset: int


class BatchHeader(NamedTuple):
    """The fields of a batch header that lookups and rebuilds need."""

    position: int
    size_bytes: int
    base_offset: int
    last_offset: int
    leader_epoch: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int


def locate(
    handle: FileHandle,
    path: Path,
    position: int,
    end: int,
    offset: int,
    *,
    nowait: bool = False,
    index_offset: int | None = None,
) -> BatchPlace | None:
    """Find the first batch from `position` on whose last offset is at least `offset`.

    Args:
        handle: The `.log` file.
        path: Its name, for messages.
        position: Start of a batch.
        end: Bytes of the file that count.
        offset: What to look for.
        nowait: Only look at what is in the page cache.
        index_offset: What the offset index says that the first batch ends with.

    Raises:
        BlockingIOError: `nowait`, and the disk would have to be asked.
        DamagedSegmentError: A header cannot be right.
        DamagedIndexError: There is no batch at `position` that ends with `index_offset`.
    """
    if index_offset is not None and not 0 < position < end:
        raise DamagedIndexError(f"the index of {path} points to byte {position}")
    chunk = b""
    chunk_start = position
    unpack_from = _PLACE.unpack_from
    while position < end:
        start = position - chunk_start
        if start + HEADER_BYTES > len(chunk):
            chunk = _read_chunk(handle, position, min(end - position, _HEADER_CHUNK_BYTES), nowait)
            if len(chunk) < HEADER_BYTES:
                raise DamagedSegmentError(path, position, "a batch header is cut off")
            chunk_start, start = position, 0
        base_offset, length, last_offset_delta = unpack_from(chunk, start)
        if index_offset is not None:
            if base_offset + last_offset_delta != index_offset:
                raise DamagedIndexError(f"byte {position} of {path} is not offset {index_offset}")
            index_offset = None
        size_bytes = length + _LENGTH_OVERHEAD
        if size_bytes < HEADER_BYTES or position + size_bytes > end:
            raise DamagedSegmentError(path, position, f"impossible batch length {length}")
        if base_offset + last_offset_delta >= offset:
            return BatchPlace(position, size_bytes, base_offset, base_offset + last_offset_delta)
        position += size_bytes
    return None


def _read_chunk(handle: FileHandle, position: int, size_bytes: int, nowait: bool) -> bytes:
    if not nowait:
        return os.pread(handle.fd, size_bytes, position)
    buffer = bytearray(size_bytes)
    count = read_nowait(handle.fd, buffer, position)
    if count < min(size_bytes, HEADER_BYTES):
        raise BlockingIOError
    return bytes(memoryview(buffer)[:count])


def scan_headers(handle: FileHandle, path: Path, position: int, end: int) -> Iterator[BatchHeader]:
    """Yield the header of each batch from `position` to `end`.

    Raises:
        DamagedSegmentError: A header cannot be right; those before it have been yielded.
    """
    chunk = b""
    chunk_start = position
    while position < end:
        start = position - chunk_start
        if start + HEADER_BYTES > len(chunk):
            chunk = os.pread(handle.fd, min(end - position, _HEADER_CHUNK_BYTES), position)
            if len(chunk) < HEADER_BYTES:
                raise DamagedSegmentError(path, position, "a batch header is cut off")
            chunk_start, start = position, 0
        header = _HEADER.unpack_from(chunk, start)
        base_offset, length, leader_epoch, _, _, delta, _, max_timestamp = header[:8]
        producer_id, producer_epoch, base_sequence, _ = header[8:]
        size_bytes = length + _LENGTH_OVERHEAD
        if size_bytes < HEADER_BYTES or position + size_bytes > end:
            raise DamagedSegmentError(path, position, f"impossible batch length {length}")
        yield BatchHeader(
            position,
            size_bytes,
            base_offset,
            base_offset + delta,
            leader_epoch,
            max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
        )
        position += size_bytes


def find_old_message(handle: FileHandle, position: int, end: int) -> int | None:
    """Return the format of the message at `position` if it is an intact one of format 0 or 1.

    Their layout (Kafka's `LegacyRecord`): int64 offset, int32 size, uint32 CRC-32 of all that
    follows it, int8 magic, int8 attributes, then what depends on the format.
    """
    header = os.pread(handle.fd, _OLD_MESSAGE.size, position)
    if len(header) < _OLD_MESSAGE.size:
        return None
    _, size_bytes, checksum, magic = _OLD_MESSAGE.unpack(header)
    start = position + _OLD_MESSAGE.size - 1
    checked_bytes = size_bytes - 4
    if magic not in (0, 1) or size_bytes < _MIN_OLD_BYTES or start + checked_bytes > end:
        return None
    content = os.pread(handle.fd, checked_bytes, start)
    return int(magic) if zlib.crc32(content) == checksum else None


def scan_batches(
    handle: FileHandle, path: Path, position: int, end: int
) -> Iterator[tuple[int, RecordBatch]]:
    """Yield (position, batch) with all its bytes from `position` to `end`; CRCs are not checked.

    Reads about a megabyte at a time, so the memory is bounded by that and the largest batch.

    Raises:
        DamagedSegmentError: The bytes are not a batch; those before have been yielded.
    """
    chunk = memoryview(b"")
    chunk_start = position
    while position < end:
        start = position - chunk_start
        available = len(chunk) - start
        needed = HEADER_BYTES
        if available >= _LENGTH_OVERHEAD:
            _, length = _LENGTH.unpack_from(chunk, start)
            needed = length + _LENGTH_OVERHEAD
            if needed < HEADER_BYTES or position + needed > end:
                raise DamagedSegmentError(path, position, f"impossible batch length {length}")
        if available < needed:
            size_bytes = min(end - position, max(needed, _BATCH_CHUNK_BYTES))
            chunk = memoryview(os.pread(handle.fd, size_bytes, position))
            if len(chunk) < size_bytes or size_bytes < HEADER_BYTES:
                raise DamagedSegmentError(path, position, "a batch is cut off")
            chunk_start = position
            continue
        try:
            batch = RecordBatch.parse(chunk, start)
        except CorruptBatchError as error:
            raise DamagedSegmentError(path, position, str(error)) from error
        yield position, batch
        position += needed
