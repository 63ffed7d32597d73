"""What a compaction leaves of a batch (pure).

The rules are those of Kafka's `Cleaner` and `MemoryRecords.filterTo`:

- A record stays if it is the latest of its key, and if it lies behind what the offset map knows. A
  record without a key goes.
- The data of aborted transactions goes.
- A tombstone (no value) and a transaction marker that nothing needs any more stay for
  `delete.retention.ms`, so that a reader on its way through the log sees them. The pass that finds
  them so writes the time when they may go into the batch, in place of the base timestamp, and sets
  the attribute for it (KIP-534). A pass after that time removes them.
- A batch of which nothing stays goes too. It remains as a header without records if it is the last
  one of an active producer, whose sequence and epoch would be lost, or if it is the last one of the
  range, whose end would be.
- A batch of which all stays is not touched. Any other keeps its offsets, its last offset delta
  (which is also its last sequence), its codec and its kind of timestamps.

Deviation from Kafka: the records that stay are copied as they are, and so is the base timestamp.
Kafka writes them anew, with the first one's timestamp as the base. That makes no difference to
those who read the records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pykbroker.protocol.compression import Buffer, Codec, compress
from pykbroker.protocol.errors import CorruptBatchError
from pykbroker.protocol.record_batch import (
    CODEC_MASK,
    DELETE_HORIZON,
    KNOWN_ATTRIBUTES,
    MAGIC,
    RecordBatch,
)
from pykbroker.protocol.record_scan import copy_records, iter_keys
from pykbroker.protocol.records import NO_TIMESTAMP
from pykbroker.storage.cleaned_transactions import CleanedTransactions, control_type
from pykbroker.storage.offset_map import OffsetMap

_MAX_INT64: Final = (1 << 63) - 1


class LastRecord(NamedTuple):
    """What an active producer wrote last (Kafka's `LastRecord`).

    Attributes:
        epoch: The producer's epoch.
        last_data_offset: The last offset of its last batch of data, None if it wrote only markers.
    """

    epoch: int
    last_data_offset: int | None


@dataclass(slots=True)
class CleaningStats:
    """What happened to the batches so far; empty batches count as no records.

    Attributes:
        invalid_records: Removed because they have no key.
        pending_batches: Kept batches whose tombstones or markers may go later.
        next_horizon_ms: When the first of them may; None without any.
    """

    bytes_read: int = 0
    bytes_kept: int = 0
    records_read: int = 0
    records_kept: int = 0
    invalid_records: int = 0
    pending_batches: int = 0
    next_horizon_ms: int | None = None


class _Kept(NamedTuple):
    """The records of a batch that stay.

    Attributes:
        parts: (start, end) of each group of them in the payload.
        records: How many.
        has_tombstones: Whether any of them has no value.
    """

    parts: list[tuple[int, int]]
    records: int
    has_tombstones: bool


def put_keys(
    offset_map: OffsetMap, batch: RecordBatch, first_offset: int, max_decompressed_bytes: int
) -> bool:
    """Put the keys of a batch of data into the map, those from `first_offset` on.

    Returns:
        False when the map is full.

    Raises:
        CorruptBatchError: The records cannot be read.
    """
    base_offset = batch.base_offset
    for columns in iter_keys(bytes(batch.decompressed(max_decompressed_bytes)), batch.record_count):
        keys = columns.keys
        offsets = _offsets(base_offset, columns.offset_deltas)
        if offsets[0] < first_offset:
            dirty = [pair for pair in zip(keys, offsets, strict=True) if pair[1] >= first_offset]
            if not dirty:
                continue
            keys = [key for key, _ in dirty]
            offsets = [offset for _, offset in dirty]
        if not offset_map.put(keys, offsets, columns.longest_key_bytes):
            return False
    return True


class BatchCleaner:
    """Cleans the batches of a log one after the other, from its start on.

    Args:
        offset_map: The latest offset of each key.
        transactions: What is known of the transactions.
        now_ms: When the pass began.
        delete_retention_ms: `delete.retention.ms`.
        end_offset: Where the range to clean ends. Its last batch is never removed as a whole.
        active_producers: Producer id -> what it wrote last.
        max_decompressed_bytes: No batch may decompress to more.

    Attributes:
        stats: What happened so far.
    """

    __slots__ = (
        "_delete_retention_ms",
        "_end_offset",
        "_max_decompressed_bytes",
        "_now_ms",
        "_offset_map",
        "_producers",
        "_transactions",
        "stats",
    )

    def __init__(
        self,
        offset_map: OffsetMap,
        transactions: CleanedTransactions,
        *,
        now_ms: int,
        delete_retention_ms: int,
        end_offset: int,
        active_producers: Mapping[int, LastRecord],
        max_decompressed_bytes: int,
    ) -> None:
        self._offset_map = offset_map
        self._transactions = transactions
        self._now_ms = now_ms
        self._delete_retention_ms = delete_retention_ms
        self._end_offset = end_offset
        self._producers = active_producers
        self._max_decompressed_bytes = max_decompressed_bytes
        self.stats = CleaningStats()

    def clean(self, batch: RecordBatch) -> Buffer | None:
        """Return what is left of a batch, None if nothing is.

        Raises:
            CorruptBatchError: The records cannot be read.
        """
        stats = self.stats
        stats.bytes_read += batch.size_bytes
        stats.records_read += batch.record_count
        is_due = batch.has_delete_horizon and batch.base_timestamp <= self._now_ms
        if batch.is_control:
            kind = control_type(batch, self._max_decompressed_bytes)
            is_discardable = self._transactions.on_control(batch, kind)
            keeps_records = not (is_discardable and is_due)
            is_marker_pending = is_discardable
        else:
            keeps_records = not self._transactions.on_data(batch)
            is_marker_pending = False

        kept = _Kept([], 0, False)
        payload = b""
        if keeps_records and batch.record_count:
            payload = bytes(batch.decompressed(self._max_decompressed_bytes))
            if batch.is_control:
                kept = _Kept([(0, len(payload))], batch.record_count, False)
            else:
                kept = self._filter(batch, payload, are_tombstones_due=is_due)
        if kept.records:
            is_pending = is_marker_pending or kept.has_tombstones
            cleaned = self._with(batch, payload, kept, is_pending)
        elif self._is_needed(batch):
            cleaned = _emptied(batch)
        else:
            return None
        stats.records_kept += kept.records
        stats.bytes_kept += len(cleaned)
        return cleaned

    def _is_needed(self, batch: RecordBatch) -> bool:
        """Whether the header of the batch says something that must not be lost."""
        if batch.last_offset + 1 == self._end_offset:
            return True
        last = self._producers.get(batch.producer_id) if batch.has_producer_id else None
        if last is None:
            return False
        if last.last_data_offset is not None:
            return batch.last_offset == last.last_data_offset
        return batch.is_control and batch.producer_epoch == last.epoch

    def _filter(self, batch: RecordBatch, payload: bytes, *, are_tombstones_due: bool) -> _Kept:
        """Find the records that stay."""
        parts: list[tuple[int, int]] = []
        count = 0
        has_tombstones = False
        latest_offset = self._offset_map.latest_offset
        for columns in iter_keys(payload, batch.record_count):
            offsets = _offsets(batch.base_offset, columns.offset_deltas)
            flags = self._offset_map.retained(columns.keys, offsets, columns.longest_key_bytes)
            if columns.has_null_key:
                self.stats.invalid_records += sum(
                    key is None and offset <= latest_offset
                    for key, offset in zip(columns.keys, offsets, strict=True)
                )
            for index in columns.nulls:
                if flags[index]:
                    if are_tombstones_due and offsets[index] <= latest_offset:
                        flags[index] = 0
                    else:
                        has_tombstones = True
            count += flags.count(1)
            first = flags.find(1)
            while first >= 0:
                behind = flags.find(0, first)
                last = (behind if behind >= 0 else len(flags)) - 1
                start = columns.ends[first - 1] if first else columns.start
                if parts and parts[-1][1] == start:
                    start = parts.pop()[0]
                parts.append((start, columns.ends[last]))
                first = flags.find(1, behind) if behind >= 0 else -1
        return _Kept(parts, count, has_tombstones)

    def _with(self, batch: RecordBatch, payload: bytes, kept: _Kept, is_pending: bool) -> Buffer:
        """The batch with the records that stay, and with a delete horizon if it needs one."""
        horizon_ms = batch.base_timestamp if batch.has_delete_horizon else None
        needs_horizon = False
        if is_pending and horizon_ms is None:
            horizon_ms = self._now_ms + self._delete_retention_ms
            needs_horizon = horizon_ms <= _MAX_INT64  # else they stay forever
        if is_pending and horizon_ms is not None and horizon_ms <= _MAX_INT64:
            stats = self.stats
            stats.pending_batches += 1
            if stats.next_horizon_ms is None or horizon_ms < stats.next_horizon_ms:
                stats.next_horizon_ms = horizon_ms
        if kept.records == batch.record_count and not needs_horizon:
            return batch.data

        attributes = batch.attributes & KNOWN_ATTRIBUTES
        base_timestamp = batch.base_timestamp
        if needs_horizon and horizon_ms is not None:
            attributes |= DELETE_HORIZON
            base_timestamp = horizon_ms
        records, largest_delta = copy_records(
            payload, kept.parts, timestamp_shift=batch.base_timestamp - base_timestamp
        )
        max_timestamp = batch.max_timestamp
        if not batch.is_log_append_time:
            max_timestamp = max(NO_TIMESTAMP, batch.base_timestamp + largest_delta)
        if batch.codec is not Codec.NONE:
            records = compress(batch.codec, records)
        return batch.with_records(
            records,
            attributes=attributes,
            base_timestamp=base_timestamp,
            max_timestamp=max_timestamp,
            record_count=kept.records,
        )


def check_batch(batch: RecordBatch, next_offset: int) -> None:
    """Check what can be told without reading the records.

    Args:
        batch: A batch from a `.log` file.
        next_offset: No offset of it may be smaller.

    Raises:
        CorruptBatchError: The batch cannot be right.
    """
    if batch.magic != MAGIC:
        raise CorruptBatchError(f"a batch of magic {batch.magic} cannot be compacted")
    if not batch.is_crc_valid():
        raise CorruptBatchError("the checksum is wrong")
    if batch.base_offset < next_offset or batch.last_offset_delta < 0:
        raise CorruptBatchError(f"offset {batch.base_offset} after {next_offset - 1}")


def _offsets(base_offset: int, deltas: Sequence[int]) -> Sequence[int]:
    if isinstance(deltas, range):
        return range(base_offset + deltas.start, base_offset + deltas.stop)
    return [base_offset + delta for delta in deltas]


def _emptied(batch: RecordBatch) -> Buffer:
    """The batch without records: its offsets, its producer and its largest timestamp stay."""
    if not batch.record_count:
        return batch.data
    return batch.with_records(
        b"",
        attributes=batch.attributes & KNOWN_ATTRIBUTES & ~CODEC_MASK & ~DELETE_HORIZON,
        base_timestamp=NO_TIMESTAMP,
        max_timestamp=batch.max_timestamp,
        record_count=0,
    )
