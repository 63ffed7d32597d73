"""Reading what is in the page cache, and nothing else: the event loop must not wait for a disk.

Linux says so with `preadv2` and RWF_NOWAIT (4.14 and later, ext4, xfs, btrfs). A file system that
lives in memory does not know that flag and never waits. Of any other nothing is known, so it is
read in a worker thread.
"""

import errno
import functools
import os
from pathlib import Path
from typing import Final

_RWF_NOWAIT: Final[int] = getattr(os, "RWF_NOWAIT", 0)
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_MOUNTS: Final = Path("/proc/self/mountinfo")


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
