"""One segment of a log: `.log`, `.index`, `.timeindex` and `.txnindex` with the same base offset.

Files are named by the base offset in twenty digits. The `.log` file is record batches end to end.
An entry goes into both indexes when more than `index.interval.bytes` were written since the last
one (Kafka's `LogSegment.append`); so the first batch never has one.

A batch is written by one `pwrite` at the tracked end. If that fails or is short, the tracked end
does not move and the torn bytes are cut or overwritten; after a crash, recovery cuts them.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage import offset_index, time_index
from pykbroker.storage.batch_scan import BatchPlace, DamagedSegmentError, locate, scan_headers
from pykbroker.storage.file_layer import FileHandle, FileLayer, KeptFile
from pykbroker.storage.file_slice import FileSlice
from pykbroker.storage.index_file import DamagedIndexError
from pykbroker.storage.offset_index import OffsetIndex
from pykbroker.storage.time_index import TimeIndex
from pykbroker.storage.transaction_index import TransactionIndex

MAX_RELATIVE_OFFSET: Final = 2**31 - 1
LOG_SUFFIX: Final = ".log"
OFFSET_INDEX_SUFFIX: Final = ".index"
TIME_INDEX_SUFFIX: Final = ".timeindex"
TRANSACTION_INDEX_SUFFIX: Final = ".txnindex"
SNAPSHOT_SUFFIX: Final = ".snapshot"
CLEANED_SUFFIX: Final = ".cleaned"  # behind the usual names while compaction writes a segment
INDEX_SUFFIXES: Final = (OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX)
SEGMENT_SUFFIXES: Final = (LOG_SUFFIX, *INDEX_SUFFIXES)

_RECENT_BATCHES: Final = 256
# Rebuilding is rare; the event loop and a worker thread must not do it to the same files at once.
_REBUILD_LOCK: Final = threading.Lock()
# Held while the indexes of a segment are made: two threads must not have different ones.
_INDEX_LOCK: Final = threading.Lock()


def file_name(offset: int, suffix: str) -> str:
    """Return Kafka's name for a file that belongs to an offset."""
    return f"{offset:020d}{suffix}"


class Segment:
    """A contiguous part of a log, the last one being appended to.

    Args:
        files: The file system.
        directory: The partition's directory.
        base_offset: First offset that may be in the segment.
        size_bytes: Bytes of the `.log` file that count.
        index_sizes: Sizes of the `.index` and `.timeindex` files; None where there is none.
        max_index_bytes: `segment.index.bytes`.
        index_interval_bytes: `index.interval.bytes`; may be changed later.
        created_ms: When it was made; counts for rolling where there are no timestamps.
        roll_jitter_ms: How much earlier than `segment.ms` it is rolled.
        file_suffix: What follows the usual names of the files (`.cleaned`).

    Attributes:
        next_offset: The offset after the last record.
        flushed_bytes: How much of the `.log` file is durable.
    """

    __slots__ = (
        "_directory",
        "_file",
        "_file_suffix",
        "_files",
        "_first_timestamp",
        "_index_sizes",
        "_indexes",
        "_is_pinned",
        "_is_rebuild_due",
        "_log_path",
        "_max_index_bytes",
        "_max_timestamp",
        "_recent",
        "_transaction_index",
        "base_offset",
        "created_ms",
        "flushed_bytes",
        "index_interval_bytes",
        "next_offset",
        "roll_jitter_ms",
        "size_bytes",
        "unindexed_bytes",
    )

    def __init__(
        self,
        files: FileLayer,
        directory: Path,
        base_offset: int,
        *,
        size_bytes: int = 0,
        index_sizes: tuple[int | None, int | None] = (None, None),
        max_index_bytes: int,
        index_interval_bytes: int,
        created_ms: int,
        roll_jitter_ms: int = 0,
        file_suffix: str = "",
    ) -> None:
        self._files = files
        self._directory = directory
        self._file_suffix = file_suffix
        self.base_offset = base_offset
        self.next_offset = base_offset
        self.size_bytes = size_bytes
        self.flushed_bytes = 0
        self.index_interval_bytes = index_interval_bytes
        self.created_ms = created_ms
        self.roll_jitter_ms = roll_jitter_ms
        self.unindexed_bytes = size_bytes
        self._log_path: Path | None = None
        self._file: KeptFile | None = None  # made when first used, as the indexes are
        self._is_pinned = False
        self._first_timestamp: int | None = None  # unknown until asked or appended
        self._max_timestamp: tuple[int, int] | None = (
            None if size_bytes else (time_index.NO_TIMESTAMP, base_offset)
        )
        self._recent: dict[int, int] = {}
        offset_bytes, time_bytes = index_sizes
        if size_bytes:
            self._is_rebuild_due = not (
                _is_whole(offset_bytes, offset_index.ENTRY_BYTES)
                and _is_whole(time_bytes, time_index.ENTRY_BYTES)
            )
        else:
            self._is_rebuild_due = bool(offset_bytes or time_bytes)
        self._max_index_bytes = max_index_bytes
        # Most segments of a broker are never asked for anything, so these are made when first used.
        self._index_sizes = (0, 0) if self._is_rebuild_due else index_sizes
        self._indexes: tuple[OffsetIndex, TimeIndex] | None = None
        self._transaction_index: TransactionIndex | None = None

    def _path(self, suffix: str) -> Path:
        return self._directory / file_name(self.base_offset, suffix + self._file_suffix)

    @property
    def path(self) -> Path:
        """The `.log` file."""
        path = self._log_path
        if path is None:
            path = self._log_path = self._path(LOG_SUFFIX)
        return path

    @property
    def offset_index(self) -> OffsetIndex:
        """The `.index` file."""
        return (self._indexes or self._make_indexes())[0]

    @property
    def time_index(self) -> TimeIndex:
        """The `.timeindex` file."""
        return (self._indexes or self._make_indexes())[1]

    @property
    def transaction_index(self) -> TransactionIndex:
        """The `.txnindex` file."""
        index = self._transaction_index
        return index if index is not None else self._make_transaction_index()

    def _make_indexes(self) -> tuple[OffsetIndex, TimeIndex]:
        with _INDEX_LOCK:
            if self._indexes is None:
                self._indexes = self._new_indexes(*self._index_sizes)
            return self._indexes

    def _make_transaction_index(self) -> TransactionIndex:
        with _INDEX_LOCK:
            if self._transaction_index is None:
                path = self._path(TRANSACTION_INDEX_SUFFIX)
                self._transaction_index = TransactionIndex(self._files, path)
            return self._transaction_index

    def _new_indexes(
        self, offset_bytes: int | None, time_bytes: int | None
    ) -> tuple[OffsetIndex, TimeIndex]:
        base_offset = self.base_offset
        return OffsetIndex(
            self._files,
            self._path(OFFSET_INDEX_SUFFIX),
            base_offset,
            max_bytes=self._max_index_bytes,
            saved_bytes=offset_bytes,
        ), TimeIndex(
            self._files,
            self._path(TIME_INDEX_SUFFIX),
            base_offset,
            max_bytes=self._max_index_bytes,
            saved_bytes=time_bytes,
        )

    @property
    def handle(self) -> FileHandle:
        """The open `.log` file; opened when first needed."""
        file = self._file or self._keep_file()
        # Only an empty segment may lack its file; one that was deleted must not come back.
        return file.handle or file.open(create=not self.size_bytes)

    def _keep_file(self) -> KeptFile:
        file = self._file = KeptFile(self._files, self.path)
        return file

    @property
    def is_open(self) -> bool:
        """Whether the `.log` file is open now."""
        return self._file is not None and self._file.handle is not None

    @property
    def is_unused(self) -> bool:
        """Whether nothing is in any of its files."""
        return not (self.size_bytes or self._is_rebuild_due)

    @property
    def max_timestamp(self) -> tuple[int, int]:
        """(Largest timestamp, last offset of the first batch that holds it); (-1, _) for none."""
        found = self._max_timestamp
        if found is None:
            found = self._time_entry(TimeIndex.last_entry)
            if self._is_exceeded(found):  # entries are gone
                self.rebuild_indexes()
                found = self.time_index.last_entry()
            self._max_timestamp = found
        return found

    @property
    def largest_timestamp(self) -> int:
        """Largest timestamp, or the file's time of change in ms where no record has one."""
        timestamp, _ = self.max_timestamp
        if timestamp >= 0:
            return timestamp
        try:
            return os.stat(self.path).st_mtime_ns // 1_000_000
        except FileNotFoundError:
            return self.created_ms

    @property
    def first_timestamp(self) -> int:
        """Largest timestamp of the first batch, or -1: what `segment.ms` is measured from."""
        timestamp = self._first_timestamp
        if timestamp is None:
            if not self.size_bytes:
                return time_index.NO_TIMESTAMP
            header = next(scan_headers(self.handle, self.path, 0, self.size_bytes))
            timestamp = self._first_timestamp = header.max_timestamp
        return timestamp

    def should_roll(
        self,
        batch: RecordBatch,
        last_offset: int,
        now_ms: int,
        *,
        segment_bytes: int,
        segment_ms: int,
    ) -> bool:
        """Tell whether `batch` must go into a new segment (Kafka's `LogSegment.shouldRoll`)."""
        size_bytes = self.size_bytes
        if size_bytes > segment_bytes - batch.size_bytes:
            return True
        if size_bytes:
            timestamp = self._first_timestamp
            if timestamp is None:
                timestamp = self.first_timestamp
            waited_ms = (
                batch.max_timestamp - timestamp if timestamp >= 0 else now_ms - self.created_ms
            )
            if waited_ms > segment_ms - self.roll_jitter_ms:
                return True
        offsets, times = self._indexes or self._make_indexes()
        return (
            last_offset - self.base_offset > MAX_RELATIVE_OFFSET or offsets.is_full or times.is_full
        )

    def append(self, batch: RecordBatch) -> int:
        """Append one batch that already carries its final offsets.

        Writes to the page cache only; durability is `PartitionLog.flush`.

        Returns:
            Position in bytes of the batch in the `.log` file.

        Raises:
            OSError: The disk refused. The segment is as before.
        """
        position = self.size_bytes
        handle = self.handle
        if self._max_timestamp is None:
            _ = self.max_timestamp  # reads the index, which must not fail once the batch is written
        size_bytes = batch.size_bytes
        try:
            self._files.write_fully(handle, batch.data, position)
        except OSError:
            # Best effort: what cannot be cut is overwritten, or cut by recovery.
            with contextlib.suppress(OSError):
                self._files.truncate(handle, position)
            raise
        base_offset = batch.base_offset
        self.note(position, size_bytes, base_offset + batch.last_offset_delta, batch.max_timestamp)
        recent = self._recent
        if len(recent) >= _RECENT_BATCHES:
            recent.clear()
        recent[base_offset] = position
        return position

    def note(self, position: int, size_bytes: int, last_offset: int, max_timestamp: int) -> None:
        """Count a batch that is in the file, and index it where it is due."""
        if not position:
            self._first_timestamp = max_timestamp
        highest = self._max_timestamp
        if highest is None:
            highest = self.max_timestamp
        if max_timestamp > highest[0]:
            highest = self._max_timestamp = max_timestamp, last_offset
        self.size_bytes = position + size_bytes
        self.next_offset = last_offset + 1
        if self.unindexed_bytes > self.index_interval_bytes:
            self.offset_index.append(last_offset, position)
            self.time_index.maybe_append(*highest)
            self.unindexed_bytes = 0
        self.unindexed_bytes += size_bytes

    def read(
        self,
        offset: int,
        max_bytes: int,
        *,
        up_to: int,
        at_least_one_batch: bool,
        nowait: bool = False,
    ) -> FileSlice | None:
        """Return the bytes from the batch that contains or follows `offset` on.

        Args:
            offset: First wanted offset; the batch that contains it is returned whole.
            max_bytes: The slice is cut there, if need be inside of a batch but the first.
            up_to: Batches that reach this offset are not returned.
            at_least_one_batch: Return the first batch even if it is larger than `max_bytes`.
            nowait: Only look at what is in the page cache.

        Returns:
            None when there is nothing from `offset` on; an empty slice when the first batch does
            not fit.

        Raises:
            BlockingIOError: `nowait`, and the disk would have to be asked.
            DamagedSegmentError: A header in the file cannot be right.
        """
        handle = self.handle
        end = self.size_bytes if up_to >= self.next_offset else None
        start = self._recent.get(offset)
        if start is not None and end is not None and max_bytes >= end - start:
            return FileSlice(handle, start, end - start, self.base_offset) if end > start else None
        end = self.size_bytes
        if up_to < self.next_offset:
            bound = self.locate(up_to, handle=handle, nowait=nowait)
            end = bound.position if bound is not None else end
        first = self.locate(offset, handle=handle, nowait=nowait)
        if first is None or first.position >= end:
            return None
        size_bytes = min(end - first.position, max_bytes)
        if first.size_bytes > max_bytes:
            size_bytes = first.size_bytes if at_least_one_batch else 0
        return FileSlice(handle, first.position, size_bytes, self.base_offset)

    def locate(
        self, offset: int, *, handle: FileHandle | None = None, nowait: bool = False
    ) -> BatchPlace | None:
        """Find the batch that contains `offset`, or else the first one after it.

        Raises:
            BlockingIOError: `nowait`, and the disk would have to be asked.
            DamagedSegmentError: A header in the file cannot be right.
        """
        self.ensure_indexes()
        handle = handle or self.handle
        recent = self._recent.get(offset)
        if recent is not None:
            return locate(handle, self.path, recent, self.size_bytes, offset, nowait=nowait)
        try:
            return self._locate_by_index(handle, offset, nowait)
        except DamagedIndexError:
            self.rebuild_indexes()
            return self._locate_by_index(handle, offset, nowait)

    def _locate_by_index(
        self, handle: FileHandle, offset: int, nowait: bool = False
    ) -> BatchPlace | None:
        last_offset, position = self.offset_index.floor(offset)
        return locate(
            handle,
            self.path,
            position,
            self.size_bytes,
            offset,
            nowait=nowait,
            index_offset=last_offset if position else None,
        )

    def floor_timestamp(self, timestamp: int) -> int:
        """Return an offset before which no record reaches `timestamp`.

        Raises:
            DamagedSegmentError: A header in the file cannot be right.
        """
        _, offset = self._time_entry(lambda index: index.floor(timestamp - 1))
        return offset

    def _time_entry(self, look_up: Callable[[TimeIndex], tuple[int, int]]) -> tuple[int, int]:
        """Return a (timestamp, offset) entry that is right, rebuilding the index if need be."""
        self.ensure_indexes()
        try:
            entry = look_up(self.time_index)
            if self._is_time_entry_right(entry):
                return entry
        except DamagedIndexError:
            pass
        self.rebuild_indexes()
        return look_up(self.time_index)

    def _is_time_entry_right(self, entry: tuple[int, int]) -> bool:
        """Whether a batch ends with the entry's offset and has its timestamp."""
        timestamp, offset = entry
        if timestamp < 0:
            return offset == self.base_offset  # no entry
        place = self.locate(offset)
        if place is None or place.last_offset != offset:
            return False
        header = next(scan_headers(self.handle, self.path, place.position, self.size_bytes))
        return header.max_timestamp == timestamp

    def _is_exceeded(self, entry: tuple[int, int]) -> bool:
        """Whether a batch from that of the last entry on has a larger timestamp than it says."""
        timestamp, offset = entry
        place = self.locate(offset) if self.size_bytes else None
        return place is not None and any(
            header.max_timestamp > timestamp
            for header in scan_headers(self.handle, self.path, place.position, self.size_bytes)
        )

    def ensure_indexes(self) -> None:
        """Rebuild the indexes if they were missing or of a wrong size.

        Wrong entries are noticed when they are used: each names a batch, which must be there.
        """
        if self._is_rebuild_due:
            self.rebuild_indexes()

    def rebuild_indexes(self) -> None:
        """Write both indexes anew from the headers in the log.

        They are replaced as a whole, so another thread may look something up meanwhile.

        Raises:
            DamagedSegmentError: The log itself is damaged. What is before the damage is indexed.
        """
        with _REBUILD_LOCK:
            if self._is_pinned:  # the files of that name are those of its successor
                raise DamagedSegmentError(self.path, 0, "its index is damaged, and it was replaced")
            self._is_rebuild_due = False
            offset_index, new_time_index = self._new_indexes(None, None)
            offset_index.clear()
            new_time_index.clear()
            highest = time_index.NO_TIMESTAMP, self.base_offset
            unindexed_bytes = 0
            try:
                for header in scan_headers(self.handle, self.path, 0, self.size_bytes):
                    if header.max_timestamp > highest[0]:
                        highest = header.max_timestamp, header.last_offset
                    if unindexed_bytes > self.index_interval_bytes:
                        offset_index.append(header.last_offset, header.position)
                        new_time_index.maybe_append(*highest)
                        unindexed_bytes = 0
                    unindexed_bytes += header.size_bytes
            finally:
                new_time_index.maybe_append(*highest)
                offset_index.save()
                new_time_index.save()
                with _INDEX_LOCK:
                    self._indexes = offset_index, new_time_index
                self._max_timestamp = highest

    def start_rebuild(self) -> int:
        """Forget what is known of the content; `note` then tells of each batch.

        Returns:
            The size in bytes that was counted until now.
        """
        size_bytes, self.size_bytes = self.size_bytes, 0
        self.next_offset = self.base_offset
        self.offset_index.clear()
        self.time_index.clear()
        self._max_timestamp = (time_index.NO_TIMESTAMP, self.base_offset)
        self._first_timestamp = None
        self._recent.clear()
        self._is_rebuild_due = False
        self.unindexed_bytes = 0
        return size_bytes

    def truncate(self, size_bytes: int) -> None:
        """Cut the `.log` file; the indexes must be rebuilt by the caller."""
        self._files.truncate(self.handle, size_bytes)
        self.size_bytes = size_bytes

    def save_indexes(self) -> None:
        """Write the indexes, with the final entry that a closed segment ends with."""
        timestamp, offset = self.max_timestamp
        self.time_index.maybe_append(timestamp, offset)
        self.offset_index.save()
        self.time_index.save()

    def load_tail(self) -> None:
        """After opening the last segment of a log: find its end, count what is not indexed.

        Raises:
            DamagedSegmentError: The last batch is torn.
        """
        self.ensure_indexes()
        if self.is_unused:
            return
        last_offset, position = self.offset_index.last_entry()
        if position:
            place = self.locate(last_offset)
            position = place.position if place is not None else 0
        self.unindexed_bytes = self.size_bytes - position
        for header in scan_headers(self.handle, self.path, position, self.size_bytes):
            self.next_offset = header.last_offset + 1

    def sync(self) -> None:
        """Make the batches that are in the `.log` file now durable; for a worker thread."""
        size_bytes = self.size_bytes
        if size_bytes > self.flushed_bytes:
            self._files.sync(self.handle)
            self.flushed_bytes = size_bytes

    def are_indexes_unsaved(self) -> bool:
        """Whether `save_indexes` would write anything."""
        timestamp, _ = self.max_timestamp
        return (
            self.offset_index.is_unsaved
            or self.time_index.is_unsaved
            or timestamp > self.time_index.last_entry()[0]
        )

    def position_before(self, position: int) -> int:
        """Return the start of a batch at or before `position`, in bytes."""
        self.ensure_indexes()
        try:
            offset = self.offset_index.floor_position(position)
        except DamagedIndexError:
            return 0
        place = self.locate(offset)
        return place.position if place is not None and place.position <= position else 0

    def pin(self) -> None:
        """Keep the files open for as long as the segment is used.

        Compaction is about to give their names to other files, while a worker thread may still be
        reading these.
        """
        self.ensure_indexes()
        self._is_pinned = True
        file = self._file or self._keep_file()
        file.is_pinned = True  # first, so that `release` does not undo what follows
        file.open(create=not self.size_bytes)
        self.offset_index.pin()
        self.time_index.pin()
        self.transaction_index.pin()

    def release(self) -> None:
        """Let go of the files; they are opened again when needed."""
        if self._is_pinned:
            return
        self._file = None
        if self._indexes is not None:
            for index in self._indexes:
                index.release()
        if self._transaction_index is not None:
            self._transaction_index.release()

    def existing_paths(self) -> list[Path]:
        """Return the files of the segment that exist."""
        paths = (self._path(suffix) for suffix in SEGMENT_SUFFIXES)
        return [path for path in paths if path.exists()]


def _is_whole(file_bytes: int | None, entry_bytes: int) -> bool:
    return file_bytes is not None and file_bytes % entry_bytes == 0
