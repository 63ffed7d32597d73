"""Records of the internal topics, byte by byte.

Each line of bytes has been read and written again by Apache Kafka 4.3.1's own classes without a
change (`compat/codec/` does the same for all messages).
"""

from typing import Any

import pytest

from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ClassicMemberMetadata,
    ClassicProtocol,
    ConsumerGroupMemberMetadataValue,
)
from pykbroker.protocol.messages.consumer_protocol_assignment import (
    ConsumerProtocolAssignment,
    TopicPartition,
)
from pykbroker.protocol.messages.group_metadata_record import (
    GroupMetadataKey,
    GroupMetadataValue,
    MemberMetadata,
)
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey, OffsetCommitValue
from pykbroker.protocol.messages.transaction_log_record import (
    PartitionsSchema,
    TransactionLogKey,
    TransactionLogValue,
)
from tests.harness.protocol_values import encoded

COMMIT = OffsetCommitValue(
    offset=7, leader_epoch=2, metadata="m", commit_timestamp=1000, expire_timestamp=2000
)
MEMBER = MemberMetadata(
    member_id="m1",
    client_id="c",
    client_host="/h",
    rebalance_timeout=60_000,
    session_timeout=45_000,
    subscription=b"\x01",
    assignment=b"",
)
GROUP = GroupMetadataValue(
    protocol_type="consumer",
    generation=3,
    protocol="range",
    leader="m1",
    current_state_timestamp=1000,
    members=[MEMBER],
)
TRANSACTION = TransactionLogValue(
    producer_id=5,
    producer_epoch=1,
    transaction_timeout_ms=60_000,
    transaction_status=1,
    transaction_partitions=[PartitionsSchema(topic="t", partition_ids=[0, 2])],
    transaction_last_update_timestamp_ms=1000,
    transaction_start_timestamp_ms=900,
    client_transaction_version=2,
)
CASES: list[tuple[Any, int, str]] = [
    (OffsetCommitKey("g", "t", 4), 0, "0001 67 0001 74 00000004"),
    (  # offset, metadata, commit time
        COMMIT,
        0,
        "0000000000000007 0001 6d 00000000000003e8",
    ),
    (  # the same and the time when it expires
        COMMIT,
        1,
        "0000000000000007 0001 6d 00000000000003e8 00000000000007d0",
    ),
    (  # offset, leader epoch, metadata, commit time: what Kafka 4.3 writes
        COMMIT,
        3,
        "0000000000000007 00000002 0001 6d 00000000000003e8",
    ),
    (  # the same in compact form, no tag
        COMMIT,
        4,
        "0000000000000007 00000002 02 6d 00000000000003e8 00",
    ),
    (  # tag 0: topic id
        OffsetCommitValue(offset=7, topic_id=bytes(range(16))),
        4,
        "0000000000000007 ffffffff 01 0000000000000000 01 00 10 000102030405060708090a0b0c0d0e0f",
    ),
    (GroupMetadataKey("g"), 0, "0001 67"),
    (  # type, generation, protocol, leader, time; one member with id, instance, client, host, ...
        GROUP,
        3,
        "0008 636f6e73756d6572 00000003 0005 72616e6765 0002 6d31 00000000000003e8"
        "00000001 0002 6d31 ffff 0001 63 0002 2f68 0000ea60 0000afc8 00000001 01 00000000",
    ),
    (  # an empty group
        GroupMetadataValue(protocol_type="consumer", leader=None, protocol=None),
        3,
        "0008 636f6e73756d6572 00000000 ffff ffff ffffffffffffffff 00000000",
    ),
    (TransactionLogKey("tx"), 0, "0002 7478"),
    (  # producer, epoch, timeout, status; partitions; both times
        TRANSACTION,
        0,
        "0000000000000005 0001 0000ea60 01 00000001 0001 74 00000002 00000000 00000002"
        "00000000000003e8 0000000000000384",
    ),
    (  # compact, tag 2: transaction version of the client
        TRANSACTION,
        1,
        "0000000000000005 0001 0000ea60 01 02 02 74 03 00000000 00000002 00"
        "00000000000003e8 0000000000000384 01 02 02 0002",
    ),
    (  # tag 0 with a null struct: one byte 0
        ConsumerGroupMemberMetadataValue(classic_member_metadata=None),
        0,
        "01 01 01 01 01 01 ffffffff 01 01 00 01 00",
    ),
    (  # tag 0 with a struct: a byte 1 in front
        ConsumerGroupMemberMetadataValue(
            classic_member_metadata=ClassicMemberMetadata(9, [ClassicProtocol("r", b"\x07")])
        ),
        0,
        "01 01 01 01 01 01 ffffffff 01 01 00 0c 01 00000009 02 02 72 02 07 00 00",
    ),
    (  # never flexible; no user data
        ConsumerProtocolAssignment([TopicPartition("t", [0, 1])]),
        3,
        "00000001 0001 74 00000002 00000000 00000001 ffffffff",
    ),
]


@pytest.mark.parametrize(
    ("record", "version", "line"),
    CASES,
    ids=[f"{type(record).__name__}-v{version}-{n}" for n, (record, version, _) in enumerate(CASES)],
)
def test_a_record_is_written_as_kafka_writes_it(record: Any, version: int, line: str) -> None:
    expected = bytes.fromhex(line)
    assert encoded(record, version).hex(" ") == expected.hex(" ")
    assert encoded(type(record).decode(memoryview(expected), version), version) == expected


def test_records_know_their_type() -> None:
    assert (OffsetCommitKey.RECORD_TYPE, OffsetCommitValue.RECORD_TYPE) == (1, 1)
    assert (GroupMetadataKey.RECORD_TYPE, TransactionLogKey.RECORD_TYPE) == (2, 0)
