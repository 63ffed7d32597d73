"""What a compaction is told and what it answers: plain values, which travel as JSON (pure).

A job goes to the process that compacts (`compaction_worker`), one line each; the answers come back
as lines too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pykbroker.storage.compaction import CleaningStats, LastRecord


@dataclass(frozen=True, slots=True)
class SourceSegment:
    """A segment to clean; the active one never is.

    Attributes:
        next_offset: The base offset of the segment behind it.
        size_bytes: Bytes of the `.log` file that count.
    """

    base_offset: int
    next_offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CleaningJob:
    """One pass over one log.

    Attributes:
        directory: The partition's directory.
        segments: From the log's first one up to the last one before `end_offset`.
        first_dirty_offset: What lies before has been cleaned: no key is there twice.
        end_offset: The first offset that must not be cleaned; where a segment begins. Transactions
            that have records before it are complete.
        now_ms: Wall time; delete horizons are measured from it and against it.
        active_producers: Producer id -> what it wrote last.
        segment_bytes: `segment.bytes`: sources are merged up to it.
        segment_index_bytes: `segment.index.bytes`.
        index_interval_bytes: `index.interval.bytes`.
        delete_retention_ms: `delete.retention.ms`.
        max_decompressed_bytes: A batch that decompresses to more is taken for damaged.
        map_bytes: Memory for the offset map: `log.cleaner.dedupe.buffer.size`, times
            `log.cleaner.io.buffer.load.factor`, for each cleaner thread.
        io_buffer_bytes: How much is written at once.
        io_max_bytes_per_second: `log.cleaner.io.max.bytes.per.second`, read and written together.
        fsync_enabled: Whether the new files are made durable.
    """

    directory: str
    segments: tuple[SourceSegment, ...]
    first_dirty_offset: int
    end_offset: int
    now_ms: int
    active_producers: Mapping[int, LastRecord]
    segment_bytes: int
    segment_index_bytes: int
    index_interval_bytes: int
    delete_retention_ms: int
    max_decompressed_bytes: int
    map_bytes: int
    io_buffer_bytes: int
    io_max_bytes_per_second: float
    fsync_enabled: bool


@dataclass(frozen=True, slots=True)
class CleanedSegment:
    """Complete and durable files (`.cleaned`) that may take the place of their sources.

    Attributes:
        base_offset: The first source's.
        sources: The base offsets of what it replaces; at least one.
        next_offset: The last source's.
        size_bytes: Size of the `.log` file, which may be 0.
        offset_index_bytes: Size of the `.index` file.
        time_index_bytes: Size of the `.timeindex` file.
        has_transaction_index: Whether there is a `.txnindex` file.
        largest_timestamp: In milliseconds; -1 for none.
        largest_timestamp_offset: The last offset of the first batch that holds it.
    """

    base_offset: int
    sources: tuple[int, ...]
    next_offset: int
    size_bytes: int
    offset_index_bytes: int
    time_index_bytes: int
    has_transaction_index: bool
    largest_timestamp: int
    largest_timestamp_offset: int


@dataclass(frozen=True, slots=True)
class CleaningSummary:
    """A pass that is over.

    Attributes:
        clean_end_offset: The next first dirty offset. It lies before the job's `end_offset` if the
            offset map was full.
        map_entries: How many keys the dirty part had.
        map_utilization: Which part of the map's memory they took, from 0 to 1.
        map_bytes_read: What was read to find them.
        map_seconds: How long that took.
        seconds: How long all of it took, with the time that the caller needed in between.
        stats: What became of the records.
    """

    clean_end_offset: int
    map_entries: int
    map_utilization: float
    map_bytes_read: int
    map_seconds: float
    seconds: float
    stats: CleaningStats


def to_json(message: CleaningJob | CleanedSegment | CleaningSummary) -> dict[str, Any]:
    """Return what `json.dumps` takes."""
    return asdict(message)


def job_from_json(fields: Mapping[str, Any]) -> CleaningJob:
    """Read what `to_json` made of a job and JSON of that."""
    return CleaningJob(
        **{
            **fields,
            "segments": tuple(SourceSegment(**segment) for segment in fields["segments"]),
            "active_producers": {
                int(producer_id): LastRecord(*last)
                for producer_id, last in fields["active_producers"].items()
            },
        }
    )


def cleaned_from_json(fields: Mapping[str, Any]) -> CleanedSegment:
    """Read what `to_json` made of a cleaned segment and JSON of that."""
    return CleanedSegment(**{**fields, "sources": tuple(fields["sources"])})


def summary_from_json(fields: Mapping[str, Any]) -> CleaningSummary:
    """Read what `to_json` made of a summary and JSON of that."""
    return CleaningSummary(**{**fields, "stats": CleaningStats(**fields["stats"])})
