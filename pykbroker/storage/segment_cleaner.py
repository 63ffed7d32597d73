"""One pass of compaction over the files of a log: reads its segments and writes cleaned ones.

1. The keys of the dirty part go into an offset map, up to its end or until the map is full.
2. All segments up to there, the clean ones too, are read in groups of at most `segment.bytes`. What
   is left of a group becomes one new segment, in files with `.cleaned` behind their names.
3. Each new segment is complete and durable when the caller gets it. The caller puts it in the place
   of its sources and asks for the next one.

The rules are in `compaction`, those of Kafka's `Cleaner`. Its `groupSegmentsBySize` decides what
becomes one segment. Nothing is changed but `.cleaned` files.

Unlike Kafka's cleaner, this one checks the checksum of each batch that it reads, and that offsets
ascend. Damage ends the pass with an error: nothing is dropped in silence.
"""

import os
import re
import struct
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Final

from pykbroker.protocol.compression import Buffer
from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_batch import MAX_TIMESTAMP_POSITION, RecordBatch
from pykbroker.storage.batch_scan import DamagedSegmentError, scan_batches
from pykbroker.storage.cleaned_transactions import CleanedTransactions, control_type
from pykbroker.storage.cleaning_job import (
    CleanedSegment,
    CleaningJob,
    CleaningSummary,
    SourceSegment,
)
from pykbroker.storage.compaction import BatchCleaner, CleaningStats, check_batch, put_keys
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.offset_map import OffsetMap
from pykbroker.storage.segment import (
    CLEANED_SUFFIX,
    LOG_SUFFIX,
    MAX_RELATIVE_OFFSET,
    OFFSET_INDEX_SUFFIX,
    TIME_INDEX_SUFFIX,
    TRANSACTION_INDEX_SUFFIX,
    Segment,
    file_name,
)
from pykbroker.storage.transaction_index import AbortedTransaction, TransactionIndex

_TRANSACTION_INDEX_NAME: Final = re.compile(r"\d{20}" + re.escape(TRANSACTION_INDEX_SUFFIX))
_MAX_TIMESTAMP: Final = struct.Struct(">q")
_THROTTLE_BYTES: Final = 1 << 17


def clean(
    job: CleaningJob,
    files: FileLayer,
    *,
    throttle: Callable[[int], None] = lambda size_bytes: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Generator[CleanedSegment, None, CleaningSummary]:
    """Clean a log: yields each new segment when its files may take the place of its sources.

    The files are durable, their names are not: the caller syncs the directory. A segment that was
    yielded is the caller's to rename or to delete. If the pass fails, or is closed while it writes,
    the files that it was writing are removed.

    Args:
        job: What to clean.
        files: Where to write.
        throttle: Told of every so many bytes read or written, and of 0 before each new segment;
            may wait, or raise to end the pass.
        monotonic: Seconds, for the summary.

    Raises:
        DamagedSegmentError: What is in a source cannot be right.
        FileNotFoundError: A source is not there any more.
        OSError: The disk refused.
    """
    started = monotonic()
    cleaner = _LogCleaner(job, files, throttle)
    end_offset = cleaner.build_map()
    map_seconds = monotonic() - started
    sources = [segment for segment in job.segments if segment.base_offset < end_offset]
    if end_offset == job.first_dirty_offset:
        sources = []  # there is nothing new that could replace anything
    for group in group_segments(
        sources,
        max_bytes=job.segment_bytes,
        max_index_bytes=job.segment_index_bytes,
        index_sizes=cleaner.index_sizes,
    ):
        yield cleaner.clean_group(group)
    return CleaningSummary(
        clean_end_offset=end_offset,
        map_entries=len(cleaner.offset_map),
        map_utilization=cleaner.offset_map.utilization,
        map_bytes_read=cleaner.map_bytes_read,
        map_seconds=map_seconds,
        seconds=monotonic() - started,
        stats=cleaner.stats,
    )


def group_segments(
    segments: Sequence[SourceSegment],
    *,
    max_bytes: int,
    max_index_bytes: int,
    index_sizes: Callable[[SourceSegment], tuple[int, int]],
) -> Iterator[list[SourceSegment]]:
    """Put together what fits one segment (Kafka's `Cleaner.groupSegmentsBySize`).

    What is left of them is at most as large, so that segments do not get ever smaller and more.
    An empty segment joins at any distance: it has no offset that would have to fit 32 bits.

    Args:
        segments: In the order of their offsets.
        max_bytes: For all `.log` files of a group, unless it is a single one.
        max_index_bytes: For the indexes of each kind.
        index_sizes: Returns the sizes of the `.index` and the `.timeindex` file.
    """
    group: list[SourceSegment] = []
    size_bytes = offset_index_bytes = time_index_bytes = 0
    for segment in segments:
        more_offset_index, more_time_index = index_sizes(segment)
        fits = (
            size_bytes + segment.size_bytes <= max_bytes
            and offset_index_bytes + more_offset_index <= max_index_bytes
            and time_index_bytes + more_time_index <= max_index_bytes
        )
        if group and fits:
            last_offset = segment.next_offset - 1
            fits = (
                not segment.size_bytes or last_offset - group[0].base_offset <= MAX_RELATIVE_OFFSET
            )
        if group and not fits:
            yield group
            group = []
            size_bytes = offset_index_bytes = time_index_bytes = 0
        group.append(segment)
        size_bytes += segment.size_bytes
        offset_index_bytes += more_offset_index
        time_index_bytes += more_time_index
    if group:
        yield group


class _LogCleaner:
    """The state of one pass."""

    __slots__ = (
        "_aborted",
        "_batch_cleaner",
        "_directory",
        "_files",
        "_job",
        "_throttle",
        "_transactions",
        "_unthrottled_bytes",
        "map_bytes_read",
        "offset_map",
    )

    def __init__(self, job: CleaningJob, files: FileLayer, throttle: Callable[[int], None]) -> None:
        self._job = job
        self._files = files
        self._throttle = throttle
        self._unthrottled_bytes = 0
        self._directory = Path(job.directory)
        self.map_bytes_read = 0
        self.offset_map = OffsetMap(job.map_bytes)
        # All are read now: swaps replace the files of the segments that are cleaned first.
        self._aborted = self._aborted_transactions()
        self._transactions = CleanedTransactions(self._aborted)
        self._batch_cleaner = BatchCleaner(
            self.offset_map,
            self._transactions,
            now_ms=job.now_ms,
            delete_retention_ms=job.delete_retention_ms,
            end_offset=job.end_offset,
            active_producers=job.active_producers,
            max_decompressed_bytes=job.max_decompressed_bytes,
        )

    @property
    def stats(self) -> CleaningStats:
        """What became of the records so far."""
        return self._batch_cleaner.stats

    def index_sizes(self, source: SourceSegment) -> tuple[int, int]:
        """Return the sizes of a source's `.index` and `.timeindex` file; 0 for none."""
        return (
            _size_of(self._path(source, OFFSET_INDEX_SUFFIX)),
            _size_of(self._path(source, TIME_INDEX_SUFFIX)),
        )

    def build_map(self) -> int:
        """Put the keys of the dirty part into the map; returns the offset up to which they are."""
        job = self._job
        offset_map = self.offset_map
        first_offset = job.first_dirty_offset
        transactions = CleanedTransactions(
            entry for entry in self._aborted if entry.last_offset >= first_offset
        )

        def put(batch: RecordBatch) -> bool:
            if batch.last_offset < first_offset:
                return True
            self.map_bytes_read += batch.size_bytes
            if batch.is_control:
                transactions.on_control(batch, control_type(batch, job.max_decompressed_bytes))
            elif not transactions.on_data(batch) and not put_keys(
                offset_map, batch, first_offset, job.max_decompressed_bytes
            ):
                return False
            offset_map.latest_offset = batch.last_offset
            return True

        for source in job.segments:
            if source.next_offset <= first_offset:
                continue
            if not self._visit(source, put):
                break
            # No offset may be left for the next pass only because nothing has it.
            offset_map.latest_offset = source.next_offset - 1
        return max(first_offset, offset_map.latest_offset + 1)

    def clean_group(self, group: Sequence[SourceSegment]) -> CleanedSegment:
        """Write what is left of some sources into one new segment."""
        self._throttle(0)
        target = Segment(
            self._files,
            self._directory,
            group[0].base_offset,
            max_index_bytes=self._job.segment_index_bytes,
            index_interval_bytes=self._job.index_interval_bytes,
            created_ms=self._job.now_ms,
            file_suffix=CLEANED_SUFFIX,
        )
        self._remove(target)
        is_complete = False
        try:
            cleaned = self._write(target, group)
            is_complete = True
        finally:
            if not is_complete:
                target.release()
                self._remove(target)
        return cleaned

    def _write(self, target: Segment, group: Sequence[SourceSegment]) -> CleanedSegment:
        files = self._files
        handle = target.handle  # makes the file
        pieces: list[Buffer] = []
        waiting_bytes = 0

        def flush() -> None:
            nonlocal waiting_bytes
            if pieces:
                data = b"".join(pieces)
                files.write_fully(handle, data, target.size_bytes - waiting_bytes)
                pieces.clear()
                waiting_bytes = 0
                self._throttle(len(data))

        def keep(batch: RecordBatch) -> bool:
            nonlocal waiting_bytes
            data = self._batch_cleaner.clean(batch)
            if data is not None:
                size_bytes = len(data)
                (max_timestamp,) = _MAX_TIMESTAMP.unpack_from(data, MAX_TIMESTAMP_POSITION)
                target.note(target.size_bytes, size_bytes, batch.last_offset, max_timestamp)
                pieces.append(data)
                waiting_bytes += size_bytes
                if waiting_bytes >= self._job.io_buffer_bytes:
                    flush()
            return True

        for source in group:
            self._visit(source, keep)
        flush()
        for entry in self._transactions.take_retained():
            target.transaction_index.append(entry)
        target.save_indexes()
        timestamp, offset = target.max_timestamp
        target.release()
        # Where no record has a timestamp, retention goes by the time of change.
        modified_ns = os.stat(self._path(group[-1], LOG_SUFFIX)).st_mtime_ns
        paths = target.existing_paths()
        for path in paths:
            files.set_modified(path, modified_ns)
            files.sync_path(path)
        return CleanedSegment(
            base_offset=target.base_offset,
            sources=tuple(source.base_offset for source in group),
            next_offset=group[-1].next_offset,
            size_bytes=target.size_bytes,
            offset_index_bytes=target.offset_index.saved_bytes,
            time_index_bytes=target.time_index.saved_bytes,
            has_transaction_index=target.transaction_index.path in paths,
            largest_timestamp=timestamp,
            largest_timestamp_offset=offset,
        )

    def _visit(self, source: SourceSegment, visit: Callable[[RecordBatch], bool]) -> bool:
        """Show all batches of a source to `visit` until it returns False; returns its last answer.

        Raises:
            DamagedSegmentError: A batch cannot be right.
        """
        path = self._path(source, LOG_SUFFIX)
        next_offset = source.base_offset
        handle = self._files.open(path)
        for position, batch in scan_batches(handle, path, 0, source.size_bytes):
            try:
                check_batch(batch, next_offset)
                is_wanted = visit(batch)
            except CorruptBatchError as error:
                raise DamagedSegmentError(path, position, str(error)) from error
            next_offset = batch.last_offset + 1
            self._unthrottled_bytes += batch.size_bytes
            if self._unthrottled_bytes >= _THROTTLE_BYTES:
                self._throttle(self._unthrottled_bytes)
                self._unthrottled_bytes = 0
            if not is_wanted:
                return False
        return True

    def _aborted_transactions(self) -> list[AbortedTransaction]:
        """Read the aborted transactions that overlap with what is cleaned.

        The marker of one of them may be in a later segment than its records, even in the active
        one, and so is its entry.
        """
        job = self._job
        first_offset = job.segments[0].base_offset if job.segments else 0
        return [
            entry
            for name in sorted(os.listdir(self._directory))
            if _TRANSACTION_INDEX_NAME.fullmatch(name)
            for entry in TransactionIndex(self._files, self._directory / name).entries()
            if entry.last_offset >= first_offset and entry.first_offset < job.end_offset
        ]

    def _path(self, source: SourceSegment, suffix: str) -> Path:
        return self._directory / file_name(source.base_offset, suffix)

    def _remove(self, target: Segment) -> None:
        for path in target.existing_paths():
            self._files.remove(path)


def _size_of(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
