"""Builders of partition logs in real files, crashes, and a file layer that fails when told to."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.primitives import Buffer
from pykbroker.protocol.record_batch import RecordBatch, iter_batches
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.file_layer import FileHandle, FileLayer
from pykbroker.storage.partition_log import AppendResult, PartitionLog
from pykbroker.storage.recovery import LogLoader
from tests.harness.batches import NOW_MS, a_batch

TOPIC = "orders"
TOPIC_ID = bytes(range(16))
BATCH_BYTES = a_batch(records=2).size_bytes


def a_config(**settings: Any) -> TopicConfig:
    """Topic settings; index entries are frequent so that small logs have some."""
    return TopicConfig(**{"index_interval_bytes": 100, **settings})


def a_log(
    tmp_path: Path,
    *,
    files: FileLayer | None = None,
    is_clean: bool = False,
    recovery_point: int = 0,
    log_start_offset: int = 0,
    may_have_gaps: bool = False,
    is_foreign: bool = False,
    on_advance: Callable[[PartitionLog], None] | None = None,
    config: TopicConfig | None = None,
    **settings: Any,
) -> PartitionLog:
    """The log in `<tmp_path>/orders-0`, new or as it is there.

    Args:
        is_clean: Whether to believe that the last stop was clean; like the next five as
            `LogLoader` has it.
        settings: Topic settings, see `a_config`.
    """
    config = config or a_config(**settings)
    files = files or FaultyFiles()
    path = tmp_path / f"{TOPIC}-0"
    path.mkdir(exist_ok=True)
    loaded = LogLoader(
        files,
        path,
        config,
        now_ms=NOW_MS,
        log_start_offset=log_start_offset,
        recovery_point=recovery_point,
        is_clean=is_clean,
        may_have_gaps=may_have_gaps,
        is_foreign=is_foreign,
    ).load()
    directory = DataDirectory(tmp_path, files)
    return PartitionLog(directory, path, TOPIC, TOPIC_ID, 0, config, loaded, on_advance=on_advance)


def a_filled_log(path: Path, batches: int, **options: Any) -> PartitionLog:
    """A log of batches of two records each."""
    log = a_log(path, **options)
    for _ in range(batches):
        append(log, records=2)
    return log


def names(log: PartitionLog) -> set[str]:
    """The names of the files in its directory."""
    return {path.name for path in log.path.iterdir()}


def reopened(log: PartitionLog, **options: Any) -> PartitionLog:
    """The log after a clean stop and a start."""
    log.close()
    options = {"is_clean": True, **_carried(log), **options}
    return a_log(log.path.parent, **options)


def crashed(log: PartitionLog, **options: Any) -> PartitionLog:
    """The log after a kill -9 and a start: nothing but the appended bytes is in its files."""
    log.abandon()
    options = {**_carried(log), **options}
    return a_log(log.path.parent, **options)


def _carried(log: PartitionLog) -> dict[str, Any]:
    """What the checkpoint files and the metadata tell a start."""
    return {
        "recovery_point": log.recovery_point,
        "log_start_offset": log.log_start_offset,
        "config": log.config,
    }


def append(log: PartitionLog, *, now_ms: int = NOW_MS, **batch: Any) -> AppendResult:
    """Append a batch as `a_batch` makes it."""
    return log.append(a_batch(**batch), now_ms)


def fetched(
    log: PartitionLog,
    offset: int,
    max_bytes: int = 1 << 30,
    *,
    up_to: int | None = None,
    at_least_one_batch: bool = True,
) -> bytes:
    """The bytes that a Fetch gets."""
    found = log.read(
        offset,
        max_bytes,
        up_to=log.high_watermark if up_to is None else up_to,
        at_least_one_batch=at_least_one_batch,
    )
    if found.slice is None:
        return b""
    data = found.slice.read()
    buffer = memoryview(bytearray(len(data)))
    if found.slice.read_cached(buffer):
        assert bytes(buffer) == data
    return data


def values(log: PartitionLog, offset: int | None = None) -> dict[int, bytes | None]:
    """Offset -> value of everything from an offset, or the start, on; read as a client does."""
    found: dict[int, bytes | None] = {}
    position = log.log_start_offset if offset is None else offset
    while position < log.high_watermark:
        data = fetched(log, position, 1000)
        assert data, f"nothing at {position}"
        for batch in iter_batches(data):
            assert batch.is_crc_valid()
            found |= {r.offset: r.value for r in batch.records(1 << 30) if r.offset >= position}
            next_position = batch.last_offset + 1
        position = next_position
    return found


def batch_of(log: PartitionLog, offset: int) -> RecordBatch:
    """The batch that holds an offset."""
    return next(log.read_batches(offset, log.log_end_offset))


def copy_of(directory: Path, target: Path) -> Path:
    """A copy of a data directory as it is on disk now."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(directory, target)
    return target


def error_code(call: Callable[[], object]) -> ErrorCode:
    """The code of the `KafkaError` that a call raises; NONE if it raises none."""
    try:
        call()
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


class FaultyFiles(FileLayer):
    """A file layer that fails when told to, counts what it did, and only pretends to sync.

    Attributes:
        short_write_bytes: Let the next write take only so many bytes, and the one after it fail.
        failures: Operation -> errno of all its calls from now on.
        calls: Operation -> how many.
    """

    def __init__(self, *, fsync_enabled: bool = True, max_open_files: int | None = None) -> None:
        super().__init__(fsync_enabled=fsync_enabled, max_open_files=max_open_files)
        self.short_write_bytes: int | None = None
        self.failures: dict[str, int] = {}
        self.calls: dict[str, int] = {}

    def _call(self, operation: str) -> None:
        self.calls[operation] = self.calls.get(operation, 0) + 1
        if operation in self.failures:
            raise OSError(self.failures[operation], "injected")

    def pwrite(self, handle: FileHandle, data: Buffer, position: int) -> int:
        self._call("pwrite")
        if self.short_write_bytes is not None:
            count = super().pwrite(handle, memoryview(data)[: self.short_write_bytes], position)
            self.short_write_bytes = None
            self.failures["pwrite"] = errno.ENOSPC
            return count
        return super().pwrite(handle, data, position)

    def truncate(self, handle: FileHandle, size_bytes: int) -> None:
        self._call("truncate")
        super().truncate(handle, size_bytes)

    def sync(self, handle: FileHandle) -> None:
        self._call("sync")

    def sync_path(self, path: Path | str) -> None:
        self._call("sync_path")

    def rename(self, source: Path | str, target: Path | str) -> None:
        self._call("rename")
        super().rename(source, target)

    def write_file(self, path: Path | str, data: bytes) -> None:
        self._call("write_file")
        super().write_file(path, data)

    def make_directory(self, path: Path | str) -> None:
        self._call("make_directory")
        super().make_directory(path)
