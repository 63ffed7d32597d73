"""Records of __consumer_offsets, in Apache Kafka 4.3's own formats.

A key is an int16 record type and then the key's fields; a value is an int16 version and then the
fields of that version; no value at all is a tombstone.

| type | key | value |
|---|---|---|
| 0, 1 | OffsetCommitKey (group, topic, partition) | OffsetCommitValue, version 4 or 1 |
| 2 | GroupMetadataKey (group) | GroupMetadataValue, written as version 3 |
| 3, 5-8, 16 | of consumer groups | see `consumer.records` |

Version 1 of an offset is written where the client chose its expiry. Type 0 is what brokers before
0.9 wrote. Other types belong to kinds of group that are not served and are left alone. Source:
the schemas of Kafka's group-coordinator, GroupCoordinatorRecordHelpers.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Final, Protocol, Self

from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.transition import CoordinatorRecord, RecordKey, RecordValue
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.consumer_group_current_member_assignment_record import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
)
from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
)
from pykbroker.protocol.messages.consumer_group_metadata_record import (
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
)
from pykbroker.protocol.messages.consumer_group_regular_expression_record import (
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
)
from pykbroker.protocol.messages.consumer_group_target_assignment_member_record import (
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
)
from pykbroker.protocol.messages.consumer_group_target_assignment_metadata_record import (
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)
from pykbroker.protocol.messages.group_metadata_record import (
    GroupMetadataKey,
    GroupMetadataValue,
    MemberMetadata,
)
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey, OffsetCommitValue
from pykbroker.protocol.primitives import DECODE_ERRORS, NULL_UUID, read_string

_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")
# Version 4 of an offset without metadata, as nearly all are: version, offset, leader epoch, length
# of the metadata plus 1, commit timestamp, tagged fields; there may be one, of 16 bytes: topic id.
_PLAIN_OFFSET: Final = struct.Struct(">hqiBqB")
_OFFSET_WITH_TOPIC_ID: Final = struct.Struct(">hqiBqBBB16s")
_TOPIC_ID_TAG: Final = (4, 1, 1, 0, 16)
_NO_TAG: Final = (4, 1, 0)
# A few thousand names are remembered while they are short, as nearly all are.
MAX_REMEMBERED_KEY_BYTES: Final = 512
_LEGACY_OFFSET_COMMIT: Final = 0
_OFFSET_COMMIT: Final = 1
_OFFSET_COMMIT_BYTES: Final = _INT16.pack(_OFFSET_COMMIT)
_GROUP_METADATA: Final = 2
_KEY_VERSION: Final = 0
GROUP_METADATA_VALUE_VERSION: Final = 3
OFFSET_COMMIT_VALUE_VERSION: Final = 4
OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY: Final = 1
NO_EXPIRY: Final = -1
NO_LEADER_EPOCH: Final = -1


class DecodableKey(RecordKey, Protocol):
    """A key message that can be read back."""

    @classmethod
    def decode(cls, data: memoryview, version: int, position: int = 0) -> Self:
        """Read the message."""


class DecodableValue(RecordValue, Protocol):
    """A value message that can be read back."""

    MIN_VERSION: ClassVar[int]
    MAX_VERSION: ClassVar[int]

    @classmethod
    def decode(cls, data: memoryview, version: int, position: int = 0) -> Self:
        """Read the message."""


@dataclass(slots=True, frozen=True)
class RecordType:
    """One kind of record that this coordinator understands."""

    key_type: type[DecodableKey]
    value_type: type[DecodableValue]


RECORD_TYPES: Final[Mapping[int, RecordType]] = {
    _LEGACY_OFFSET_COMMIT: RecordType(OffsetCommitKey, OffsetCommitValue),
    _OFFSET_COMMIT: RecordType(OffsetCommitKey, OffsetCommitValue),
    _GROUP_METADATA: RecordType(GroupMetadataKey, GroupMetadataValue),
    3: RecordType(ConsumerGroupMetadataKey, ConsumerGroupMetadataValue),
    5: RecordType(ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue),
    6: RecordType(
        ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue
    ),
    7: RecordType(ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue),
    8: RecordType(
        ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue
    ),
    16: RecordType(ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue),
}


def encode_record(record: CoordinatorRecord) -> tuple[bytes, bytes | None]:
    """Return the key and value bytes that go into the log."""
    key = _INT16.pack(record.key.RECORD_TYPE) + b"".join(record.key.encode(_KEY_VERSION))
    if record.value is None:
        return key, None
    version = record.value_version
    return key, _INT16.pack(version) + b"".join(record.value.encode(version))


def decode_record(key: bytes, value: bytes | None) -> CoordinatorRecord | None:
    """Read a record back; None for a type that belongs to another kind of group.

    Raises:
        ProtocolError: The bytes are not what their type says.
    """
    if value is not None and key.startswith(_OFFSET_COMMIT_BYTES):
        plain = _decode_plain_offset(key, value)
        if plain is not None:
            return plain
    kind = RECORD_TYPES.get(_leading_int16(key))
    if kind is None:
        return None
    decoded_key = kind.key_type.decode(memoryview(key), _KEY_VERSION, _INT16.size)
    if value is None:
        return CoordinatorRecord(decoded_key, None)
    version = _leading_int16(value)
    if not kind.value_type.MIN_VERSION <= version <= kind.value_type.MAX_VERSION:
        raise ProtocolError(f"{kind.value_type.__name__} of unknown version {version}")
    decoded_value = kind.value_type.decode(memoryview(value), version, _INT16.size)
    return CoordinatorRecord(decoded_key, decoded_value, version)


def group_metadata_record(
    group: ClassicGroup, assignment_of: Callable[[str], bytes]
) -> CoordinatorRecord:
    """Describe a group as it stands, with the assignment that each member id is given."""
    members = [
        MemberMetadata(
            member_id=member.member_id,
            group_instance_id=member.group_instance_id,
            client_id=member.client_id,
            client_host=member.client_host,
            rebalance_timeout=member.rebalance_timeout_ms,
            session_timeout=member.session_timeout_ms,
            subscription=member.protocols[group.protocol_name or ""],
            assignment=assignment_of(member.member_id),
        )
        for member in group.members.values()
    ]
    return CoordinatorRecord(
        GroupMetadataKey(group=group.group_id),
        GroupMetadataValue(
            protocol_type=group.protocol_type or "",
            generation=group.generation_id,
            protocol=group.protocol_name,
            leader=group.leader_id,
            current_state_timestamp=group.state_timestamp_ms,
            members=members,
        ),
        GROUP_METADATA_VALUE_VERSION,
    )


def new_group_record(group_id: str, now_ms: int) -> CoordinatorRecord:
    """Describe a group that has just come to be and has no generation yet."""
    value = GroupMetadataValue(
        protocol_type="",
        generation=0,
        protocol=None,
        leader=None,
        current_state_timestamp=now_ms,
        members=[],
    )
    return CoordinatorRecord(GroupMetadataKey(group=group_id), value, GROUP_METADATA_VALUE_VERSION)


def group_tombstone(group_id: str) -> CoordinatorRecord:
    """Say that a group is gone."""
    return CoordinatorRecord(GroupMetadataKey(group=group_id), None)


def offset_commit_record(
    group_id: str, topic: str, partition: int, value: OffsetCommitValue
) -> CoordinatorRecord:
    """Say what a group has committed for a partition.

    Only version 1 has a field for an expiry that the client chose (OffsetCommit v2 to v4), and it
    has none for the leader epoch and the topic id. They are left out of the value too, so that it
    is the same before and after a restart.
    """
    version = OFFSET_COMMIT_VALUE_VERSION
    if value.expire_timestamp != NO_EXPIRY:
        version = OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY
        value = replace(value, leader_epoch=NO_LEADER_EPOCH, topic_id=NULL_UUID)
    key = OffsetCommitKey(group=group_id, topic=topic, partition=partition)
    return CoordinatorRecord(key, value, version)


def offset_tombstone(group_id: str, topic: str, partition: int) -> CoordinatorRecord:
    """Say that a committed offset is gone."""
    return CoordinatorRecord(
        OffsetCommitKey(group=group_id, topic=topic, partition=partition), None
    )


def _decode_plain_offset(key: bytes, value: bytes) -> CoordinatorRecord | None:
    """Read a committed offset of the usual form; None for any other, which the schema reads.

    A start reads all of them, so each microsecond here is a second for a million.
    """
    topic_id = NULL_UUID
    if len(value) == _OFFSET_WITH_TOPIC_ID.size:
        version, offset, epoch, metadata, timestamp, tags, tag, size, topic_id = (
            _OFFSET_WITH_TOPIC_ID.unpack(value)
        )
        if (version, metadata, tags, tag, size) != _TOPIC_ID_TAG:
            return None
    elif len(value) == _PLAIN_OFFSET.size:
        version, offset, epoch, metadata, timestamp, tags = _PLAIN_OFFSET.unpack(value)
        if (version, metadata, tags) != _NO_TAG:
            return None
    else:
        return None
    names = _names_of(key[: -_INT32.size]) if len(key) <= MAX_REMEMBERED_KEY_BYTES else None
    if names is None:
        return None
    (partition,) = _INT32.unpack_from(key, len(key) - _INT32.size)
    return CoordinatorRecord(
        OffsetCommitKey(names[0], names[1], partition),
        OffsetCommitValue(offset, epoch, "", timestamp, NO_EXPIRY, topic_id),
        OFFSET_COMMIT_VALUE_VERSION,
    )


@lru_cache(maxsize=4096)
def _names_of(key_without_partition: bytes) -> tuple[str, str] | None:
    """The group and the topic in the key of an offset; None where they are not all there is.

    Many offsets have the same ones, which are read, and kept, once.
    """
    data = memoryview(key_without_partition)
    try:
        group, position = read_string(data, _INT16.size)
        topic, position = read_string(data, position)
    except (*DECODE_ERRORS, ProtocolError):
        return None
    return (group, topic) if position == len(key_without_partition) else None


def _leading_int16(data: bytes) -> int:
    if len(data) < _INT16.size:
        raise ProtocolError("a record of __consumer_offsets is shorter than its type")
    (number,) = _INT16.unpack_from(data)
    return int(number)
