import struct

import pytest

from pykbroker.commands.internal_records import (
    CONSUMER_OFFSETS,
    TRANSACTION_STATE,
    decode_internal_record,
)
from pykbroker.coordinator.group.records import (
    encode_record,
    group_tombstone,
    new_group_record,
    offset_commit_record,
)
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.consumer_group_metadata_record import (
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
)
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitValue
from pykbroker.protocol.messages.transaction_log_record import (
    PartitionsSchema,
    TransactionLogKey,
    TransactionLogValue,
)
from pykbroker.protocol.records import Record
from tests.harness.batches import a_record


def record(key: bytes, value: bytes | None) -> Record:
    return a_record(key=key, value=value)


def test_a_committed_offset_says_what_it_is_for() -> None:
    value = OffsetCommitValue(offset=42, leader_epoch=1, metadata="m", topic_id=bytes(16))
    written = record(*encode_record(offset_commit_record("readers", "orders", 3, value)))

    decoded = decode_internal_record(CONSUMER_OFFSETS, written)

    assert (decoded["type"], decoded["version"]) == ("OffsetCommit", 4)
    assert decoded["key"] == {"group": "readers", "topic": "orders", "partition": 3}
    assert decoded["value"]["offset"] == 42
    assert decoded["value"]["topic_id"] == "A" * 22


def test_groups_and_tombstones_are_read() -> None:
    written = record(*encode_record(new_group_record("readers", 5)))
    assert decode_internal_record(CONSUMER_OFFSETS, written)["value"]["members"] == []

    written = record(*encode_record(group_tombstone("readers")))
    assert decode_internal_record(CONSUMER_OFFSETS, written) == {
        "type": "GroupMetadata",
        "key": {"group": "readers"},
        "value": None,
    }


def test_records_of_other_kinds_of_group_are_read() -> None:
    key = struct.pack(">h", 3) + b"".join(ConsumerGroupMetadataKey(group_id="g").encode(0))
    value = struct.pack(">h", 0) + b"".join(ConsumerGroupMetadataValue(epoch=9).encode(0))

    decoded = decode_internal_record(CONSUMER_OFFSETS, record(key, value))

    assert (decoded["type"], decoded["value"]["epoch"]) == ("ConsumerGroupMetadata", 9)


def test_transactions_are_read() -> None:
    partitions = [PartitionsSchema(topic="orders", partition_ids=[0, 2])]
    message = TransactionLogValue(
        producer_id=7, transaction_status=3, transaction_partitions=partitions
    )
    key = struct.pack(">h", 0) + b"".join(TransactionLogKey(transactional_id="tx").encode(0))
    value = struct.pack(">h", 1) + b"".join(message.encode(1))

    decoded = decode_internal_record(TRANSACTION_STATE, record(key, value))

    assert decoded["key"] == {"transactional_id": "tx"}
    assert decoded["value"]["transaction_status"] == "PrepareAbort"
    assert decoded["value"]["transaction_partitions"] == [
        {"topic": "orders", "partition_ids": [0, 2]}
    ]


@pytest.mark.parametrize("topic", [CONSUMER_OFFSETS, TRANSACTION_STATE])
@pytest.mark.parametrize("key", [None, b"", b"\0", b"\0\x63", b"\0\0\xff"])
def test_anything_else_is_refused(topic: str, key: bytes | None) -> None:
    with pytest.raises(ProtocolError):
        decode_internal_record(topic, a_record(key=key))


def test_every_type_has_its_module() -> None:
    for number in [*range(9), *range(10, 18), *range(19, 24)]:
        with pytest.raises(ProtocolError, match="Key v0"):
            decode_internal_record(CONSUMER_OFFSETS, record(struct.pack(">h", number), b""))
