"""Finding records by time in the segments of a log.

The time index narrows the search to a batch; then the records of that batch are read, because a
batch's header tells only its largest timestamp (Kafka's `LogSegment.findOffsetByTimestamp`,
`UnifiedLog.fetchOffsetByTimestamp`). All of this reads the disk and may run in a worker thread.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pykbroker.protocol.record_batch import MAX_SEQUENCE, RecordBatch
from pykbroker.storage.batch_scan import BatchHeader, DamagedSegmentError, scan_headers
from pykbroker.storage.producer_state import ProducedBatch
from pykbroker.storage.segment import Segment

# Records that were accepted can be read back: produce limits what a batch may decompress to.
DECOMPRESSED_LIMIT_BYTES: Final = 1 << 30
# Where a producer's older batches are looked for: more than five batches of the usual size.
_HISTORY_BYTES: Final = 1 << 20


class TimestampedOffset(NamedTuple):
    """A record found by time."""

    offset: int
    timestamp: int
    leader_epoch: int


def find_timestamp(
    segments: Sequence[Segment], timestamp: int, start_offset: int, up_to: int
) -> TimestampedOffset | None:
    """Find the first record from `start_offset` on, below `up_to`, at or after `timestamp`."""
    for segment in segments:
        if segment.max_timestamp[0] < timestamp or segment.next_offset <= start_offset:
            continue
        for header in _headers_from_timestamp(segment, timestamp, start_offset):
            if header.base_offset >= up_to:
                return None
            if header.max_timestamp < timestamp or header.last_offset < start_offset:
                continue
            for record in read_batch(segment, header).records(DECOMPRESSED_LIMIT_BYTES):
                if record.offset >= up_to:
                    return None
                if record.timestamp >= timestamp and record.offset >= start_offset:
                    return TimestampedOffset(record.offset, record.timestamp, header.leader_epoch)
    return None


def find_max_timestamp(
    segments: Sequence[Segment], start_offset: int, up_to: int
) -> TimestampedOffset | None:
    """Find the first record with the largest timestamp among those in [start offset, up to).

    Usually that is in the batch that the time index names. If that batch reaches outside of the
    range, or no record has a time, all headers are looked at.
    """
    best = max(segments, key=lambda segment: segment.max_timestamp[0])
    timestamp, last_offset = best.max_timestamp
    place = best.locate(last_offset) if timestamp >= 0 else None
    if place is not None and place.base_offset >= start_offset and place.last_offset < up_to:
        headers = scan_headers(best.handle, best.path, place.position, best.size_bytes)
        return _max_in_batch(best, next(headers), start_offset, up_to)
    return _scan_for_max(segments, start_offset, up_to)


def _scan_for_max(
    segments: Sequence[Segment], start_offset: int, up_to: int
) -> TimestampedOffset | None:
    found: TimestampedOffset | None = None
    for segment in segments:
        if segment.next_offset <= start_offset or segment.base_offset >= up_to:
            continue
        for header in scan_headers(segment.handle, segment.path, 0, segment.size_bytes):
            if header.base_offset >= up_to:
                break
            if header.last_offset < start_offset:
                continue
            if found is None or header.max_timestamp > found.timestamp:
                candidate = _max_in_batch(segment, header, start_offset, up_to)
                if candidate and (found is None or candidate.timestamp > found.timestamp):
                    found = candidate
    return found


def _max_in_batch(
    segment: Segment, header: BatchHeader, start_offset: int, up_to: int
) -> TimestampedOffset | None:
    found: TimestampedOffset | None = None
    for record in read_batch(segment, header).records(DECOMPRESSED_LIMIT_BYTES):
        if not start_offset <= record.offset < up_to:
            continue
        if found is None or record.timestamp > found.timestamp:
            found = TimestampedOffset(record.offset, record.timestamp, header.leader_epoch)
    return found


def _headers_from_timestamp(
    segment: Segment, timestamp: int, start_offset: int
) -> Iterator[BatchHeader]:
    """Yield headers from the first batch on that may reach `timestamp`."""
    place = segment.locate(max(segment.floor_timestamp(timestamp), start_offset))
    if place is None:
        return iter(())
    return scan_headers(segment.handle, segment.path, place.position, segment.size_bytes)


def find_produced(
    segments: Sequence[Segment], producer_id: int, producer_epoch: int
) -> list[ProducedBatch]:
    """Return a producer's batches near the end of the log, in order."""
    found: list[ProducedBatch] = []
    skip_bytes = sum(segment.size_bytes for segment in segments) - _HISTORY_BYTES
    for segment in segments:
        if skip_bytes >= segment.size_bytes:
            skip_bytes -= segment.size_bytes
            continue
        start = segment.position_before(skip_bytes) if skip_bytes > 0 else 0
        skip_bytes = 0
        for header in scan_headers(segment.handle, segment.path, start, segment.size_bytes):
            if header.producer_id == producer_id and header.producer_epoch == producer_epoch:
                found.append(
                    ProducedBatch(
                        header.base_sequence,
                        (header.base_sequence + header.last_offset - header.base_offset)
                        & MAX_SEQUENCE,
                        header.base_offset,
                        header.last_offset,
                        header.max_timestamp,
                    )
                )
    return found


def read_batch(segment: Segment, header: BatchHeader) -> RecordBatch:
    """Read one batch whole.

    Raises:
        DamagedSegmentError: It is not in the file as its header says.
    """
    data = os.pread(segment.handle.fd, header.size_bytes, header.position)
    if len(data) < header.size_bytes:
        raise DamagedSegmentError(segment.path, header.position, "a batch is cut off")
    return RecordBatch.parse(data)
