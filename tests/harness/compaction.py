"""Logs to compact: segments of given batches in real files, jobs for them, and what is left."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pykbroker.protocol.record_batch import RecordBatch, iter_batches
from pykbroker.protocol.records import Record
from pykbroker.storage.cleaning_job import (
    CleanedSegment,
    CleaningJob,
    CleaningSummary,
    SourceSegment,
)
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.segment import (
    CLEANED_SUFFIX,
    LOG_SUFFIX,
    SEGMENT_SUFFIXES,
    Segment,
    file_name,
)
from pykbroker.storage.segment_cleaner import clean
from pykbroker.storage.transaction_index import AbortedTransaction, TransactionIndex
from tests.harness.batches import NOW_MS, a_batch, a_record
from tests.harness.logs import FaultyFiles

MAX_BYTES = 1 << 24
RETENTION_MS = 1000


def keyed(
    base_offset: int, *pairs: tuple[str | None, str | None], step: int = 1, **header: Any
) -> RecordBatch:
    """A batch of records by their (key, value), `step` offsets apart."""
    records = [
        a_record(
            base_offset + index * step,
            timestamp=NOW_MS + index,
            key=None if key is None else key.encode(),
            value=None if value is None else value.encode(),
        )
        for index, (key, value) in enumerate(pairs)
    ]
    return a_batch(base_offset, records=records, keep_offsets=True, **header)


def a_marker(
    offset: int, producer_id: int, *, commit: bool, epoch: int = 0, timestamp: int = NOW_MS
) -> RecordBatch:
    """The control batch that ends a transaction."""
    key = struct.pack(">hh", 0, 1 if commit else 0)
    record = a_record(offset, timestamp=timestamp, key=key, value=struct.pack(">hi", 0, 0))
    return a_batch(
        offset,
        records=[record],
        producer_id=producer_id,
        producer_epoch=epoch,
        is_transactional=True,
        is_control=True,
    )


def an_aborted(producer_id: int, first: int, last: int) -> AbortedTransaction:
    return AbortedTransaction(producer_id, first, last, last + 1)


def write_segment(
    directory: Path,
    base_offset: int,
    batches: Sequence[RecordBatch],
    next_offset: int | None = None,
    aborted: Sequence[AbortedTransaction] = (),
) -> SourceSegment:
    """Write a closed segment with its indexes."""
    segment = Segment(
        FaultyFiles(),
        directory,
        base_offset,
        max_index_bytes=10_000,
        index_interval_bytes=100,
        created_ms=NOW_MS,
    )
    segment.handle  # noqa: B018  makes the file of an empty one
    for batch in batches:
        segment.append(batch)
    segment.save_indexes()
    for entry in aborted:
        segment.transaction_index.append(entry)
    return SourceSegment(base_offset, next_offset or segment.next_offset, segment.size_bytes)


def a_job(directory: Path, *segments: SourceSegment, **changes: Any) -> CleaningJob:
    """A job over segments all of which are dirty."""
    job = CleaningJob(
        directory=str(directory),
        segments=segments,
        first_dirty_offset=segments[0].base_offset if segments else 0,
        end_offset=segments[-1].next_offset if segments else 0,
        now_ms=NOW_MS,
        active_producers={},
        segment_bytes=1 << 20,
        segment_index_bytes=10_000,
        index_interval_bytes=100,
        delete_retention_ms=RETENTION_MS,
        max_decompressed_bytes=MAX_BYTES,
        map_bytes=1 << 20,
        io_buffer_bytes=1000,
        io_max_bytes_per_second=1e300,
        fsync_enabled=True,
    )
    return replace(job, **changes)


def run(
    job: CleaningJob,
    files: FileLayer | None = None,
    swap: Callable[[CleaningJob, CleanedSegment], None] | None = None,
) -> tuple[list[CleanedSegment], CleaningSummary]:
    """Run a pass; what it wrote takes the place of its sources."""
    cleaned = []
    passes = clean(job, files or FaultyFiles())
    try:
        while True:
            segment = next(passes)
            (swap or swap_in)(job, segment)
            cleaned.append(segment)
    except StopIteration as end:
        return cleaned, end.value


def swap_in(job: CleaningJob, cleaned: CleanedSegment) -> None:
    """Put a cleaned segment in the place of its sources."""
    directory = Path(job.directory)
    for base_offset in cleaned.sources:
        for suffix in SEGMENT_SUFFIXES:
            (directory / file_name(base_offset, suffix)).unlink(missing_ok=True)
    for suffix in SEGMENT_SUFFIXES:
        name = file_name(cleaned.base_offset, suffix)
        path = directory / f"{name}{CLEANED_SUFFIX}"
        if path.exists():
            path.rename(directory / name)


def as_source(cleaned: CleanedSegment) -> SourceSegment:
    """The segment that a cleaned one has become."""
    return SourceSegment(cleaned.base_offset, cleaned.next_offset, cleaned.size_bytes)


def batches_of(directory: Path) -> list[RecordBatch]:
    """All batches of the log, checked."""
    found = []
    for path in sorted(directory.glob(f"*{LOG_SUFFIX}")):
        data = path.read_bytes()
        batches = list(iter_batches(data))
        assert sum(batch.size_bytes for batch in batches) == len(data), path
        for batch in batches:
            assert batch.is_crc_valid()
            assert batch.codec is not None
        found += batches
    assert [b.base_offset for b in found] == sorted(b.base_offset for b in found)
    return found


def records_of(directory: Path) -> list[Record]:
    """All records of the log, without control records."""
    return [
        record
        for batch in batches_of(directory)
        for record in batch.records(MAX_BYTES)
        if not batch.is_control
    ]


def values_of(directory: Path) -> dict[int, tuple[str | None, str | None]]:
    """Offset -> (key, value)."""
    return {
        record.offset: (_text(record.key), _text(record.value)) for record in records_of(directory)
    }


def aborted_of(directory: Path) -> list[AbortedTransaction]:
    """The entries of all `.txnindex` files."""
    return [
        entry
        for path in sorted(directory.glob("*.txnindex"))
        for entry in TransactionIndex(FaultyFiles(), path).entries()
    ]


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()
