"""A file layer whose n-th call fails, so that a test can try each call of a run in turn."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pykbroker.protocol.primitives import Buffer
from pykbroker.storage.file_layer import FileHandle, FileLayer

SHORT_WRITE = -1


class _Handle(FileHandle):
    __slots__ = ("path",)

    def __init__(self, fd: int, path: str) -> None:
        super().__init__(fd)
        self.path = path


class FailingCalls(FileLayer):
    """Counts the calls that concern a directory, and lets one of them fail, once.

    Args:
        directory: Calls for other directories neither count nor fail.
        fail_at: Which call fails, from 0 on; -1 for none.
        code: Its errno, or SHORT_WRITE: a write takes some bytes, and the rest finds no space.

    Attributes:
        calls: The operation and file name of each call.
        has_failed: Whether the time has come.
    """

    def __init__(self, directory: Path, fail_at: int = -1, code: int = errno.EIO) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.has_failed = False
        self._directory = f"{directory}{os.sep}"
        self._fail_at = fail_at
        self._code = code
        self._is_next_write_failing = False

    def _call(self, operation: str, path: Path | str) -> None:
        if not f"{path}{os.sep}".startswith(self._directory):
            return
        self.calls.append((operation, os.path.basename(path)))
        if len(self.calls) - 1 == self._fail_at and self._code != SHORT_WRITE:
            self.has_failed = True
            raise OSError(self._code, "injected")

    def open(self, path: Path | str, *, create: bool = False) -> FileHandle:
        self._call("open", path)
        handle = super().open(path, create=create)
        return _Handle(os.dup(handle.fd), os.fspath(path))

    def pwrite(self, handle: FileHandle, data: Buffer, position: int) -> int:
        assert isinstance(handle, _Handle)
        self._call("pwrite", handle.path)
        if self._is_next_write_failing:
            self._is_next_write_failing = False
            raise OSError(errno.ENOSPC, "injected")
        if self._code == SHORT_WRITE and len(self.calls) - 1 == self._fail_at:
            self.has_failed = self._is_next_write_failing = True
            return super().pwrite(handle, memoryview(data)[: len(data) // 2], position)
        return super().pwrite(handle, data, position)

    def truncate(self, handle: FileHandle, size_bytes: int) -> None:
        assert isinstance(handle, _Handle)
        self._call("truncate", handle.path)
        super().truncate(handle, size_bytes)

    def sync(self, handle: FileHandle) -> None:
        assert isinstance(handle, _Handle)
        self._call("sync", handle.path)

    def sync_path(self, path: Path | str) -> None:
        self._call("sync_path", path)
        if not os.path.exists(path):
            raise FileNotFoundError(path)

    def rename(self, source: Path | str, target: Path | str) -> None:
        self._call("rename", source)
        super().rename(source, target)

    def remove(self, path: Path | str) -> None:
        self._call("remove", path)
        super().remove(path)

    def make_directory(self, path: Path | str) -> None:
        self._call("make_directory", path)
        super().make_directory(path)

    def remove_directory(self, path: Path) -> None:
        self._call("remove_directory", path)
        super().remove_directory(path)

    def write_file(self, path: Path | str, data: bytes) -> None:
        self._call("write_file", path)
        super().write_file(path, data)
