"""Which aborted transactions a consumer with `read_committed` must know of to read some bytes.

Kafka's `UnifiedLog.collectAbortedTransactions`: those whose marker is at or behind the fetch offset
and whose first offset is below an upper bound of what is read. The bound is the offset of the first
entry of the offset index behind the bytes, else the start of the next segment, else the end of the
log, so the bytes need not be looked into. The entries are in the `.txnindex` files from the fetch
offset's segment on; the first whose last stable offset reaches the bound ends the search.

Only segments that have entries are looked at, and a reader behind the last marker looks at none.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from pykbroker.storage.file_slice import FileSlice
from pykbroker.storage.segment import Segment
from pykbroker.storage.transaction_index import AbortedTransaction


class AbortedTransactions:
    """The aborted transactions of a log, as long as it has these segments.

    A read that is finished in a worker thread keeps the one of its beginning: compaction may
    meanwhile put other segments in the place of those that are read.

    Args:
        segments: Oldest first.

    Raises:
        OSError: The disk refused.
    """

    __slots__ = ("_indexed", "segments")

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments
        self._indexed = [each for each in segments if each.transaction_index.last_offset >= 0]

    def note(self, segment: Segment) -> None:
        """Take in the active segment, of which a transaction index has got an entry."""
        if not self._indexed or self._indexed[-1] is not segment:
            self._indexed.append(segment)

    def may_overlap(self, fetch_offset: int) -> bool:
        """Whether there is an abort marker at or behind the fetch offset."""
        indexed = self._indexed
        return bool(indexed) and indexed[-1].transaction_index.last_offset >= fetch_offset

    def find(self, fetch_offset: int, up_to: int) -> list[AbortedTransaction]:
        """Return the transactions that may have records in [fetch offset, up_to).

        Raises:
            OSError: The disk refused.
        """
        found: list[AbortedTransaction] = []
        first = bisect_left(self._indexed, fetch_offset, key=_last_marker_of)
        for segment in self._indexed[first:]:
            entries, is_complete = segment.transaction_index.collect(fetch_offset, up_to)
            found += entries
            if is_complete:
                break
        return found

    def upper_bound(self, read: FileSlice, log_end_offset: int) -> int:
        """Return an offset that no record of some bytes reaches.

        Args:
            read: Bytes of one of the segments.
            log_end_offset: Where the log ends.

        Raises:
            OSError: The disk refused.
        """
        following = bisect_right(self.segments, read.base_offset, key=_base_offset_of)
        index = self.segments[following - 1].offset_index
        offset = index.offset_from_position(read.end_position)
        if offset is not None:
            return offset
        return _start_of(self.segments, following, log_end_offset)


def _start_of(segments: Sequence[Segment], number: int, log_end_offset: int) -> int:
    return segments[number].base_offset if number < len(segments) else log_end_offset


def _base_offset_of(segment: Segment) -> int:
    return segment.base_offset


def _last_marker_of(segment: Segment) -> int:
    return segment.transaction_index.last_offset
