"""Bytes that Apache Kafka 4.3 writes and reads."""

import pytest

from pykbroker.coordinator.group.consumer import records
from pykbroker.coordinator.group.consumer.consumer_group import ResolvedRegex
from pykbroker.coordinator.group.records import decode_record, encode_record
from pykbroker.coordinator.transition import CoordinatorRecord
from tests.harness.consumer_groups import a_group, a_member, topic_id

T = topic_id("t")
ID = T.hex()
MEMBER = a_member(
    "m",
    "b",
    "a",
    client_id="c",
    client_host="/h",
    rebalance_timeout_ms=7,
    member_epoch=3,
    previous_member_epoch=2,
    assigned={T: {0: 3}},
    pending_revocation={T: {1: 2}},
)


@pytest.mark.parametrize(
    ("record", "key", "value"),
    [
        (
            records.group_epoch_record("g", 3, 5),
            "0003 0001 67",
            "0000 00000003 01 00 08 0000000000000005",  # the hash is tag 0
        ),
        (
            records.member_record("g", MEMBER),
            "0005 0001 67 0001 6d",
            # no instance, no rack, c, /h, topics a and b, no expression, timeout, no assignor,
            # and in tag 0 no metadata of the classic protocol
            "0000 00 00 02 63 03 2f68 03 02 61 02 62 01 00000007 00 01 00 01 00",
        ),
        (
            records.target_epoch_record("g", 3, 9),
            "0006 0001 67",
            "0000 00000003 01 00 08 0000000000000009",  # the time is tag 0
        ),
        (
            records.target_member_record("g", "m", {T: frozenset({1, 0})}),
            "0007 0001 67 0001 6d",
            f"0000 02 {ID} 03 00000000 00000001 00 00",
        ),
        (
            records.current_assignment_record("g", MEMBER),
            "0008 0001 67 0001 6d",
            # epochs, state, and each topic with its epochs in tag 0
            f"0000 00000003 00000002 00 02 {ID} 02 00000000 01 00 05 02 00000003"
            f"02 {ID} 02 00000001 01 00 05 02 00000002 00",
        ),
        (
            records.regex_record("g", "t.*", ResolvedRegex(frozenset({"t"}), 1, 2)),
            "0010 0001 67 0003 742e2a",
            "0000 02 02 74 0000000000000001 0000000000000002 00",
        ),
    ],
    ids=["group", "member", "target epoch", "target", "current", "regex"],
)
def test_a_record_is_written_and_read_as_kafka_does(
    record: CoordinatorRecord, key: str, value: str
) -> None:
    encoded = encode_record(record)
    assert encoded == (bytes.fromhex(key), bytes.fromhex(value))
    assert decode_record(*encoded) == record


def test_a_group_goes_with_all_that_it_has_itself_last() -> None:
    group = a_group(MEMBER, resolved_regexes={"t.*": ResolvedRegex()})
    tombstones = list(records.group_tombstones(group))
    assert [record.key.RECORD_TYPE for record in tombstones] == [8, 7, 6, 5, 16, 3]
    assert all(record.value is None for record in tombstones)


def test_a_member_goes_itself_last() -> None:
    tombstones = records.member_tombstones("g", "m")
    assert [record.key.RECORD_TYPE for record in tombstones] == [8, 7, 5]
