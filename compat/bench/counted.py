"""The broker with its fsyncs counted: `python -m compat.bench.counted serve ...`.

The count is kept in a file that the parent has made and named in the environment, as eight bytes
that both map; so reading it costs the broker nothing.
"""

import mmap
import os
import struct
import threading
from pathlib import Path

from compat.targets import PykbrokerTarget
from pykbroker.cli import main
from pykbroker.storage.file_layer import FileHandle, FileLayer

COUNT_FILE_ENV = "PYKBROKER_BENCH_FSYNCS"
_COUNT = struct.Struct("<Q")


class CountedTarget(PykbrokerTarget):
    """Our broker, which can be asked for how many fsyncs its logs have done."""

    module = "compat.bench.counted"

    def begin(self) -> None:
        """Start it; the count begins at 0."""
        self._count_file.write_bytes(_COUNT.pack(0))
        os.environ[COUNT_FILE_ENV] = str(self._count_file)
        super().begin()

    @property
    def fsyncs(self) -> int:
        """How many fsyncs of files and directories there were since the start."""
        (count,) = _COUNT.unpack(self._count_file.read_bytes())
        return int(count)

    @property
    def _count_file(self) -> Path:
        return self.directory / "fsyncs"


def _count_fsyncs(path: str) -> None:
    with open(path, "r+b") as file:
        shared = mmap.mmap(file.fileno(), _COUNT.size)
    lock = threading.Lock()
    sync, sync_path = FileLayer.sync, FileLayer.sync_path

    def count() -> None:
        with lock:
            _COUNT.pack_into(shared, 0, _COUNT.unpack_from(shared)[0] + 1)

    def counted_sync(self: FileLayer, handle: FileHandle) -> None:
        count()
        sync(self, handle)

    def counted_sync_path(self: FileLayer, path: Path | str) -> None:
        count()
        sync_path(self, path)

    FileLayer.sync = counted_sync  # type: ignore[method-assign]
    FileLayer.sync_path = counted_sync_path  # type: ignore[method-assign]


if __name__ == "__main__":
    _count_fsyncs(os.environ[COUNT_FILE_ENV])
    main()
