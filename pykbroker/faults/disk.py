"""A disk that is full, or fails to sync, when it is told to."""

import errno
import os
from pathlib import Path

from pykbroker.protocol.primitives import Buffer
from pykbroker.storage.file_layer import FileHandle, FileLayer


class FaultyDisk(FileLayer):
    """The file system of the logs; what is told to it holds until it is told otherwise.

    Attributes:
        is_full: Whether nothing can be written and nothing made. What is there can be read.
        failing_syncs: So many of the next syncs fail, after which the broker trusts this disk
            no more until it is restarted.
    """

    is_full = False
    failing_syncs = 0

    def open(self, path: Path | str, *, create: bool = False) -> FileHandle:
        """Open a file; see `FileLayer.open`."""
        if create and not os.path.exists(path):
            self._check_room()
        return super().open(path, create=create)

    def pwrite(self, handle: FileHandle, data: Buffer, position: int) -> int:
        """Write to the page cache."""
        self._check_room()
        return super().pwrite(handle, data, position)

    def write_file(self, path: Path | str, data: bytes) -> None:
        """Create or overwrite a small file."""
        self._check_room()
        super().write_file(path, data)

    def make_directory(self, path: Path | str) -> None:
        """Make a directory."""
        self._check_room()
        super().make_directory(path)

    def sync(self, handle: FileHandle) -> None:
        """Make a file's content durable."""
        self._check_sync()
        super().sync(handle)

    def sync_path(self, path: Path | str) -> None:
        """Make a small file or a directory durable."""
        self._check_sync()
        super().sync_path(path)

    def _check_room(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _check_sync(self) -> None:
        if self.failing_syncs and self.fsync_enabled:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
