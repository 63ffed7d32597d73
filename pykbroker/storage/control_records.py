"""What a control record says (Kafka's `ControlRecordType` and `EndTransactionMarker`).

The key is an int16 version and an int16 type; the value of a transaction marker is an int16 version
and the int32 epoch of the coordinator that wrote it. The other types belong to KRaft's own log.
"""

import struct
from typing import Final, NamedTuple

from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record

ABORT: Final = "ABORT"
COMMIT: Final = "COMMIT"

_TYPES: Final = (
    ABORT,
    COMMIT,
    "LEADER_CHANGE",
    "SNAPSHOT_HEADER",
    "SNAPSHOT_FOOTER",
    "KRAFT_VERSION",
    "KRAFT_VOTERS",
)
_KEY: Final = struct.Struct(">hh")
_MARKER: Final = struct.Struct(">hi")
_VERSION: Final = 0


class ControlRecord(NamedTuple):
    """A control record.

    Attributes:
        name: Its type; a type that is not known by its number.
        coordinator_epoch: Of the coordinator that ended the transaction, None for other types.
    """

    name: str
    coordinator_epoch: int | None


def marker_batch(
    producer_id: int,
    producer_epoch: int,
    *,
    is_commit: bool,
    coordinator_epoch: int,
    now_ms: int,
    is_append_time: bool = False,
) -> RecordBatch:
    """Return the batch that ends a transaction, as Kafka writes it but for offset and leader epoch.

    Args:
        producer_id: Whose transaction it is.
        producer_epoch: The epoch to put into it.
        is_commit: Whether the transaction is committed, or aborted.
        coordinator_epoch: Leader epoch of the transaction coordinator's partition.
        now_ms: The record's timestamp.
        is_append_time: Whether the topic's timestamps are the broker's.
    """
    key = _KEY.pack(_VERSION, _TYPES.index(COMMIT if is_commit else ABORT))
    record = Record(0, now_ms, key, _MARKER.pack(_VERSION, coordinator_epoch))
    return RecordBatch.parse(
        build_batch(
            [record],
            log_append_time_ms=now_ms if is_append_time else None,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            is_transactional=True,
            is_control=True,
        )
    )


def read_control_record(record: Record) -> ControlRecord | None:
    """Return what a record of a control batch says, None if it is malformed."""
    if record.key is None or len(record.key) < _KEY.size:
        return None
    _, number = _KEY.unpack_from(record.key)
    if not 0 <= number < len(_TYPES):
        return ControlRecord(str(number), None)
    if _TYPES[number] not in (ABORT, COMMIT):
        return ControlRecord(_TYPES[number], None)
    if record.value is None or len(record.value) < _MARKER.size:
        return None
    _, coordinator_epoch = _MARKER.unpack_from(record.value)
    return ControlRecord(_TYPES[number], coordinator_epoch)
