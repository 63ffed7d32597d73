from pykbroker.coordinator.group.consumer import records
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup, ResolvedRegex
from pykbroker.coordinator.group.consumer.replay import REPLAY
from pykbroker.coordinator.transition import CoordinatorRecord
from pykbroker.protocol.messages.consumer_group_current_member_assignment_record import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    TopicPartitions,
)
from tests.harness.consumer_groups import a_group, a_member, topic_id

T = topic_id("t")
MEMBER = a_member("m", "t", member_epoch=3, previous_member_epoch=2, assigned={T: {0: 3}})


def replayed(*replay: CoordinatorRecord, group: ConsumerGroup | None = None) -> ConsumerGroup:
    group = group or ConsumerGroup("g")
    for record in replay:
        REPLAY[type(record.key)](group, record.key, record.value)
    return group


def test_a_group_is_what_its_records_say() -> None:
    regex = ResolvedRegex(frozenset({"t"}), 1, 2)
    group = replayed(
        records.member_record("g", MEMBER),
        records.group_epoch_record("g", 3, 5),
        records.target_member_record("g", "m", {T: frozenset({0})}),
        records.target_epoch_record("g", 3, 9),
        records.current_assignment_record("g", MEMBER),
        records.regex_record("g", "t.*", regex),
    )
    assert group == a_group(
        MEMBER,
        group_epoch=3,
        metadata_hash=5,
        assignment_epoch=3,
        assignment_timestamp_ms=9,
        target={"m": {T: frozenset({0})}},
        resolved_regexes={"t.*": regex},
    )


def test_tombstones_take_it_all_away_again() -> None:
    group = a_group(
        MEMBER,
        assignment_epoch=3,
        assignment_timestamp_ms=9,
        target={"m": {T: frozenset({0})}},
        resolved_regexes={"t.*": ResolvedRegex()},
    )
    *all_but_last, last = records.group_tombstones(group)
    assert replayed(*all_but_last, group=group) == ConsumerGroup("g")
    assert last.key.RECORD_TYPE == 3


def test_tombstones_of_what_is_not_there_change_nothing() -> None:
    *tombstones, _ = records.group_tombstones(
        a_group(MEMBER, resolved_regexes={"t.*": ResolvedRegex()})
    )
    assert replayed(*tombstones) == ConsumerGroup("g")


def test_a_member_that_is_going_has_nothing() -> None:
    (gone, _, _) = records.member_tombstones("g", "m")
    group = replayed(gone, group=a_group(MEMBER))
    assert group.owners == {}
    assert group.members["m"].member_epoch == -1


def test_an_assignment_may_come_before_its_member() -> None:
    group = replayed(records.current_assignment_record("g", MEMBER))
    assert group.members["m"].assigned == {T: {0: 3}}


def test_brokers_before_4_3_did_not_write_when_a_partition_came() -> None:
    key = ConsumerGroupCurrentMemberAssignmentKey("g", "m")
    value = ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=4, assigned_partitions=[TopicPartitions(T, [0, 1])]
    )
    group = replayed(CoordinatorRecord(key, value))
    assert group.members["m"].assigned == {T: {0: 4, 1: 4}}
