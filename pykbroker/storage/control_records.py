"""What a control record says (Kafka's `ControlRecordType` and `EndTransactionMarker`).

The key is an int16 version and an int16 type; the value of a transaction marker is an int16 version
and the int32 epoch of the coordinator that wrote it. The other types belong to KRaft's own log.
"""

import struct
from typing import Final, NamedTuple

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


class ControlRecord(NamedTuple):
    """A control record.

    Attributes:
        name: Its type; a type that is not known by its number.
        coordinator_epoch: Of the coordinator that ended the transaction, None for other types.
    """

    name: str
    coordinator_epoch: int | None


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
