"""Reading what is in the page cache, and nothing else: the event loop must not wait for a disk.

Linux says so with `preadv2` and RWF_NOWAIT (4.14 and later, ext4, xfs, btrfs). A file system that
lives in memory does not know that flag and never waits. Of any other nothing is known, so it is
read in a worker thread.

Whether a range is there without reading it is what `cachestat` tells (Linux 6.5 and later).
"""

import ctypes
import errno
import functools
import mmap
import os
import sys
from pathlib import Path
from typing import Final

_RWF_NOWAIT: Final[int] = getattr(os, "RWF_NOWAIT", 0)
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_MOUNTS: Final = Path("/proc/self/mountinfo")
# The same on all architectures but Alpha, as for all calls that are younger than 2019.
_CACHESTAT: Final = 451


class _Range(ctypes.Structure):
    """`struct cachestat_range`, in bytes."""

    _fields_ = (("position", ctypes.c_uint64), ("size", ctypes.c_uint64))


class _Counts(ctypes.Structure):
    """`struct cachestat`, in pages."""

    _fields_ = (
        ("cached", ctypes.c_uint64),
        ("dirty", ctypes.c_uint64),
        ("writeback", ctypes.c_uint64),
        ("evicted", ctypes.c_uint64),
        ("recently_evicted", ctypes.c_uint64),
    )


def read_nowait(fd: int, buffer: memoryview | bytearray, position: int) -> int:
    """Fill as much of `buffer` as can be had without waiting.

    Returns:
        How many bytes; at least one unless the file ends at `position`.

    Raises:
        BlockingIOError: The disk would have to be asked, or the system cannot tell.
    """
    if not _RWF_NOWAIT:
        raise BlockingIOError
    try:
        return os.preadv(fd, [buffer], position, _RWF_NOWAIT)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP and _is_in_memory(os.fstat(fd).st_dev):
            return os.preadv(fd, [buffer], position)
        raise BlockingIOError from error


def is_cached(fd: int, position: int, size_bytes: int) -> bool:
    """Whether a range of at least one byte can be sent from the page cache.

    A page that is just being read from the disk counts as there. Pages are read in their order, so
    the last one is looked at too.

    Returns:
        False also where the system cannot tell.
    """
    counted = _count_cached(fd, position, size_bytes)
    first, last = position // mmap.PAGESIZE, (position + size_bytes - 1) // mmap.PAGESIZE
    if counted < last - first + 1:
        return False
    try:
        return read_nowait(fd, bytearray(1), position + size_bytes - 1) == 1
    except BlockingIOError:
        return False


def _count_cached(fd: int, position: int, size_bytes: int) -> int:
    """How many pages of a range are in the page cache; 0 where the system cannot tell."""
    libc = _libc()
    if libc is None:
        return 0
    wanted, counts = _Range(position, size_bytes), _Counts()
    failed = libc.syscall(_CACHESTAT, fd, ctypes.byref(wanted), ctypes.byref(counts), 0)
    return 0 if failed else int(counts.cached)


@functools.cache
def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


@functools.lru_cache
def _is_in_memory(device: int) -> bool:
    """Whether the file system on a device keeps its files in memory."""
    name = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return False
    # "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw"; the fields before " - " vary.
    for line in lines:
        mount, _, file_system = line.partition(" - ")
        if mount.split()[2] == name:
            return file_system.split()[0] in _IN_MEMORY
    return False
