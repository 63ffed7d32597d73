"""Every system call that changes a data directory, in one place.

Nothing else in this package writes, renames or syncs. That makes durability readable in one file
and gives tests one seam to inject faults at: a subclass that fails, shortens or forgets.

`FileHandle` owns a file descriptor and closes it when its last user lets go, so that a segment may
be deleted while a slice of it is still being read: the number cannot be reused under a reader.
"""

import contextlib
import errno
import os
import resource
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pykbroker.protocol.primitives import Buffer

# Writing may succeed again once there is room, so these do not take a directory offline.
OUT_OF_SPACE_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# Without a descriptor or memory the disk was not even asked.
DESCRIPTOR_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE})
PASSING_ERRNOS: Final = OUT_OF_SPACE_ERRNOS | DESCRIPTOR_ERRNOS | {errno.ENOMEM}
_MANY_FILES: Final = 1 << 16  # where the process has no limit worth the name


def descriptor_limit() -> int | None:
    """Return how many file descriptors the process may have; None for no limit."""
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft_limit if soft_limit >= 0 else None


def raise_descriptor_limit() -> None:
    """Let the process have as many file descriptors as it is entitled to."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


@contextlib.contextmanager
def tolerate_full_disk() -> Iterator[None]:
    """Give a block up, without an error, when there is no space."""
    try:
        yield
    except OSError as error:
        if error.errno not in OUT_OF_SPACE_ERRNOS:
            raise


class FileHandle:
    """An open file descriptor that is closed with the last reference to this object."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)


class FileLayer:
    """The file system, with durability that can be turned off.

    Thousands of partitions must not use up the process's file descriptors, which connections need
    too. So a `KeptFile` is closed when there are too many younger ones. They are referred to
    weakly: the space of a deleted file is free only when nobody has it open, so that of a segment
    that is not used any more must not live on here.

    Args:
        fsync_enabled: See the attribute.
        max_open_files: How many files may be kept open; default: half of what the process may.

    Attributes:
        fsync_enabled: False makes every sync a no-op: data survives the process but not the
            machine (`pykbroker.fsync=never`).
    """

    def __init__(self, *, fsync_enabled: bool = True, max_open_files: int | None = None) -> None:
        self.fsync_enabled = fsync_enabled
        if max_open_files is None:
            limit = descriptor_limit()
            max_open_files = _MANY_FILES if limit is None else min(limit // 2, _MANY_FILES)
        self._max_open_files = max_open_files
        self._kept: deque[weakref.ref[KeptFile]] = deque()

    def open(self, path: Path | str, *, create: bool = False) -> FileHandle:
        """Open a file for reading and writing; `create` makes it where it does not exist."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return FileHandle(os.open(path, flags, 0o644))

    def keep_open(self, file: "KeptFile") -> None:
        """Note that one more file is kept open; the oldest one may be closed for it."""
        self._kept.append(weakref.ref(file))
        if len(self._kept) > self._max_open_files:
            oldest = self._kept.popleft()()
            if oldest is not None:
                oldest.release()

    @property
    def open_files(self) -> int:
        """How many files are kept open now."""
        kept = (file() for file in self._kept)
        return sum(file is not None and file.handle is not None for file in kept)

    def pwrite(self, handle: FileHandle, data: Buffer, position: int) -> int:
        """Write to the page cache and return how many bytes were taken, which may be fewer."""
        return os.pwrite(handle.fd, data, position)

    def write_fully(self, handle: FileHandle, data: Buffer, position: int) -> None:
        """Write all of `data`, going on after short writes until one of them fails.

        Raises:
            OSError: Some of the bytes may be in the file; the caller must not count them.
        """
        written = self.pwrite(handle, data, position)
        size_bytes = len(data)
        while written < size_bytes:
            more = self.pwrite(handle, memoryview(data)[written:], position + written)
            if more <= 0:
                raise OSError(errno.EIO, "the disk took no bytes")
            written += more

    def truncate(self, handle: FileHandle, size_bytes: int) -> None:
        """Cut a file."""
        os.ftruncate(handle.fd, size_bytes)

    def sync(self, handle: FileHandle) -> None:
        """Make a file's content durable."""
        if self.fsync_enabled:
            os.fsync(handle.fd)

    def sync_path(self, path: Path | str) -> None:
        """Make a small file or a directory (its names) durable."""
        if not self.fsync_enabled:
            return
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def set_modified(self, path: Path | str, modified_ns: int) -> None:
        """Give a file another time of change, in nanoseconds since the epoch."""
        os.utime(path, ns=(modified_ns, modified_ns))

    def rename(self, source: Path | str, target: Path | str) -> None:
        """Rename atomically, replacing the target."""
        os.replace(source, target)

    def remove(self, path: Path | str) -> None:
        """Delete a file if it exists."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def make_directory(self, path: Path | str) -> None:
        """Make a directory whose parent exists."""
        os.mkdir(path, 0o755)

    def remove_directory(self, path: Path) -> None:
        """Delete a directory and the files in it."""
        with os.scandir(path) as entries:
            for entry in entries:
                os.unlink(entry.path)
        os.rmdir(path)

    def write_file(self, path: Path | str, data: bytes) -> None:
        """Create or overwrite a small file in place; a crash may leave it torn."""
        with open(path, "wb") as file:
            file.write(data)

    def replace_file(self, path: Path | str, data: bytes, *, durable: bool = True) -> None:
        """Replace a small file so that a crash leaves the old or the new one, never a mixture.

        Args:
            path: The file; `<path>.tmp` is used on the way.
            data: The new content.
            durable: Sync the content, then the directory. Without it the new file is visible at
                once and durable whenever the caller syncs it.
        """
        if durable:
            self.replace_files({path: data})
            return
        temporary = f"{path}.tmp"
        self.write_file(temporary, data)
        self.rename(temporary, path)

    def replace_files(self, contents: Mapping[Path | str, bytes] | Mapping[Path, bytes]) -> None:
        """Replace small files of one directory durably; each is the old or the new one."""
        for path, data in contents.items():
            self.write_file(f"{path}.tmp", data)
            self.sync_path(f"{path}.tmp")
        for path in contents:
            self.rename(f"{path}.tmp", path)
        for directory in {os.path.dirname(path) or "." for path in contents}:
            self.sync_path(directory)


class KeptFile:
    """A file that is opened when it is needed, and then stays open until there are too many.

    Reads and writes under way are not disturbed when it is closed: they hold the `FileHandle`.

    Args:
        files: Where it is.
        path: Its name.

    Attributes:
        handle: The file while it is open.
        is_pinned: True keeps it open for as long as this object is used, whatever gets its name.
    """

    __slots__ = ("__weakref__", "_files", "handle", "is_pinned", "path")

    def __init__(self, files: FileLayer, path: Path) -> None:
        self._files = files
        self.path = path
        self.handle: FileHandle | None = None
        self.is_pinned = False

    def open(self, *, create: bool = False) -> FileHandle:
        """Return the file, opening it first if it is not open."""
        handle = self.handle
        if handle is None:
            handle = self.handle = self._files.open(self.path, create=create)
            self._files.keep_open(self)
        return handle

    def release(self) -> None:
        """Close the file, unless it is pinned; it is opened again when needed."""
        if not self.is_pinned:
            self.handle = None
