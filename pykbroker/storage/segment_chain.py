"""The segments of one log, oldest first: how the chain grows, shrinks, is read and synced.

The last segment is active and takes the appends. The tuple of segments is replaced as a whole, so
that a worker thread may read or sync the one it has while the event loop changes the chain.
"""

import random
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.batch_scan import scan_batches
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.file_slice import DeferredSlice, FileSlice
from pykbroker.storage.partition_files import PartitionFiles
from pykbroker.storage.segment import Segment
from pykbroker.storage.segment_swap import begin_swap, discard_unfinished, finish_swap

_base_offset_of = attrgetter("base_offset")


class SegmentChain:
    """Owns the segments of one log.

    Args:
        file_layer: The file system.
        path: The partition's directory.
        files: Its small files, told of what is to be synced or deleted.
        segments: Oldest first, at least one.

    Attributes:
        all: The segments, oldest first.
        active: The last one.
    """

    __slots__ = ("_file_layer", "_files", "_is_closed", "_lock", "_path", "active", "all")

    def __init__(
        self,
        file_layer: FileLayer,
        path: Path,
        files: PartitionFiles,
        segments: Sequence[Segment],
    ) -> None:
        self._file_layer = file_layer
        self._path = path
        self._files = files
        self.all: tuple[Segment, ...] = tuple(segments)
        self.active = segments[-1]
        self._is_closed = False
        self._lock = threading.Lock()  # held while names in the directory change in a thread

    @property
    def size_bytes(self) -> int:
        """Bytes of all `.log` files."""
        return sum(segment.size_bytes for segment in self.all)

    def roll(self, base_offset: int, config: TopicConfig, now_ms: int) -> Segment:
        """Close the active segment and begin the one at `base_offset`.

        Raises:
            OSError: The disk refused; the chain is as before.
        """
        self._files.save_indexes(self.active)
        jitter_ms = min(config.segment_jitter_ms, config.segment_ms)
        segment = Segment(
            self._file_layer,
            self._path,
            base_offset,
            max_index_bytes=config.segment_index_bytes,
            index_interval_bytes=config.index_interval_bytes,
            created_ms=now_ms,
            roll_jitter_ms=random.randrange(jitter_ms) if jitter_ms > 0 else 0,
        )
        _ = segment.handle  # The file must exist, or a restart would not know the end offset.
        self._files.note_changed()
        self.all = (*self.all, segment)
        self.active = segment
        return segment

    def count_below(self, offset: int) -> int:
        """Return how many of the oldest segments hold nothing at or above `offset`."""
        return bisect_right([segment.base_offset for segment in self.all[1:]], offset)

    def remove_oldest(self, count: int, due_ms: int) -> None:
        """Take segments out of the chain; their files are deleted at `due_ms`.

        Raises:
            OSError: The disk refused to rename a file.
        """
        removed = self.all[:count]
        self.all = self.all[count:]
        for segment in removed:
            self._files.retire(segment, due_ms)

    def prepare_cleaning(self) -> None:
        """Have the files say all that a cleaner must know, and no more; for a worker thread.

        Raises:
            OSError: The disk refused, or the partition was deleted meanwhile.
        """
        with self._lock:
            self._check_not_closed()
            for segment in self.all:
                segment.transaction_index.save()
            discard_unfinished(self._file_layer, self._path)

    def swap_in(self, cleaned: Segment, sources: Sequence[Segment], due_ms: int) -> None:
        """Give a cleaned segment the files' names of its sources; for a worker thread.

        Readers have the sources until `replace` is called, in the event loop.

        Args:
            cleaned: Its files are there as `.cleaned`.
            sources: See `replace`; their files are deleted at `due_ms`.
            due_ms: Wall time.

        Raises:
            OSError: The disk refused, or the partition was deleted meanwhile.
        """
        base_offset = cleaned.base_offset
        with self._lock:
            self._check_not_closed()
            begin_swap(self._file_layer, self._path, base_offset)
        self._file_layer.sync_path(self._path)
        for segment in sources:
            segment.pin()
        with self._lock:
            self._check_not_closed()
            for segment in sources:
                is_first = segment.base_offset == base_offset
                self._files.retire(segment, due_ms, keep_snapshot=is_first)
        self._file_layer.sync_path(self._path)
        with self._lock:
            self._check_not_closed()
            finish_swap(self._file_layer, self._path, base_offset)
        self._files.note_changed()  # a start would do the last step again

    def _check_not_closed(self) -> None:
        # The path of a deleted partition may have become that of another one of this name.
        if self._is_closed:
            raise FileNotFoundError(f"{self._path} was deleted")

    def replace(self, sources: Sequence[Segment], cleaned: Segment) -> None:
        """Put a cleaned segment in the place of those that it was made from.

        Args:
            sources: Neighbours in the chain, none of them active.
            cleaned: Has the base offset of the first one.
        """
        index = self.all.index(sources[0])
        end = index + len(sources)
        assert self.all[index:end] == tuple(sources)
        assert end < len(self.all)
        self.all = (*self.all[:index], cleaned, *self.all[end:])

    def read(
        self, offset: int, max_bytes: int, *, up_to: int, at_least_one_batch: bool
    ) -> FileSlice | None:
        """Return the bytes from the batch that contains or follows `offset`; see `Segment.read`.

        Where the disk must be asked, that is left to whoever reads the slice.
        """
        segments = self.all
        first = len(segments) - 1
        if offset < segments[first].base_offset:
            first = max(bisect_right(segments, offset, key=_base_offset_of) - 1, 0)

        def find(*, nowait: bool) -> FileSlice | None:
            for segment in segments[first:]:
                if segment.base_offset >= up_to:
                    break
                found = segment.read(
                    offset,
                    max_bytes,
                    up_to=up_to,
                    at_least_one_batch=at_least_one_batch,
                    nowait=nowait,
                )
                if found is not None:
                    return found if found.size_bytes else None
                # Compaction may leave nothing at the end of a segment.
            return None

        try:
            return find(nowait=True)
        except BlockingIOError:
            if max_bytes <= 0 and not at_least_one_batch:
                return None
            estimate_bytes = max(min(max_bytes, segments[first].size_bytes), 1)
            return DeferredSlice(estimate_bytes, partial(find, nowait=False))

    def batches(self, offset: int, up_to: int) -> Iterator[RecordBatch]:
        """Yield the batches from the one that contains `offset` on; waits for the disk.

        Raises:
            DamagedSegmentError: Bytes of the log are not a batch.
        """
        for segment in self.all:
            if segment.next_offset <= offset:
                continue
            place = segment.locate(offset)
            if place is None:
                continue
            for _, batch in scan_batches(
                segment.handle, segment.path, place.position, segment.size_bytes
            ):
                if batch.base_offset >= up_to:
                    return
                yield batch

    def save_from(self, offset: int) -> None:
        """Write what the disk had no room for, in the segments from `offset` on.

        Raises:
            OSError: The disk refused.
        """
        for segment in self._from(offset):
            segment.transaction_index.save()

    def sync_from(self, offset: int) -> None:
        """Make the segments from the one that holds `offset` on durable; for a worker thread.

        Raises:
            OSError: The disk refused.
        """
        for segment in self._from(offset):
            try:
                segment.sync()
            except FileNotFoundError:
                if segment in self.all:  # else it was deleted meanwhile
                    raise

    def _from(self, offset: int) -> tuple[Segment, ...]:
        segments = self.all
        return segments[max(bisect_right(segments, offset, key=_base_offset_of) - 1, 0) :]

    def close(self) -> None:
        """Close all files for good: the partition is deleted, or the broker stops."""
        with self._lock:
            self._is_closed = True
        self.release()

    def release(self) -> None:
        """Close all files; they are opened again when needed."""
        for segment in self.all:
            segment.release()

    def release_closed(self) -> None:
        """Close the files of all segments but the active one."""
        for segment in self.all[:-1]:
            segment.release()
