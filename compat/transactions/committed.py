"""What a reader of committed records sees, worked out from single Fetch answers.

Nothing of a client library is in between: the aborted transactions that the broker names, and the
markers, decide which batches count.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pykbroker.client import Connection, check
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from pykbroker.protocol.record_batch import RecordBatch, iter_batches

READ_COMMITTED = 1
ABORT_MARKER = 0
MANY_BYTES = 1_000_000
_CONTROL_KEY = struct.Struct(">hh")


@dataclass(frozen=True, slots=True)
class Read:
    """A committed record."""

    offset: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """The committed records of a stretch of a log, and where it ends."""

    records: list[Read]
    end: int
    stable_offset: int
    end_offset: int


def fetch_committed(
    connection: Connection, topic: str, partition: int, offset: int, max_bytes: int = MANY_BYTES
) -> Stretch:
    """One Fetch from an offset, without waiting."""
    wanted = FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=max_bytes)
    request = FetchRequest(
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=max_bytes,
        isolation_level=READ_COMMITTED,
        topics=[FetchTopic(topic=topic, partitions=[wanted])],
    )
    (found,) = connection.call(request, FetchResponse).responses[0].partitions
    check(found.error_code)
    batches = list(iter_batches(found.records or b""))
    end = batches[-1].last_offset + 1 if batches else offset
    records = [each for each in _visible(found, batches) if each.offset >= offset]
    return Stretch(records, end, found.last_stable_offset, found.high_watermark)


def read_committed(
    connection: Connection, topic: str, partition: int, offset: int = 0
) -> tuple[list[Read], int]:
    """All committed records from an offset on, and the offset behind them."""
    records: list[Read] = []
    while True:
        stretch = fetch_committed(connection, topic, partition, offset)
        records += stretch.records
        if stretch.end == offset or stretch.end >= stretch.stable_offset:
            return records, stretch.end
        offset = stretch.end


def _visible(found: PartitionData, batches: list[RecordBatch]) -> Iterator[Read]:
    aborted = sorted(
        found.aborted_transactions or (), key=lambda each: each.first_offset, reverse=True
    )
    hidden: set[int] = set()
    for batch in batches:
        while aborted and aborted[-1].first_offset <= batch.last_offset:
            hidden.add(aborted.pop().producer_id)
        if batch.is_control:
            if _is_abort(batch):
                hidden.discard(batch.producer_id)
        elif not (batch.is_transactional and batch.producer_id in hidden):
            for record in batch.records(MANY_BYTES):
                yield Read(record.offset, record.value or b"")


def _is_abort(batch: RecordBatch) -> bool:
    (record,) = batch.records(MANY_BYTES)
    _, kind = _CONTROL_KEY.unpack(record.key or b"")
    return bool(kind == ABORT_MARKER)
