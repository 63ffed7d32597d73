"""A range of a `.log` file that a Fetch answers with, read only when the answer is built.

The bytes go from the page cache into the caller's buffer with one system call. What is not in the
page cache is read in a worker thread. A slice keeps its file open: the segment may be rolled or
deleted meanwhile.
"""

import os
from collections.abc import Callable
from typing import Final

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage.file_layer import FileHandle

_RWF_NOWAIT: Final[int] = getattr(os, "RWF_NOWAIT", 0)


class FileSlice:
    """Bytes of a segment, starting with a whole batch; the last batch may be cut off.

    Attributes:
        size_bytes: How many bytes there are. For a slice whose place must still be looked up on
            disk (see `deferred`) this is an estimate; what counts is what `read` returns.
    """

    __slots__ = ("_find", "_handle", "_position", "size_bytes")

    def __init__(self, handle: FileHandle, position: int, size_bytes: int) -> None:
        self._handle = handle
        self._position = position
        self._find: Callable[[], tuple[int, int]] | None = None
        self.size_bytes = size_bytes

    @classmethod
    def deferred(
        cls, handle: FileHandle, size_bytes: int, find: Callable[[], tuple[int, int]]
    ) -> "FileSlice":
        """Return a slice whose position and size `find` returns, reading the disk for it."""
        file_slice = cls(handle, 0, size_bytes)
        file_slice._find = find
        return file_slice

    def read_cached(self, buffer: memoryview) -> bool:
        """Fill the first `size_bytes` of `buffer` without waiting for the disk.

        Returns:
            False if not all of it is in the page cache, or the system cannot tell; `buffer` is
            undefined then and `read` must be called in a worker thread.
        """
        if self._find is not None or not _RWF_NOWAIT:
            return False
        done = 0
        size_bytes = self.size_bytes
        while done < size_bytes:
            try:
                count = os.preadv(
                    self._handle.fd, [buffer[done:size_bytes]], self._position + done, _RWF_NOWAIT
                )
            except OSError:  # would block, or not supported by the file system
                return False
            if count == 0:
                return False
            done += count
        return True

    def read(self) -> bytes:
        """Return the bytes, waiting for the disk; for worker threads.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR if the disk fails, OFFSET_OUT_OF_RANGE if the records
                were deleted before their place was found.
        """
        position, size_bytes = self._position, self.size_bytes
        try:
            if self._find is not None:
                position, size_bytes = self._find()
            if not size_bytes:
                return b""
            data = os.pread(self._handle.fd, size_bytes, position)
            while len(data) < size_bytes:
                more = os.pread(self._handle.fd, size_bytes - len(data), position + len(data))
                if not more:
                    break
                data += more
        except FileNotFoundError as error:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE) from error
        except OSError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        return data
