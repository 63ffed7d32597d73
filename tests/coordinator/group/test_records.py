"""The hex texts were written by Apache Kafka 4.3.1 into its own __consumer_offsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.records import (
    MAX_REMEMBERED_KEY_BYTES,
    decode_record,
    encode_record,
    group_metadata_record,
    group_tombstone,
    new_group_record,
    offset_commit_record,
    offset_tombstone,
)
from pykbroker.coordinator.transition import CoordinatorRecord
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.group_metadata_record import GroupMetadataValue
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey, OffsetCommitValue
from pykbroker.protocol.primitives import NULL_UUID

FIRST_WITH_TOPIC_ID = 4

OFFSET_KEY = bytes.fromhex(
    "0001"  # record type 1
    "0006 73696d706c65"  # group "simple"
    "0001 74"  # topic "t"
    "00000000"  # partition 0
)
OFFSET_VALUE = bytes.fromhex(
    "0004"  # version 4
    "0000000000000001"  # offset 1
    "ffffffff"  # no leader epoch
    "01"  # no metadata
    "000001a1fe5f3f80"  # commit timestamp
    "01 00 10 daa77bd6f7a24f9aa427357375be64c1"  # one tagged field: topic id
)
GROUP_KEY = bytes.fromhex("0002 0001 67")
EMPTY_GROUP_VALUE = bytes.fromhex(
    "0003"  # version 3
    "0000"  # no protocol type
    "00000000"  # generation 0
    "ffff ffff"  # no protocol, no leader
    "000001a1fe5f3e92"  # state timestamp
    "00000000"  # no members
)


def test_a_committed_offset_is_the_record_that_kafka_writes() -> None:
    value = OffsetCommitValue(
        offset=1,
        leader_epoch=-1,
        metadata="",
        commit_timestamp=0x1A1FE5F3F80,
        topic_id=bytes.fromhex("daa77bd6f7a24f9aa427357375be64c1"),
    )
    record = offset_commit_record("simple", "t", 0, value)

    assert encode_record(record) == (OFFSET_KEY, OFFSET_VALUE[:-1] + OFFSET_VALUE[-1:])
    assert decode_record(OFFSET_KEY, OFFSET_VALUE) == record


@given(
    group=st.one_of(st.text(max_size=3), st.just("g" * MAX_REMEMBERED_KEY_BYTES)),
    topic=st.text(max_size=3),
    partition=st.integers(-(2**31), 2**31 - 1),
    value=st.builds(
        OffsetCommitValue,
        offset=st.integers(-(2**63), 2**63 - 1),
        leader_epoch=st.integers(-(2**31), 2**31 - 1),
        metadata=st.sampled_from(["", "m", "some metadata"]),
        commit_timestamp=st.integers(-(2**63), 2**63 - 1),
        topic_id=st.sampled_from([NULL_UUID, b"i" * 16]),
    ),
    version=st.sampled_from([3, 4]),
    key_end=st.sampled_from([None, -1, -5]),
    value_end=st.sampled_from([None, -1, -18]),
    more=st.sampled_from([b"", b"x"]),
)
def test_offsets_are_read_as_their_schema_says_whichever_way_is_taken(
    group: str,
    topic: str,
    partition: int,
    value: OffsetCommitValue,
    version: int,
    key_end: int | None,
    value_end: int | None,
    more: bytes,
) -> None:
    if version < FIRST_WITH_TOPIC_ID:
        value.topic_id = NULL_UUID
    key_bytes, value_bytes = encode_record(
        CoordinatorRecord(OffsetCommitKey(group, topic, partition), value, version)
    )
    key_bytes, value_bytes = key_bytes[:key_end] + more, (value_bytes or b"")[:value_end] + more

    try:
        expected: object = CoordinatorRecord(
            OffsetCommitKey.decode(memoryview(key_bytes), 0, 2),
            OffsetCommitValue.decode(memoryview(value_bytes), version, 2),
            version,
        )
    except ProtocolError:
        expected = None

    try:
        found: object = decode_record(key_bytes, value_bytes)
    except ProtocolError:
        found = None
    assert found == expected


def test_a_new_group_is_the_record_that_kafka_writes() -> None:
    record = new_group_record("g", 0x1A1FE5F3E92)

    assert encode_record(record) == (GROUP_KEY, EMPTY_GROUP_VALUE)
    assert decode_record(GROUP_KEY, EMPTY_GROUP_VALUE) == record


def test_an_expiry_that_the_client_chose_is_written_in_version_1() -> None:
    value = OffsetCommitValue(offset=5, metadata="m", commit_timestamp=7, expire_timestamp=9)
    key, encoded = encode_record(offset_commit_record("g", "t", 1, value))

    assert encoded == bytes.fromhex(
        "0001 0000000000000005 0001 6d 0000000000000007 0000000000000009"
    )
    back = decode_record(key, encoded)
    assert back is not None
    assert isinstance(back.value, OffsetCommitValue)
    assert (back.value.expire_timestamp, back.value.leader_epoch) == (9, -1)


def test_members_are_written_with_their_assignment() -> None:
    group = ClassicGroup("g", state_timestamp_ms=8, generation_id=3, protocol_type="consumer")
    group.protocol_name = "range"
    group.add(Member("m", "i", "c", "/host", 30, 10, {"range": b"sub", "other": b"x"}))

    record = group_metadata_record(group, lambda member_id: member_id.encode() + b"!")

    assert isinstance(record.value, GroupMetadataValue)
    (member,) = record.value.members
    assert (member.subscription, member.assignment) == (b"sub", b"m!")
    assert (member.group_instance_id, member.client_host) == ("i", "/host")
    assert (member.rebalance_timeout, member.session_timeout) == (30, 10)
    assert (record.value.leader, record.value.generation) == ("m", 3)
    assert record.value.current_state_timestamp == 8
    assert decode_record(*encode_record(record)) == record


def test_tombstones_have_keys_only() -> None:
    assert encode_record(group_tombstone("g")) == (GROUP_KEY, None)
    assert encode_record(offset_tombstone("simple", "t", 0)) == (OFFSET_KEY, None)
    assert decode_record(OFFSET_KEY, None) == offset_tombstone("simple", "t", 0)


def test_offsets_of_very_old_brokers_are_understood() -> None:
    legacy_key = b"\x00\x00" + OFFSET_KEY[2:]
    legacy_value = bytes.fromhex("0000 0000000000000005 0000 0000000000000007")
    record = decode_record(legacy_key, legacy_value)

    assert record is not None
    assert record.key == OffsetCommitKey(group="simple", topic="t", partition=0)
    assert isinstance(record.value, OffsetCommitValue)
    assert record.value.offset == 5


def test_records_of_other_kinds_of_group_are_left_alone() -> None:
    assert decode_record(b"\x00\x0b\x00\x01g", b"\x00\x00\x00\x00\x00\x01") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"", None),
        (b"\x00", None),
        (b"\x00\x02\x00\x05g", None),
        (GROUP_KEY, b""),
        (GROUP_KEY, b"\x00\x63"),
        (GROUP_KEY, EMPTY_GROUP_VALUE[:9]),
        (OFFSET_KEY, OFFSET_VALUE[:9]),
    ],
)
def test_a_malformed_record_is_told_as_such(key: bytes, value: bytes | None) -> None:
    with pytest.raises(ProtocolError):
        decode_record(key, value)
