"""A partition's files that hold no records, and what is still to be synced or deleted.

- `leader-epoch-checkpoint`, `partition.metadata`: see `checkpoint`;
- `<offset>.snapshot`: producer state at a segment's start or at the log's end;
- `*.deleted`: segments that are gone for readers, and removed after `file.delete.delay.ms`.

Small files are written in the event loop, into the page cache; the next flush of the log makes them
durable together with the records. The queues are deques, because their ends are atomic: the event
loop appends while a worker thread takes.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

from pykbroker.storage.checkpoint import format_leader_epochs
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.file_layer import PASSING_ERRNOS
from pykbroker.storage.leader_epoch_cache import LeaderEpochCache
from pykbroker.storage.producer_state import ProducerStateManager
from pykbroker.storage.segment import SNAPSHOT_SUFFIX, Segment, file_name
from pykbroker.storage.transaction_index import AbortedTransaction

LEADER_EPOCHS: Final = "leader-epoch-checkpoint"
PARTITION_METADATA: Final = "partition.metadata"
DELETED_SUFFIX: Final = ".deleted"
Runner: TypeAlias = Callable[[Callable[[Path], None], Iterable[Path]], Iterable[None]]


class PartitionFiles:
    """Writes the small files of one partition's directory.

    Args:
        directory: The data directory.
        path: The partition's directory.
        snapshot_offsets: The producer snapshots that exist, ascending.
    """

    __slots__ = (
        "_deleted",
        "_directory",
        "_entry",
        "_files",
        "_path",
        "_snapshot_offsets",
        "_unsynced",
    )

    def __init__(self, directory: DataDirectory, path: Path, snapshot_offsets: list[int]) -> None:
        self._directory = directory
        self._files = directory.files
        self._entry = 0  # the change of the data directory that is to be synced
        self._path = path
        self._snapshot_offsets = snapshot_offsets
        self._unsynced: deque[Path] = deque()
        self._deleted: deque[tuple[int, Path]] = deque()  # when, which

    def has_snapshot(self, offset: int) -> bool:
        """Whether there is a snapshot of the producer state at `offset`."""
        return offset in self._snapshot_offsets

    def save_snapshot(self, producers: ProducerStateManager, offset: int) -> None:
        """Write the producer state, which is that at `offset`."""
        path = self._path / file_name(offset, SNAPSHOT_SUFFIX)
        self._files.replace_file(path, producers.encode_snapshot(), durable=False)
        self._unsynced.extend((path, self._path))
        if offset not in self._snapshot_offsets:
            self._snapshot_offsets.append(offset)

    def save_epochs(self, epochs: LeaderEpochCache) -> None:
        """Write the leader epochs."""
        path = self._path / LEADER_EPOCHS
        self._files.replace_file(path, format_leader_epochs(epochs.entries), durable=False)
        self._unsynced.extend((path, self._path))

    def save_indexes(self, segment: Segment) -> None:
        """Write the indexes of a segment that takes no more batches."""
        segment.save_indexes()
        self._unsynced.extend((segment.offset_index.path, segment.time_index.path, self._path))

    def note_created(self) -> None:
        """Have the next sync make a new partition's directory and its id durable."""
        self._unsynced.extend((self._path / PARTITION_METADATA, self._path))
        self._entry = self._directory.note_entry()

    def note_recovered(self, segments: Iterable[Segment]) -> None:
        """Have the next sync make durable what a process wrote that was killed, or recovery did.

        Args:
            segments: Those that recovery has looked at.
        """
        self.note_created()
        self._unsynced.append(self._path / LEADER_EPOCHS)
        for segment in segments:
            self._unsynced.extend(segment.existing_paths())
            self._unsynced.append(self._path / file_name(segment.base_offset, SNAPSHOT_SUFFIX))

    def save_aborted(self, segment: Segment, aborted: AbortedTransaction) -> None:
        """Write an entry of a transaction index, or keep it until there is room.

        Raises:
            OSError: The disk failed.
        """
        index = segment.transaction_index
        self._unsynced.extend((index.path, self._path))
        try:
            index.append(aborted)
        except OSError as error:
            if error.errno not in PASSING_ERRNOS:
                raise

    def note_changed(self) -> None:
        """Have the next sync make the names in the directory durable."""
        self._unsynced.append(self._path)

    def retire(self, segment: Segment, due_ms: int, *, keep_snapshot: bool = False) -> None:
        """Rename a segment's files to `.deleted`, to be removed at `due_ms`.

        Args:
            segment: Not used for new reads any more, or pinned.
            due_ms: Wall time.
            keep_snapshot: Another segment with the same base offset follows.
        """
        paths = segment.existing_paths()
        if segment.base_offset in self._snapshot_offsets and not keep_snapshot:
            self._snapshot_offsets.remove(segment.base_offset)
            paths.append(self._path / file_name(segment.base_offset, SNAPSHOT_SUFFIX))
        for path in paths:
            deleted = path.with_name(path.name + DELETED_SUFFIX)
            self._files.rename(path, deleted)
            self._deleted.append((due_ms, deleted))
        self.note_changed()

    def is_removal_due(self, now_ms: int) -> bool:
        """Whether the time of a retired file has come."""
        return bool(self._deleted) and self._deleted[0][0] <= now_ms

    def remove_retired(self, now_ms: int) -> None:
        """Delete the files whose time has come; for a worker thread."""
        while self._deleted and self._deleted[0][0] <= now_ms:
            _, path = self._deleted.popleft()
            self._files.remove(path)

    def sync(self, run: Runner = map) -> None:
        """Make what was written until now durable; for a worker thread.

        Args:
            run: Calls a function with each item; `Executor.map` does it in several threads.
        """
        # What is added meanwhile is left for the next time, even if its name is among these.
        paths = [self._unsynced.popleft() for _ in range(len(self._unsynced))]
        try:
            deque(run(self._sync_path, dict.fromkeys(paths)), maxlen=0)
            self._directory.sync_entries(self._entry)
        except OSError:
            self._unsynced.extend(paths)
            raise

    def _sync_path(self, path: Path) -> None:
        # A file may have been deleted or renamed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            self._files.sync_path(path)
