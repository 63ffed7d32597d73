"""Walking a `.log` file that may be damaged: whole batches, and the stretches that hold none.

`batch_scan` stops at the first bad byte, as a broker must. A tool goes on: behind a bad batch
comes the next one, if the bad one's length leads to a header; else every byte is tried. What is
taken for a batch there has a right checksum.

Nothing here writes. Memory is bounded by the largest batch with a right checksum.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from pykbroker.protocol import crc
from pykbroker.protocol.record_batch import HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC, RecordBatch
from pykbroker.storage.file_layer import FileHandle

_HEADER: Final = Struct(">qiibIhiqqqhii")
_LENGTH: Final = Struct(">i")
_LENGTH_POSITION: Final = 8
_MAGIC_POSITION: Final = 16
_CRC_POSITION: Final = 17
_CRC_START: Final = 21
_KNOWN_ATTRIBUTES: Final = 0x7F
_WINDOW_BYTES: Final = 1 << 20
# The checksum of a batch that claims more is computed in pieces before it is read as a whole.
_LARGE_BATCH_BYTES: Final = 32 << 20


class FoundBatch(NamedTuple):
    """A batch with magic 2 and a right checksum."""

    position: int
    batch: RecordBatch


class BadBytes(NamedTuple):
    """A stretch of the file that is not a batch.

    Attributes:
        position: Where it starts.
        end: Where the next batch starts, or the end of the file.
        reason: What is wrong with its start.
        is_zeros: Whether nothing but zeros is in it.
    """

    position: int
    end: int
    reason: str
    is_zeros: bool


def open_for_reading(path: Path) -> FileHandle:
    """Open a file that must not be changed."""
    return FileHandle(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def scan_all(
    handle: FileHandle, size_bytes: int, position: int = 0
) -> Iterator[FoundBatch | BadBytes]:
    """Yield everything from `position`, the start of a batch, to `size_bytes`, in order."""
    window = _Window(handle, size_bytes)
    while position < size_bytes:
        batch, reason = window.batch_at(position)
        if batch is not None and reason is None:
            yield FoundBatch(position, batch)
            position += batch.size_bytes
            continue
        end = window.next_after(position)
        yield BadBytes(position, end, reason or "", window.is_zeros(position, end))
        position = end


class _Window:
    """The part of the file that is in memory."""

    def __init__(self, handle: FileHandle, end: int) -> None:
        self._handle = handle
        self._end = end
        self._start = 0
        self._data = memoryview(b"")

    def read(self, position: int, size_bytes: int) -> memoryview:
        """Return the bytes, fewer at the end of the file."""
        start = position - self._start
        if start < 0 or start + size_bytes > len(self._data):
            wanted = min(max(size_bytes, _WINDOW_BYTES), self._end - position)
            self._data = memoryview(os.pread(self._handle.fd, wanted, position))
            self._start, start = position, 0
        return self._data[start : start + size_bytes]

    def batch_at(self, position: int) -> tuple[RecordBatch | None, str | None]:
        """Return the batch and no reason, or the reason why there is none."""
        header = self.read(position, HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            return None, "a batch header is cut off"
        (length,) = _LENGTH.unpack_from(header, _LENGTH_POSITION)
        size_bytes = length + LOG_OVERHEAD_BYTES
        magic = header[_MAGIC_POSITION]
        if length == 0 and not any(header):
            return None, "zeros instead of a batch"
        if magic != MAGIC:
            older = " (record format of before Kafka 0.11)" if magic < MAGIC else ""
            return None, f"magic {magic}{older}"
        if size_bytes < HEADER_BYTES:
            return None, f"impossible batch length {length}"
        if position + size_bytes > self._end:
            return None, (
                f"a batch of {size_bytes} bytes is cut off: the file ends after"
                f" {self._end - position} of them"
            )
        if size_bytes > _LARGE_BATCH_BYTES and not self._is_large_crc_valid(position, size_bytes):
            return None, "CRC mismatch"
        data = self.read(position, size_bytes)
        if len(data) < size_bytes:
            return None, "a batch is cut off while it is read"
        batch = RecordBatch.parse(data)
        return (batch, None) if batch.is_crc_valid() else (None, "CRC mismatch")

    def _is_large_crc_valid(self, position: int, size_bytes: int) -> bool:
        expected = int.from_bytes(self.read(position + _CRC_POSITION, 4), "big")
        checksum = 0
        at = position + _CRC_START
        while at < position + size_bytes:
            piece = self.read(at, min(_WINDOW_BYTES, position + size_bytes - at))
            if not piece:  # the file was cut meanwhile
                return False
            checksum = crc.crc32c(piece, checksum)
            at += len(piece)
        return checksum == expected

    def next_after(self, position: int) -> int:
        """Return where the next batch starts behind a bad one; the end if there is none."""
        header = self.read(position, HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            return self._end
        length: int = _LENGTH.unpack_from(header, _LENGTH_POSITION)[0]
        following = position + length + LOG_OVERHEAD_BYTES
        if length + LOG_OVERHEAD_BYTES >= HEADER_BYTES and (
            following == self._end or self._is_header_plausible(following)
        ):
            return following
        return self._search(position + 1)

    def _search(self, position: int) -> int:
        """Try every byte from `position` on."""
        while position + HEADER_BYTES <= self._end:
            piece = bytes(self.read(position, min(_WINDOW_BYTES, self._end - position)))
            at = piece.find(MAGIC, _MAGIC_POSITION)
            while at >= 0:
                start = position + at - _MAGIC_POSITION
                if self._is_header_plausible(start) and self.batch_at(start)[1] is None:
                    return start
                at = piece.find(MAGIC, at + 1)
            position += len(piece) - _MAGIC_POSITION
        return self._end

    def _is_header_plausible(self, position: int) -> bool:
        header = self.read(position, HEADER_BYTES) if position < self._end else b""
        if len(header) < HEADER_BYTES:
            return False
        base_offset, length, epoch, magic, _, attributes, delta = _HEADER.unpack(header)[:7]
        producer_id, producer_epoch, sequence, count = _HEADER.unpack(header)[9:]
        is_plausible: bool = (
            magic == MAGIC
            and HEADER_BYTES <= length + LOG_OVERHEAD_BYTES <= self._end - position
            and 0 <= attributes <= _KNOWN_ATTRIBUTES
            and base_offset >= 0
            and 0 <= count <= delta + 1
            and min(epoch, producer_id, producer_epoch, sequence) >= -1
        )
        return is_plausible

    def is_zeros(self, position: int, end: int) -> bool:
        """Whether nothing but zeros is there."""
        while position < end:
            piece = self.read(position, min(_WINDOW_BYTES, end - position))
            if not piece or piece.tobytes().strip(b"\0"):
                return False
            position += len(piece)
        return True
