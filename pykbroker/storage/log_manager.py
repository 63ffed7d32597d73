"""All partition logs of the broker: the data directories, opening, creating, deleting, stopping.

A partition is the directory `<topic>-<partition>` in one of the data directories (`log.dirs`); a
new one goes to the directory with the fewest. Deleting renames it at once (`partition_directories`)
and removes it `file.delete.delay.ms` later.

What runs where: `acquire`, `open`, `create`, `discard_remains`, `write_checkpoints`,
`write_start_offsets`, `catch_up` and `close` wait for the disk and belong in a worker thread or
before the event loop starts; `get`, `all`, `delete`, `housekeeping` and `is_behind` belong in the
event loop.

A data directory that cannot be used at the start is offline, and the others serve; but the first
one, where the metadata are, must work. Its partitions are not made anew elsewhere (`refuse`).
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from pykbroker.clock import Clock
from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.storage import data_directory, offset_checkpoints
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.checkpoint import format_partition_metadata
from pykbroker.storage.data_directory import (
    DataDirectory,
    DataDirectoryError,
    DataDirectoryInUseError,
    ForeignDirectoryError,
)
from pykbroker.storage.file_layer import PASSING_ERRNOS, FileLayer
from pykbroker.storage.offset_checkpoints import OffsetCheckpoints
from pykbroker.storage.partition_directories import (
    NO_TOPIC_ID,
    DirectoryRemover,
    FoundPartition,
    Judge,
    list_directory,
    refuse_twins,
)
from pykbroker.storage.partition_files import PARTITION_METADATA, Runner
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.recovery import (
    DamagedLogError,
    LoadedLog,
    LogLoader,
    new_segment,
)
from pykbroker.storage.recovery_progress import RecoveryProgress, bytes_to_check

# A clean stop waits for several syncs of each log that was written to since its last flush.
STOP_THREADS: Final = 32

_logger = logging.getLogger(__name__)


class RefusedLog(NamedTuple):
    """A partition that is not served.

    `found` is None where the log is, or may be, in a directory that is offline.
    """

    reason: str
    config: TopicConfig
    found: FoundPartition | None


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
        refused: The partitions whose logs cannot be served, and why.
        unclean: The partitions whose logs may have lost their ends, as their directory was not
            closed, and the largest leader epoch in each.
        is_stop_incomplete: Whether `close` could not bring everything to the disk.
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
        self.refused: dict[tuple[str, int], RefusedLog] = {}
        self.unclean: dict[tuple[str, int], int] = {}
        self.is_stop_incomplete = False
        self._checkpoints = [
            OffsetCheckpoints(
                directory,
                partial(_logs_in, directory, self._logs),
                partial(_refused_in, directory, self.refused),
            )
            for directory in self.directories
        ]
        self._remover = DirectoryRemover(self._files, clock)
        self._is_open = False

    def acquire(self) -> None:
        """Lock the data directories, making those that do not exist; idempotent.

        Raises:
            DataDirectoryInUseError: Another process uses one of them.
            DataDirectoryError: The first one cannot be used.
        """
        for directory in self.working_directories:
            try:
                directory.acquire()
            except DataDirectoryInUseError:
                raise
            except DataDirectoryError as error:
                self._start_without(directory, error)

    @property
    def working_directories(self) -> list[DataDirectory]:
        """The data directories that are not offline."""
        return [directory for directory in self.directories if directory.failure is None]

    def read_cluster_id(self) -> str | None:
        """Return the cluster id that the data directories belong to, if they do to one.

        Raises:
            DataDirectoryError: The first one cannot be read.
        """
        for directory in self.working_directories:
            try:
                cluster_id = directory.read_cluster_id()
            except OSError as error:
                self._start_without(directory, error)
                continue
            if cluster_id is not None:
                return cluster_id
        return None

    def open(
        self,
        cluster_id: str,
        topic_config: Callable[[str], TopicConfig],
        judge: Judge | None = None,
        is_foreign: Callable[[FoundPartition], bool] = lambda found: False,
    ) -> None:
        """Load all logs, recovering those that were not closed cleanly.

        Args:
            cluster_id: Written into new data directories, compared with that of others.
            topic_config: The settings of a topic by name; defaults for one that it does not know.
            judge: Told of all the partitions that are there, it says which shall not be loaded.
            is_foreign: Tells of those that shall whether somebody else wrote them.

        Raises:
            DataDirectoryError: The first directory cannot be used, one belongs to another cluster
                or node, or two hold the same partition.
        """
        self.acquire()
        for directory in self.working_directories:
            try:
                directory.ensure_identity(cluster_id, self._node_id)
            except ForeignDirectoryError:
                raise
            except (OSError, DataDirectoryError) as error:
                self._start_without(directory, error)
        found: list[FoundPartition] = []
        for directory in self.working_directories:
            try:
                found += self._look_around(directory)
            except OSError as error:
                self._start_without(directory, error)
        judgements = judge(found) if judge is not None else {}
        kept = [partition for partition in found if partition.path not in judgements]
        refuse_twins(kept)
        for directory in self.working_directories:
            try:
                for partition in found:
                    if partition.directory is directory and partition.path in judgements:
                        self._remover.execute(judgements[partition.path], partition)
                self._open_directory(
                    directory,
                    [found for found in kept if found.directory is directory],
                    topic_config,
                    is_foreign,
                )
            except (OSError, DataDirectoryError) as error:
                self._start_without(directory, error)
        self._is_open = True

    def _start_without(self, directory: DataDirectory, error: Exception) -> None:
        """Take a directory offline that cannot be used, unless nothing works without it."""
        reason = str(error)
        if isinstance(error, OSError):
            reason = f"cannot use data directory {directory.path}: {error.strerror or error}"
            if error.filename is not None:
                reason += f" ({error.filename})"
        if directory is self.directories[0]:
            if len(self.directories) > 1:
                reason += "; the first of log.dirs holds the metadata and cannot be left out"
            raise DataDirectoryError(reason) from error
        directory.fail(reason)
        for log in [log for log in self.all() if log.directory is directory]:
            del self._logs[log.topic, log.partition]
            log.abandon()

    def _look_around(self, directory: DataDirectory) -> list[FoundPartition]:
        """Return the partitions in a directory; note and tell what else is there."""
        listing = list_directory(directory)
        self._remover.remove_soon(listing.deleted)
        for path, reason in listing.ignored:
            _logger.warning("directory ignored path=%s reason=%s", path, reason)
        return listing.partitions

    def _open_directory(
        self,
        directory: DataDirectory,
        partitions: Sequence[FoundPartition],
        topic_config: Callable[[str], TopicConfig],
        is_foreign: Callable[[FoundPartition], bool],
    ) -> None:
        is_clean = directory.take_clean_shutdown()
        recovery_points = directory.read_checkpoint(data_directory.RECOVERY_POINTS)
        start_offsets = directory.read_checkpoint(data_directory.LOG_START_OFFSETS)
        cleaned_to = directory.read_cleaner_offsets()
        now_ms = self._clock.now_ms()
        expected_bytes = sum(
            bytes_to_check(found.path, recovery_points.get(found.key, 0))
            for found in partitions
            if not is_clean or found.key not in recovery_points
        )
        progress = RecoveryProgress(directory.path, self._clock, len(partitions), expected_bytes)
        for found in partitions:
            config = topic_config(found.topic)
            loader = LogLoader(
                self._files,
                found.path,
                config,
                now_ms=now_ms,
                log_start_offset=start_offsets.get(found.key, 0),
                recovery_point=recovery_points.get(found.key, 0),
                # A directory that came here since the last stop is in no checkpoint.
                is_clean=is_clean and found.key in recovery_points,
                # Its settings may have been other ones when it was compacted.
                may_have_gaps=found.key in cleaned_to,
                is_foreign=is_foreign(found),
                on_checked=progress.note_checked,
            )
            progress.note_loaded(self._load(found, config, loader))
        progress.finish()
        if not is_clean:
            for log in self._logs_in(directory):
                self.unclean[log.topic, log.partition] = log.leader_epoch

    def _load(self, found: FoundPartition, config: TopicConfig, loader: LogLoader) -> int:
        """Load a log, or refuse it; return how many bytes were cut behind its last whole batch."""
        try:
            loaded = loader.load()
        except DamagedLogError as error:
            _logger.error("log refused path=%s reason=%s", found.path, error)
            self.refused[found.key] = RefusedLog(str(error), config, found)
            return 0
        log = PartitionLog(
            found.directory,
            found.path,
            found.topic,
            found.topic_id,
            found.partition,
            config,
            loaded,
            on_advance=self._on_advance,
        )
        log.release_idle_files()
        self._logs[found.key] = log
        return loaded.cut_bytes

    def refuse(self, topic: str, partition: int, config: TopicConfig) -> None:
        """Do not make a log that is not there: it may be in a directory that is offline."""
        offline = [str(d.path) for d in self.directories if d.failure is not None]
        reason = f"{topic}-{partition} may be in {', '.join(offline)}, which is offline"
        self.refused[topic, partition] = RefusedLog(reason, config, None)

    def get(self, topic: str, partition: int) -> PartitionLog | None:
        """Return a partition's log, or None where this broker has none."""
        return self._logs.get((topic, partition))

    def all(self) -> Collection[PartitionLog]:
        """Return all logs."""
        return list(self._logs.values())  # others may be made meanwhile, in a worker thread

    def _logs_in(self, directory: DataDirectory) -> list[PartitionLog]:
        return _logs_in(directory, self._logs)

    def create(
        self, topic: str, topic_id: bytes, partition: int, config: TopicConfig
    ) -> PartitionLog:
        """Return the log of a partition, making its directory if there is none; idempotent.

        A log of another topic id is deleted first: since the start only logs of our own topics are
        open, so its topic was deleted. The new directory becomes durable with the first flush of
        the log: until then it holds nothing that was promised, and it is made anew from the
        metadata.

        Raises:
            KafkaError: KAFKA_STORAGE_ERROR if the disk failed, or the partition has a log that
                cannot be served (see `refused`) and must not be replaced by an empty one.
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
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, self.refused[key].reason)
        directory = self._pick_directory()
        path = directory.path / f"{topic}-{partition}"
        is_made = False
        try:
            directory.forget(key)
            self._remover.make_directory(path, key)
            is_made = True
            self._files.write_file(path / PARTITION_METADATA, format_partition_metadata(topic_id))
        except OSError as error:
            reason = f"cannot make {path}: {error.strerror or error}"
            if error.errno not in PASSING_ERRNOS:
                directory.fail(reason)
            elif is_made:  # another time, from the beginning
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
        path = log.path / PARTITION_METADATA
        try:
            self._files.replace_file(path, format_partition_metadata(topic_id))
        except OSError as error:
            reason = f"cannot write {path}: {error.strerror or error}"
            if error.errno not in PASSING_ERRNOS:
                log.directory.fail(reason)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, reason) from error
        log.topic_id = topic_id
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
        key = topic, partition
        refused = self.refused.pop(key, None)
        if refused is not None and refused.found is not None:
            found = refused.found
            if topic_id in (None, found.topic_id):
                self._delete_directory(found.directory, found.path, key, refused.config)
        log = self._logs.get(key)
        if log is None or (topic_id is not None and log.topic_id != topic_id):
            return
        del self._logs[key]
        # Closed first: a flush under way must not take the missing files for a failed disk.
        log.abandon()
        self._delete_directory(log.directory, log.path, key, log.config)

    def _delete_directory(
        self, directory: DataDirectory, path: Path, key: tuple[str, int], config: TopicConfig
    ) -> None:
        try:
            self._remover.delete(path, key, config.file_delete_delay_ms)
        except OSError as error:
            # `discard_remains` tries again.
            _logger.error("partition not deleted path=%s error=%s", path, error)
            if error.errno not in PASSING_ERRNOS:
                directory.fail(f"cannot rename {path}: {error.strerror or error}")

    def discard_remains(self, deleted: Mapping[bytes, str]) -> set[bytes]:
        """Look after deleted topics; blocks on the disk.

        A crash may undo the rename of a deleted directory, a failing disk may refuse it. What is
        left is renamed now, and the names are made durable.

        Args:
            deleted: Topic id -> name.

        Returns:
            The ids of which no directory is left: none while a directory is offline.
        """
        if len(self.working_directories) < len(self.directories):
            return set()
        gone = set(deleted)
        names = frozenset(deleted.values())
        for directory in self.directories:
            try:
                for found in list_directory(directory, names).partitions:
                    if found.topic_id not in deleted:
                        continue
                    if found.key in self._logs:  # somebody is about to delete it
                        gone.discard(found.topic_id)
                    else:
                        self._remover.delete(found.path, found.key, 0)
                self._files.sync_path(directory.path)
            except OSError as error:
                _logger.error(
                    "cannot look for remains directory=%s error=%s", directory.path, error
                )
                return set()
        return gone

    def housekeeping(
        self,
        logs: Iterable[PartitionLog],
        now_ms: int,
        *,
        producer_id_expiration_ms: int = 86_400_000,
    ) -> None:
        """Apply retention, forget idle producers, let go of idle files; in the event loop.

        Args:
            logs: Some at a time: the first look at a log reads a time index, which takes part of a
                millisecond.
            now_ms: Wall time.
            producer_id_expiration_ms: `producer.id.expiration.ms`.
        """
        for log in logs:
            try:
                removed = log.apply_retention(now_ms)
            except (KafkaError, DamagedSegmentError, OSError) as error:
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
        """Write the recovery points and high watermarks; in a worker thread."""
        for checkpoints in self._checkpoints:
            checkpoints.try_save(offset_checkpoints.progress_of, now_ms)

    def write_start_offsets(self, now_ms: int) -> None:
        """Write the log start offsets; in a worker thread."""
        for checkpoints in self._checkpoints:
            checkpoints.try_save(offset_checkpoints.start_offsets_of, now_ms)

    def checkpoints_of(self, log: PartitionLog) -> OffsetCheckpoints:
        """Return what writes down where a log starts."""
        (found,) = (c for c in self._checkpoints if c.directory is log.directory)
        return found

    def is_behind(self, now_ms: int) -> bool:
        """Whether `catch_up` has something to do; quick, in the event loop."""
        return (
            self._remover.is_due(now_ms)
            or any(log.is_removal_due(now_ms) for log in self.all())
            or any(map(offset_checkpoints.is_behind, self.all()))
        )

    def catch_up(self, now_ms: int) -> None:
        """Do what should not wait for the next checkpoint; in a worker thread.

        Recovery points of logs that have closed a segment are written, and files are removed
        whose delay is over.
        """
        for checkpoints in self._checkpoints:
            directory = checkpoints.directory
            if directory.failure is not None:
                continue
            logs = self._logs_in(directory)
            try:
                for log in logs:
                    log.remove_deleted_files(now_ms)
            except OSError as error:
                directory.fail(f"cannot remove files in {directory.path}: {error}")
            if any(map(offset_checkpoints.is_behind, logs)):
                checkpoints.try_save(offset_checkpoints.progress_of, now_ms)
        self._remover.remove_due(now_ms)

    def close(self) -> None:
        """Flush and close all logs; a start after this needs no recovery.

        Where that fails the start recovers, and `is_stop_incomplete` says so.
        """
        logs = self.all()
        # Most of it is waiting for syncs, of which a disk does many at a time.
        with (
            ThreadPoolExecutor(STOP_THREADS, "pykbroker-sync") as syncing,
            ThreadPoolExecutor(STOP_THREADS, "pykbroker-stop") as closing,
        ):
            is_closed = closing.map(lambda log: _close_log(log, syncing.map), logs)
            unclosed = {
                log.directory for log, done in zip(logs, is_closed, strict=True) if not done
            }
        for checkpoints in self._checkpoints:
            directory = checkpoints.directory
            if self._is_open and not checkpoints.finish(is_complete=directory not in unclosed):
                self.is_stop_incomplete = True
            directory.release()
        self._logs.clear()
        self._is_open = False


def _logs_in(
    directory: DataDirectory, logs: Mapping[tuple[str, int], PartitionLog]
) -> list[PartitionLog]:
    # Copied, as others may be made meanwhile, in another thread.
    return [log for log in list(logs.values()) if log.directory is directory]


def _refused_in(
    directory: DataDirectory, refused: Mapping[tuple[str, int], RefusedLog]
) -> set[tuple[str, int]]:
    return {
        key
        for key, log in list(refused.items())
        if log.found is not None and log.found.directory is directory
    }


def _close_log(log: PartitionLog, run: Runner) -> bool:
    """Close a log; tells whether all of it is on the disk."""
    try:
        log.close(run)
    except KafkaError as error:
        _logger.error("log not closed path=%s error=%s", log.path, error)
        return False
    return True
