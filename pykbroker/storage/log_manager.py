"""All partition logs of the broker: the data directories, opening, creating, deleting, stopping.

A partition is the directory `<topic>-<partition>` in one of the data directories (`log.dirs`); a
new one goes to the directory with the fewest. Deleting renames it to
`<topic>-<partition>.<uuid>-delete` at once and removes it `file.delete.delay.ms` later.

What runs where: `acquire`, `open`, `create`, `write_checkpoints` and `close` wait for the disk and
belong in a worker thread or before the event loop starts; `get`, `all`, `delete` and `housekeeping`
belong in the event loop.
"""

import contextlib
import logging
import re
import uuid
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pykbroker.clock import Clock
from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage import data_directory
from pykbroker.storage.checkpoint import (
    CheckpointFormatError,
    format_partition_metadata,
    parse_partition_metadata,
)
from pykbroker.storage.data_directory import DataDirectory, DataDirectoryError
from pykbroker.storage.file_layer import PASSING_ERRNOS, FileLayer
from pykbroker.storage.partition_files import PARTITION_METADATA, Runner
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.recovery import (
    DamagedLogError,
    LoadedLog,
    LogLoader,
    new_segment,
)

NO_TOPIC_ID: Final = bytes(16)
_PARTITION_DIRECTORY: Final = re.compile(r"(?P<topic>[a-zA-Z0-9._-]+)-(?P<partition>[0-9]+)")
_DELETE_SUFFIX: Final = "-delete"
# Kafka's own metadata log, which a directory that Kafka wrote holds and we have no use for.
_CLUSTER_METADATA: Final = "__cluster_metadata"
_MAX_NAME_CHARACTERS: Final = 255
_PROGRESS_INTERVAL_MS: Final = 1000
# A clean stop waits for several syncs of each log that was written to since its last flush.
STOP_THREADS: Final = 32

_logger = logging.getLogger(__name__)


class LogManager:
    """Owns the data directories and the logs in them.

    Args:
        paths: The data directories.
        clock: Wall time.
        node_id: This broker.
        fsync_enabled: False skips every fsync (`pykbroker.fsync=never`).
        on_advance: Handed to every log, see `PartitionLog`.
        files: Replaces the file system layer, for tests.

    Attributes:
        refused: The partitions whose logs are damaged, and how; they are not served.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        clock: Clock,
        node_id: int,
        fsync_enabled: bool = True,
        on_advance: Callable[[PartitionLog], None] | None = None,
        files: FileLayer | None = None,
    ) -> None:
        self._files = files or FileLayer(fsync_enabled=fsync_enabled)
        self.directories = [DataDirectory(path, self._files) for path in paths]
        self._clock = clock
        self._node_id = node_id
        self._on_advance = on_advance
        self._logs: dict[tuple[str, int], PartitionLog] = {}
        self.refused: dict[tuple[str, int], DamagedLogError] = {}
        # (when, which) of partition directories and their files that are to be removed.
        self._deleted: deque[tuple[int, Path]] = deque()
        self._is_open = False

    def acquire(self) -> None:
        """Lock the data directories, making those that do not exist; idempotent.

        Raises:
            DataDirectoryInUseError: Another process uses one of them.
            DataDirectoryError: One cannot be used.
        """
        for directory in self.directories:
            directory.acquire()

    def read_cluster_id(self) -> str | None:
        """Return the cluster id that the data directories belong to, if they do to one."""
        for directory in self.directories:
            cluster_id = directory.read_cluster_id()
            if cluster_id is not None:
                return cluster_id
        return None

    def open(self, cluster_id: str, topic_config: Callable[[str], TopicConfig]) -> None:
        """Load all logs, recovering those that were not closed cleanly.

        Args:
            cluster_id: Written into new data directories, compared with that of others.
            topic_config: The settings of a topic by name; defaults for one that it does not know.

        Raises:
            DataDirectoryError: A directory cannot be used, or two hold the same partition.
        """
        self.acquire()
        for directory in self.directories:
            directory.ensure_identity(cluster_id, self._node_id)
            try:
                self._open_directory(directory, topic_config)
            except OSError as error:
                raise DataDirectoryError(
                    f"cannot read data directory {directory.path}: {error}"
                ) from error
        self._is_open = True

    def _open_directory(
        self, directory: DataDirectory, topic_config: Callable[[str], TopicConfig]
    ) -> None:
        is_clean = directory.take_clean_shutdown()
        recovery_points = directory.read_checkpoint(data_directory.RECOVERY_POINTS)
        start_offsets = directory.read_checkpoint(data_directory.LOG_START_OFFSETS)
        now_ms = self._clock.now_ms()
        paths = [path for path in sorted(directory.path.iterdir()) if path.is_dir()]
        progress_ms = self._clock.monotonic_ms() + _PROGRESS_INTERVAL_MS
        for done, path in enumerate(paths):
            if self._clock.monotonic_ms() >= progress_ms:
                progress_ms = self._clock.monotonic_ms() + _PROGRESS_INTERVAL_MS
                _logger.info(
                    "loading logs directory=%s done=%d of=%d", directory.path, done, len(paths)
                )
            if path.name.endswith(_DELETE_SUFFIX):
                self._deleted.append((now_ms, path))
                continue
            match = _PARTITION_DIRECTORY.fullmatch(path.name)
            if match is None or match["topic"] == _CLUSTER_METADATA:
                _logger.warning("directory ignored path=%s", path)
                continue
            key = match["topic"], int(match["partition"])
            loader = LogLoader(
                self._files,
                path,
                topic_config(key[0]),
                now_ms=now_ms,
                log_start_offset=start_offsets.get(key, 0),
                recovery_point=recovery_points.get(key, 0),
                # A directory that came here since the last stop is in no checkpoint.
                is_clean=is_clean and key in recovery_points,
            )
            self._load(directory, path, key, topic_config(key[0]), loader)

    def _load(
        self,
        directory: DataDirectory,
        path: Path,
        key: tuple[str, int],
        config: TopicConfig,
        loader: LogLoader,
    ) -> None:
        existing = self._logs.get(key)
        if existing is not None:
            raise DataDirectoryError(f"{path} and {existing.path} hold the same partition")
        try:
            loaded = loader.load()
        except DamagedLogError as error:
            _logger.error("log refused path=%s reason=%s", path, error)
            self.refused[key] = error
            return
        log = PartitionLog(
            directory,
            path,
            key[0],
            _read_topic_id(path),
            key[1],
            config,
            loaded,
            on_advance=self._on_advance,
        )
        log.release_idle_files()
        self._logs[key] = log

    def get(self, topic: str, partition: int) -> PartitionLog | None:
        """Return a partition's log, or None where this broker has none."""
        return self._logs.get((topic, partition))

    def all(self) -> Collection[PartitionLog]:
        """Return all logs."""
        return list(self._logs.values())  # others may be made meanwhile, in a worker thread

    def _logs_in(self, directory: DataDirectory) -> list[PartitionLog]:
        return [log for log in self.all() if log.directory is directory]

    def create(
        self, topic: str, topic_id: bytes, partition: int, config: TopicConfig
    ) -> PartitionLog:
        """Return the log of a partition, making its directory if there is none; idempotent.

        A log of another topic id, left by a topic of the same name, is deleted first. The new
        directory becomes durable with the first flush of the log: until then it holds nothing
        that was promised, and it is made anew from the metadata.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR if the disk failed, or there is a damaged log of the
                partition (see `refused`), which must not be replaced by an empty one.
        """
        key = topic, partition
        log = self._logs.get(key)
        if log is not None:
            if log.topic_id == topic_id:
                return log
            if log.topic_id == NO_TOPIC_ID:
                return self._adopt(log, topic_id)
            self.delete(topic, partition)
        if key in self.refused:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(self.refused[key]))
        directory = self._pick_directory()
        path = directory.path / f"{topic}-{partition}"
        try:
            for other in self.directories:
                if other.failure is None:
                    other.forget(key)
            self._files.make_directory(path)
            self._files.write_file(path / PARTITION_METADATA, format_partition_metadata(topic_id))
        except OSError as error:
            reason = f"cannot make {path}: {error.strerror or error}"
            if error.errno not in PASSING_ERRNOS:
                directory.fail(reason)
            else:  # another time, from the beginning
                with contextlib.suppress(OSError):
                    self._files.remove_directory(path)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, reason) from error
        segment = new_segment(self._files, path, 0, config, self._clock.now_ms())
        log = PartitionLog(
            directory,
            path,
            topic,
            topic_id,
            partition,
            config,
            LoadedLog([segment]),
            on_advance=self._on_advance,
        )
        log.note_created()
        self._logs[key] = log
        return log

    def _adopt(self, log: PartitionLog, topic_id: bytes) -> PartitionLog:
        """Give a log without an id the one that the metadata has for it."""
        log.topic_id = topic_id
        metadata = format_partition_metadata(topic_id)
        self._files.replace_file(log.path / PARTITION_METADATA, metadata)
        return log

    def _pick_directory(self) -> DataDirectory:
        """Return the directory that works and has the fewest logs."""
        counts = {id(d): 0 for d in self.directories if d.failure is None}
        if not counts:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, self.directories[0].failure)
        for log in self.all():
            if id(log.directory) in counts:
                counts[id(log.directory)] += 1
        usable = [d for d in self.directories if id(d) in counts]
        return min(usable, key=lambda directory: counts[id(directory)])

    def delete(self, topic: str, partition: int, topic_id: bytes | None = None) -> None:
        """Remove a partition's log: at once for its users, from the disk later.

        Args:
            topic: Name of the topic.
            partition: Number of the partition.
            topic_id: Leave the log alone if it is that of another topic of the same name.
        """
        log = self._logs.get((topic, partition))
        if log is None or (topic_id is not None and log.topic_id != topic_id):
            return
        del self._logs[topic, partition]
        suffix = f"-{partition}.{uuid.uuid4().hex}{_DELETE_SUFFIX}"
        target = log.path.with_name(topic[: _MAX_NAME_CHARACTERS - len(suffix)] + suffix)
        due_ms = self._clock.now_ms() + log.config.file_delete_delay_ms
        # Closed first: a flush under way must not take the missing files for a failed disk.
        log.abandon()
        try:
            self._files.rename(log.path, target)
            self._deleted.append((due_ms, target))
        except OSError as error:
            log.directory.fail(f"cannot rename {log.path}: {error.strerror or error}")

    def housekeeping(self, now_ms: int, *, producer_id_expiration_ms: int = 86_400_000) -> None:
        """Apply retention, forget idle producers, let go of idle files; quick, in the event loop.

        Args:
            now_ms: Wall time.
            producer_id_expiration_ms: `producer.id.expiration.ms`.
        """
        for log in self.all():
            try:
                removed = log.apply_retention(now_ms)
            except KafkaError as error:
                _logger.error("retention failed path=%s error=%s", log.path, error)
                continue
            if removed:
                _logger.info(
                    "segments deleted path=%s count=%d log_start_offset=%d",
                    log.path, removed, log.log_start_offset,
                )  # fmt: skip
            log.producers.remove_expired(now_ms, producer_id_expiration_ms)
            log.release_idle_files()

    def flush_due(self, now_ms: int) -> list[PartitionLog]:
        """Return the logs that `flush.messages`, `flush.ms` or a roll asks to flush."""
        return [log for log in self.all() if log.is_flush_due(now_ms)]

    def write_checkpoints(self, now_ms: int) -> None:
        """Write the offset checkpoints and remove files whose delay is over; in a worker thread.

        A directory that cannot be written goes offline, unless only room or a descriptor is
        missing: then the checkpoints that are there still hold, and recovery takes a bit longer.
        """
        for directory in self.directories:
            if directory.failure is not None:
                continue
            logs = self._logs_in(directory)
            try:
                for log in logs:
                    log.remove_deleted_files(now_ms)
                _write_checkpoints(directory, logs)
            except OSError as error:
                if error.errno not in PASSING_ERRNOS:
                    directory.fail(f"cannot write checkpoints in {directory.path}: {error}")
                _logger.error("checkpoint failed directory=%s error=%s", directory.path, error)
        self._remove_deleted(now_ms)

    def _remove_deleted(self, now_ms: int) -> None:
        # Each is taken out before it is looked at: the event loop may append meanwhile.
        for _ in range(len(self._deleted)):
            due_ms, path = self._deleted.popleft()
            if due_ms > now_ms:
                self._deleted.append((due_ms, path))
                continue
            try:
                self._files.remove_directory(path)
            except OSError as error:
                _logger.error("cannot remove path=%s error=%s", path, error)

    def close(self) -> None:
        """Flush and close all logs; a start after this needs no recovery."""
        logs_of = {id(directory): self._logs_in(directory) for directory in self.directories}
        # Most of it is waiting for syncs, of which a disk does many at a time.
        with (
            ThreadPoolExecutor(STOP_THREADS, "pykbroker-sync") as syncing,
            ThreadPoolExecutor(STOP_THREADS, "pykbroker-stop") as closing,
        ):
            for logs in logs_of.values():
                for log in logs:
                    closing.submit(_close_log, log, syncing.map)
        for directory in self.directories:
            logs = logs_of[id(directory)]
            if self._is_open and directory.failure is None:
                try:
                    _write_checkpoints(directory, logs)
                    directory.write_clean_shutdown()
                except OSError as error:
                    _logger.error("stop not clean directory=%s error=%s", directory.path, error)
            directory.release()
        self._logs.clear()
        self._is_open = False


def _close_log(log: PartitionLog, run: Runner) -> None:
    try:
        log.close(run)
    except KafkaError as error:
        _logger.error("log not closed path=%s error=%s", log.path, error)


def _write_checkpoints(directory: DataDirectory, logs: Sequence[PartitionLog]) -> None:
    recovery_points: dict[tuple[str, int], int] = {}
    start_offsets: dict[tuple[str, int], int] = {}
    high_watermarks: dict[tuple[str, int], int] = {}
    for log in logs:
        key = log.topic, log.partition
        recovery_points[key] = log.recovery_point
        high_watermarks[key] = log.high_watermark
        start_offset = log.log_start_offset
        if start_offset > log.segments[0].base_offset:
            start_offsets[key] = start_offset
    directory.write_checkpoints(
        [
            (data_directory.RECOVERY_POINTS, recovery_points),
            (data_directory.LOG_START_OFFSETS, start_offsets),
            (data_directory.HIGH_WATERMARKS, high_watermarks),
        ]
    )


def _read_topic_id(path: Path) -> bytes:
    """Return the topic id in a partition's directory; the null id where it has none."""
    try:
        return parse_partition_metadata((path / PARTITION_METADATA).read_bytes())
    except (FileNotFoundError, CheckpointFormatError):
        return NO_TOPIC_ID
