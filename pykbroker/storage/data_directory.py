"""One entry of `log.dirs`: its lock, its identity, its checkpoint files, whether it still works.

Files at the top of a data directory (Kafka's names and formats, see `checkpoint`):

- `.lock`: held with `flock` while a broker uses the directory;
- `meta.properties`: which cluster and node the directory belongs to;
- `recovery-point-offset-checkpoint`: up to where each log is known to be durable;
- `log-start-offset-checkpoint`: start offsets other than 0;
- `replication-offset-checkpoint`: high watermarks;
- `cleaner-offset-checkpoint`: up to where each compacted log is clean;
- `.kafka_cleanshutdown`: the last stop was clean, recovery may be skipped; removed at start.
"""

import contextlib
import errno
import fcntl
import itertools
import logging
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from pykbroker.log_limit import RepeatLimit
from pykbroker.storage.checkpoint import (
    CheckpointFormatError,
    format_clean_shutdown,
    format_meta_properties,
    format_offsets,
    parse_meta_properties,
    parse_offsets,
)
from pykbroker.storage.file_layer import DESCRIPTOR_ERRNOS, FileHandle, FileLayer

RECOVERY_POINTS: Final = "recovery-point-offset-checkpoint"
LOG_START_OFFSETS: Final = "log-start-offset-checkpoint"
HIGH_WATERMARKS: Final = "replication-offset-checkpoint"
CLEANER_OFFSETS: Final = "cleaner-offset-checkpoint"
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"
LOCK: Final = ".lock"
META_PROPERTIES: Final = "meta.properties"
# What an operator may change so that a directory is not foreign any more.
_HOW_TO_KEEP: Final = {
    "cluster.id": "leave it out of log.dirs",
    "node.id": "set node.id to the number that it has",
}
_ADVICE: Final = (
    "its partitions answer KAFKA_STORAGE_ERROR to writes; repair the disk, then restart the broker"
)

_logger = logging.getLogger(__name__)


class DataDirectoryError(Exception):
    """A data directory cannot be used; the message names it and says why."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process uses the data directory."""


class ForeignDirectoryError(DataDirectoryError):
    """The data directory belongs to another cluster or node."""


class DataDirectory:
    """A directory of `log.dirs`.

    Attributes:
        path: Where it is.
        files: The file system layer for everything below it.
        repeats: Keeps log lines few while something fails again and again.
        failure: Why the directory is offline, or None. Set once, never cleared: what a failed
            fsync left behind is unknown (a later success says nothing about it).
    """

    __slots__ = (
        "_checkpoint_lock",
        "_entries_changed",
        "_entries_lock",
        "_entries_synced",
        "_known",
        "_lock",
        "_unsure",
        "failure",
        "files",
        "path",
        "repeats",
    )

    def __init__(self, path: Path, files: FileLayer) -> None:
        self.path = path
        self.files = files
        self.failure: str | None = None
        self.repeats = RepeatLimit()
        self._lock: FileHandle | None = None
        self._checkpoint_lock = threading.Lock()
        self._entries_lock = threading.Lock()
        self._entries_changed = itertools.count(1)
        self._entries_synced = 0
        # What each checkpoint file holds, as far as it is known.
        self._known: dict[str, dict[tuple[str, int], int]] = {}
        # The files that may hold something else, as their last write has failed.
        self._unsure: set[str] = set()

    def note_entry(self) -> int:
        """Count a directory that was made in this one; return what `sync_entries` takes."""
        return next(self._entries_changed)

    def sync_entries(self, change: int) -> None:
        """Make the names up to a change durable; in a worker thread.

        A stop asks for every log that is new: whoever waits meanwhile shares the next sync.

        Raises:
            OSError: The disk refused.
        """
        with self._entries_lock:
            if change <= self._entries_synced:
                return
            if self.failure is not None:  # a sync that failed must not be tried again
                raise OSError(errno.EIO, self.failure)
            covered = self.note_entry()
            try:
                self.files.sync_path(self.path)
            except OSError as error:
                if error.errno not in DESCRIPTOR_ERRNOS:
                    self.fail(f"cannot sync {self.path}: {error.strerror or error}")
                raise
            self._entries_synced = covered

    def fail(self, reason: str) -> None:
        """Take the directory offline and say so; the first reason is kept."""
        if self.failure is None:
            self.failure = reason
            _logger.error(
                "data directory offline directory=%s reason=%s advice=%s",
                self.path, reason, _ADVICE,
            )  # fmt: skip

    def acquire(self) -> None:
        """Make the directory if needed and lock it against other processes; idempotent.

        Raises:
            DataDirectoryInUseError: Another process holds the lock.
            DataDirectoryError: It cannot be made or written.
        """
        if self._lock is not None:
            return
        try:
            self._make()
            handle = self.files.open(self.path / LOCK, create=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataDirectoryError(f"cannot use data directory {self.path}: {reason}") from error
        try:
            fcntl.flock(handle.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataDirectoryInUseError(
                f"data directory {self.path} is in use by another process"
            ) from error
        self._lock = handle

    def _make(self) -> None:
        """Make what is missing of the path, durably: what it will hold is promised to survive."""
        missing = itertools.takewhile(
            lambda path: not path.exists(), (self.path, *self.path.parents)
        )
        for path in reversed(list(missing)):
            with contextlib.suppress(FileExistsError):  # another process was faster
                self.files.make_directory(path)
            self.files.sync_path(path.parent)

    def release(self) -> None:
        """Unlock the directory."""
        self._lock = None

    def ensure_identity(self, cluster_id: str, node_id: int) -> None:
        """Check whose directory this is; a new one becomes this cluster's and node's.

        Raises:
            ForeignDirectoryError: It belongs to another cluster or node.
            DataDirectoryError: Its `meta.properties` is damaged.
            OSError: The disk failed.
        """
        path = self.path / META_PROPERTIES
        try:
            properties = parse_meta_properties(path.read_bytes())
        except FileNotFoundError:
            text = format_meta_properties(cluster_id, node_id, uuid.uuid4().bytes)
            if not any(entry.is_dir() for entry in self.path.iterdir()):
                # Without this file a later start takes the logs in the directory for another's.
                self.write_checkpoints(lambda: [(RECOVERY_POINTS, {})])
            self.files.replace_file(path, text)
            return
        except CheckpointFormatError as error:
            raise DataDirectoryError(f"{path} is damaged: {error}") from error
        expected = {"cluster.id": cluster_id, "node.id": str(node_id)}
        for name, value in expected.items():
            found = properties.get(name, value)
            if found != value:
                raise ForeignDirectoryError(
                    f"data directory {self.path} belongs to {name}={found}, not {value}: "
                    f"{_HOW_TO_KEEP[name]}, or remove {path} to make its logs this broker's"
                )

    def read_cluster_id(self) -> str | None:
        """Return the cluster id in `meta.properties`, or None where there is none."""
        try:
            return parse_meta_properties((self.path / META_PROPERTIES).read_bytes()).get(
                "cluster.id"
            )
        except (FileNotFoundError, CheckpointFormatError):
            return None

    def take_clean_shutdown(self) -> bool:
        """Tell whether the last stop was clean, and forget it.

        The file must be gone before anything is written, or the next start would skip recovery.
        """
        path = self.path / CLEAN_SHUTDOWN
        if not path.exists():
            return False
        self.files.remove(path)
        self.files.sync_path(self.path)
        return True

    def write_clean_shutdown(self, broker_epoch: int = -1) -> None:
        """Say that everything has been written and synced."""
        self.files.replace_file(self.path / CLEAN_SHUTDOWN, format_clean_shutdown(broker_epoch))

    def read_checkpoint(self, name: str) -> dict[tuple[str, int], int]:
        """Return (topic, partition) -> offset; empty where there is no such file.

        Raises:
            DataDirectoryError: The file is damaged. Without recovery points nothing says which
                damage in a log is a crash's torn tail and which is lost data.
        """
        path = self.path / name
        try:
            offsets = parse_offsets(path.read_bytes())
        except FileNotFoundError:
            return {}
        except CheckpointFormatError as error:
            raise DataDirectoryError(
                f"{path} is damaged ({error}); remove it to have every log checked in full"
            ) from error
        self._known[name] = offsets
        return offsets

    def read_cleaner_offsets(self) -> dict[tuple[str, int], int]:
        """Return (topic, partition) -> up to where its log is clean.

        A damaged file costs only that logs are cleaned from their start on.
        """
        try:
            return self.read_checkpoint(CLEANER_OFFSETS)
        except DataDirectoryError as error:
            _logger.warning("compacted logs are cleaned from their start on reason=%s", error)
            return {}

    def checkpointed(self, name: str, key: tuple[str, int]) -> int | None:
        """Return what a checkpoint file has for (topic, partition); None for nothing."""
        return self._known.get(name, {}).get(key)

    def write_checkpoints(
        self,
        gather: Callable[[], Iterable[tuple[str, Mapping[tuple[str, int], int]]]],
        keep: Collection[tuple[str, int]] = (),
    ) -> None:
        """Replace checkpoint files, durably; those that would not change are left alone.

        May be called from several threads. The files are synced together: on a slow disk each
        sync is a noticeable part of a stop.

        Args:
            gather: Returns what is to be in which file; called when no older write can follow.
            keep: The partitions whose entries stay as they are.

        Raises:
            OSError: The disk refused.
        """
        with self._checkpoint_lock:
            changed: dict[str, dict[tuple[str, int], int]] = {}
            for name, offsets in gather():
                known = self._known.get(name)
                kept = {key: known[key] for key in keep if key in known} if known else {}
                wanted = {**kept, **offsets}
                if known != wanted or name in self._unsure:
                    changed[name] = wanted
            self._unsure.update(changed)
            self.files.replace_files(
                {self.path / name: format_offsets(offsets) for name, offsets in changed.items()}
            )
            self._known.update(changed)
            self._unsure.difference_update(changed)

    def forget(self, key: tuple[str, int]) -> None:
        """Take a partition that is gone out of the checkpoints, durably.

        Its offsets must not be taken for those of a new partition of the same name.

        Raises:
            OSError: The disk refused.
        """
        # A copy: others may write a checkpoint for the first time meanwhile.
        if any(key in known for known in list(self._known.values())):
            self.write_checkpoints(
                lambda: [
                    (name, {other: at for other, at in known.items() if other != key})
                    for name, known in self._known.items()
                ]
            )
