"""A file system of its own whose power can be cut: an ext4 in an image file behind a loop device.

The loop device writes to the image with direct I/O, and the blocks of the image are allocated
beforehand. So a copy of the image holds what the file system has given to its device, and nothing
of what is in the page cache only: the state in which a power cut leaves a disk. The journal is
committed when somebody syncs and hardly ever by itself, which is the hardest case.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

TOOLS = ("losetup", "mkfs.ext4", "mount", "umount", "fallocate", "cp")
SIZE_MB = 128
COPY_ATTEMPTS = 10
# Positions in /sys/block/<device>/stat.
WRITES_COMPLETED, IN_FLIGHT = 4, 8


class DiskUnavailable(Exception):  # noqa: N818 - a reason to skip, not an error
    """This machine cannot have such a disk; the message says why."""


class LoopDisk:
    """An image file and, while it is mounted, its loop device and where it is mounted.

    Everything is undone by `close`, in whatever state it is.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.image = directory / f"{name}.img"
        self.mount_point = directory / name
        self._device: str | None = None
        self._is_mounted = False

    def format(self, size_mb: int = SIZE_MB) -> None:
        """Make the image and a file system in it.

        Raises:
            DiskUnavailable: Not root, or a tool is missing.
        """
        _must_be_root()
        for tool in TOOLS:
            if shutil.which(tool) is None:
                raise DiskUnavailable(f"there is no {tool} on this machine")
        _run("fallocate", "-l", f"{size_mb}M", str(self.image))
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)

    def mount(self) -> None:
        """Attach and mount the image.

        Raises:
            DiskUnavailable: The machine has no loop devices, or they do not bypass the page cache.
        """
        device = _run("losetup", "--find", "--show", "--direct-io=on", self.image)
        self._device = device
        if (_sys_block(device) / "loop" / "dio").read_text().strip() != "1":
            raise DiskUnavailable("the loop device has no direct I/O here")
        self.mount_point.mkdir(exist_ok=True)
        _run("mount", "-o", "commit=300", device, self.mount_point)
        self._is_mounted = True

    def fail(self) -> None:
        """Let every later write and fsync fail, as those of a disk that has died."""
        # EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, 0x8004587D, struct.pack("I", 2))
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Give the device all that is in the page cache."""
        _run("sync", "-f", self.mount_point)

    def copy(self, copied: "LoopDisk") -> None:
        """Copy the image as it is, mounted, while nobody writes to it."""
        assert self._device is not None
        for _ in range(COPY_ATTEMPTS):
            before = self._writes()
            _run("cp", "--sparse=always", self.image, copied.image)
            if before is not None and before == self._writes():
                return
            time.sleep(0.1)
        raise AssertionError("the kernel does not stop to write to the disk")

    def close(self) -> None:
        """Unmount, detach and remove everything."""
        if self._is_mounted:
            with contextlib.suppress(DiskUnavailable):
                _run("umount", "--lazy", self.mount_point)
            self._is_mounted = False
        if self._device is not None:
            _run("losetup", "--detach", self._device)
            self._device = None
        self.image.unlink(missing_ok=True)

    def _writes(self) -> int | None:
        """How many writes the device has done; None while one is under way."""
        assert self._device is not None
        figures = (_sys_block(self._device) / "stat").read_text().split()
        return None if int(figures[IN_FLIGHT]) else int(figures[WRITES_COMPLETED])


def mount_tmpfs(resources: contextlib.ExitStack, mount_point: Path, *, size_mb: int) -> None:
    """Mount a file system in memory, which is full soon, until `resources` are closed.

    Raises:
        DiskUnavailable: Not root, or the machine does not allow it.
    """
    _must_be_root()
    mount_point.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", mount_point)
    resources.callback(_run, "umount", "--lazy", mount_point)


def _must_be_root() -> None:
    if os.geteuid() != 0:
        raise DiskUnavailable("only root may mount a file system")


def _sys_block(device: str) -> Path:
    return Path("/sys/block") / Path(device).name


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip()
        raise DiskUnavailable(f"{' '.join(map(str, command))}: {reason}")
    return done.stdout.strip()
