"""A range of a `.log` file that a Fetch answers with, read only when the answer is built.

What is in the page cache goes from there into the socket, if it is much, or else into the caller's
buffer, with one system call. What is not in the page cache is read in a worker thread. A slice
keeps its file open: the segment may be rolled or deleted meanwhile.
"""

import os
from collections.abc import Callable

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.file_layer import FileHandle
from pykbroker.storage.page_cache import is_cached, read_nowait


class FileSlice:
    """Bytes of a segment, starting with a whole batch; the last batch may be cut off.

    Attributes:
        size_bytes: How many bytes there are.
        base_offset: That of the segment.
    """

    __slots__ = ("_handle", "_position", "base_offset", "size_bytes")

    def __init__(
        self, handle: FileHandle, position: int, size_bytes: int, base_offset: int
    ) -> None:
        self._handle = handle
        self._position = position
        self.size_bytes = size_bytes
        self.base_offset = base_offset

    def __len__(self) -> int:
        return self.size_bytes

    @property
    def place(self) -> "FileSlice | None":
        """Return where the bytes are; None as long as nobody has looked."""
        return self

    @property
    def end_position(self) -> int:
        """Position in the segment's file behind the last byte."""
        return self._position + self.size_bytes

    @property
    def is_cached(self) -> bool:
        """Whether all of it is in the page cache, so that `send` does not wait for the disk."""
        return is_cached(self._handle.fd, self._position, self.size_bytes)

    def send(self, socket_fd: int, start: int) -> int:
        """Put bytes from `start` on into a socket that does not block, past the process's memory.

        Returns:
            How many the socket has taken.

        Raises:
            BlockingIOError: It takes none now.
            OSError: It takes none any more, or the disk has failed.
        """
        count = self.size_bytes - start
        return os.sendfile(socket_fd, self._handle.fd, self._position + start, count)

    def behind(self, start: int) -> "FileSlice":
        """Return the part from `start` on."""
        return FileSlice(
            self._handle, self._position + start, self.size_bytes - start, self.base_offset
        )

    def read_cached(self, buffer: memoryview) -> bool:
        """Fill the first `size_bytes` of `buffer` without waiting for the disk.

        Returns:
            False if not all of it is in the page cache, or the system cannot tell; `buffer` is
            undefined then and `read` must be called in a worker thread.
        """
        done = 0
        size_bytes = self.size_bytes
        while done < size_bytes:
            try:
                count = read_nowait(self._handle.fd, buffer[done:size_bytes], self._position + done)
            except BlockingIOError:
                return False
            if count == 0:
                return False
            done += count
        return True

    def read(self) -> bytes:
        """Return the bytes, waiting for the disk; for worker threads.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR if the disk fails.
        """
        position, size_bytes = self._position, self.size_bytes
        try:
            data = os.pread(self._handle.fd, size_bytes, position)
            while len(data) < size_bytes:
                more = os.pread(self._handle.fd, size_bytes - len(data), position + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        return data


class DeferredSlice(FileSlice):
    """Bytes whose place must still be looked up on the disk.

    Args:
        estimate_bytes: Becomes `size_bytes`; what counts is what `read` returns, maybe nothing.
        find: Looks them up, waiting for the disk.
    """

    __slots__ = ("_find", "_found")

    def __init__(self, estimate_bytes: int, find: Callable[[], FileSlice | None]) -> None:
        self._find = find
        self._found: FileSlice | None = None
        self.size_bytes = estimate_bytes

    @property
    def place(self) -> FileSlice | None:
        """Return what `read` has found."""
        return self._found

    @property
    def is_cached(self) -> bool:
        """Return False: nothing is known of them yet."""
        return False

    def read_cached(self, buffer: memoryview) -> bool:
        """Return False: nothing is known of them yet."""
        return False

    def read(self) -> bytes:
        """Return the bytes, waiting for the disk; for worker threads.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR if the disk fails, OFFSET_OUT_OF_RANGE if the records
                were deleted meanwhile, CORRUPT_MESSAGE.
        """
        try:
            found = self._found = self._find()
        except DamagedSegmentError as error:
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE, str(error)) from error
        except FileNotFoundError as error:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE) from error
        except OSError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        return found.read() if found is not None else b""
