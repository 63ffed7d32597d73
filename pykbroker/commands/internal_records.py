"""What the records of `__consumer_offsets` and `__transaction_state` mean.

A key is an int16 type and the fields of that type's key; a value is an int16 version and the fields
of that version. All types of Kafka 4.3 are read, those that this broker never writes too. The
modules of the types are imported when a record of theirs is met.
"""

import struct
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, Final

from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.records import Record
from pykbroker.protocol.uuids import UUID_BYTES, uuid_to_text

CONSUMER_OFFSETS: Final = "__consumer_offsets"
TRANSACTION_STATE: Final = "__transaction_state"
INTERNAL_TOPICS: Final = (CONSUMER_OFFSETS, TRANSACTION_STATE)

# Type -> the schema's name. Type 0 has the fields of type 1; brokers before 0.9 wrote it.
_GROUP_TYPES: Final = {
    0: "OffsetCommit",
    1: "OffsetCommit",
    2: "GroupMetadata",
    3: "ConsumerGroupMetadata",
    4: "ConsumerGroupPartitionMetadata",
    5: "ConsumerGroupMemberMetadata",
    6: "ConsumerGroupTargetAssignmentMetadata",
    7: "ConsumerGroupTargetAssignmentMember",
    8: "ConsumerGroupCurrentMemberAssignment",
    10: "ShareGroupMemberMetadata",
    11: "ShareGroupMetadata",
    12: "ShareGroupTargetAssignmentMetadata",
    13: "ShareGroupTargetAssignmentMember",
    14: "ShareGroupCurrentMemberAssignment",
    15: "ShareGroupStatePartitionMetadata",
    16: "ConsumerGroupRegularExpression",
    17: "StreamsGroupMetadata",
    19: "StreamsGroupMemberMetadata",
    20: "StreamsGroupTargetAssignmentMetadata",
    21: "StreamsGroupTargetAssignmentMember",
    22: "StreamsGroupCurrentMemberAssignment",
    23: "StreamsGroupTopology",
}
_TRANSACTION_TYPES: Final = {0: "TransactionLog"}
_TRANSACTION_STATES: Final = (
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
)
_INT16: Final = struct.Struct(">h")
_KEY_VERSION: Final = 0


def decode_internal_record(topic: str, record: Record) -> dict[str, Any]:
    """Return the type, key and value of a record of an internal topic as plain values.

    Raises:
        ProtocolError: The record is of no type that is known, or not what its type says.
    """
    types = _GROUP_TYPES if topic == CONSUMER_OFFSETS else _TRANSACTION_TYPES
    number = _int16(record.key)
    if number not in types:
        raise ProtocolError(f"there is no record type {number}")
    name = types[number]
    key = _decode(name, "Key", record.key or b"", _KEY_VERSION)
    if record.value is None:
        return {"type": name, "key": key, "value": None}
    version = _int16(record.value)
    value = _decode(name, "Value", record.value, version)
    status = value.get("transaction_status")
    if isinstance(status, int) and 0 <= status < len(_TRANSACTION_STATES):
        value["transaction_status"] = _TRANSACTION_STATES[status]
    return {"type": name, "key": key, "version": version, "value": value}


def _decode(name: str, part: str, data: bytes, version: int) -> dict[str, Any]:
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    module = import_module(f"pykbroker.protocol.messages.{words.lstrip('_')}_record")
    message = getattr(module, name + part).decode(memoryview(data), version, _INT16.size)
    return {
        field.name: _plain(field.name, getattr(message, field.name)) for field in fields(message)
    }


def _plain(name: str, value: Any) -> Any:
    if is_dataclass(value):
        return {
            field.name: _plain(field.name, getattr(value, field.name)) for field in fields(value)
        }
    if isinstance(value, list):
        return [_plain(name, each) for each in value]
    if isinstance(value, bytes) and name.endswith(("_id", "_ids")) and len(value) == UUID_BYTES:
        return uuid_to_text(value)
    return value


def _int16(data: bytes | None) -> int:
    if data is None or len(data) < _INT16.size:
        raise ProtocolError("shorter than its type")
    number: int = _INT16.unpack_from(data)[0]
    return number
