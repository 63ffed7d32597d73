from __future__ import annotations

from typing import Any

import pytest

from pykbroker.coordinator.group.offsets import CommittedOffset, OffsetStore
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from pykbroker.protocol.primitives import NULL_UUID
from tests.harness.consumer_groups import a_driver, a_group, a_member, topic_id, topics
from tests.harness.groups import START_MS, ShardDriver, a_commit, a_join, a_txn_commit

T0 = {("t", 0): 5}
PRODUCER = 4
ID, OTHER_ID = b"i" * 16, b"j" * 16


def a_delete(*topics: str, group_id: str = "g") -> OffsetDeleteRequest:
    return OffsetDeleteRequest(
        group_id=group_id,
        topics=[
            OffsetDeleteRequestTopic(
                name=topic, partitions=[OffsetDeleteRequestPartition(partition_index=0)]
            )
            for topic in topics
        ],
    )


def a_consumer_group() -> tuple[ShardDriver, tuple[str, int]]:
    """A group with a member of epoch 3, and a partition of `t` that it has had since epoch 2."""
    driver = a_driver(t=1, u=1)
    member = a_member("m", "t", member_epoch=3, assigned={topic_id("t"): {0: 2}})
    driver.shard.groups["g"] = a_group(member, group_epoch=3)
    return driver, ("m", 0)


def delete(driver: ShardDriver, request: OffsetDeleteRequest) -> OffsetDeleteResponse:
    response = driver.run(lambda step: driver.shard.delete_offsets(step, request))
    assert isinstance(response, OffsetDeleteResponse)
    return response


@pytest.mark.parametrize(
    ("version", "code"),
    [(8, ErrorCode.ILLEGAL_GENERATION), (9, ErrorCode.GROUP_ID_NOT_FOUND)],
)
def test_a_member_of_a_missing_group_cannot_commit(version: int, code: ErrorCode) -> None:
    driver = ShardDriver()
    assert driver.commit(a_commit(T0, member_id="m", generation_id=0), version) is code
    assert driver.shard.groups == {}


def test_a_commit_without_members_makes_a_simple_group() -> None:
    driver = ShardDriver()
    assert driver.commit(a_commit(T0)) is ErrorCode.NONE
    assert driver.committed("t", 0) == 5
    group = driver.group()
    assert (group.state, group.protocol_type) == (GroupState.EMPTY, None)


def test_the_empty_group_id_is_a_group_like_any_other() -> None:
    driver = ShardDriver()
    assert driver.commit(a_commit({("t", 0): -7}, group_id="")) is ErrorCode.NONE
    assert driver.committed("t", 0, group_id="") == -7


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": 1}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": 1, "member_id": "x"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": 2, "member_id": "MINE"}, ErrorCode.ILLEGAL_GENERATION),
        ({"generation_id": -1, "member_id": "MINE"}, ErrorCode.ILLEGAL_GENERATION),
        (
            {"generation_id": 1, "member_id": "MINE", "instance_id": "i"},
            ErrorCode.UNKNOWN_MEMBER_ID,
        ),
        ({"generation_id": 1, "member_id": "MINE"}, ErrorCode.NONE),
    ],
)
def test_only_a_member_of_the_generation_commits(fields: dict[str, str], code: ErrorCode) -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("c")
    if fields.get("member_id") == "MINE":
        fields = {**fields, "member_id": member_id}
    assert driver.commit(a_commit(T0, **fields)) is code  # type: ignore[arg-type]
    assert driver.committed("t", 0) == (5 if code is ErrorCode.NONE else -1)


def test_a_static_member_that_was_replaced_cannot_commit() -> None:
    driver = ShardDriver()
    token = driver.send_join(a_join(instance_id="i"))
    driver.advance(0)
    elder = driver.answers[token].member_id
    driver.sync(elder, 1)
    driver.join(a_join(instance_id="i"))
    request = a_commit(T0, member_id=elder, generation_id=1, instance_id="i")
    assert driver.commit(request) is ErrorCode.FENCED_INSTANCE_ID


def test_while_the_assignment_is_unknown_nobody_commits() -> None:
    driver = ShardDriver()
    token = driver.send_join_twice(a_join())
    driver.advance(0)
    request = a_commit(T0, member_id=driver.answers[token].member_id, generation_id=1)
    assert driver.commit(request) is ErrorCode.REBALANCE_IN_PROGRESS


def test_a_commit_keeps_the_member_alive() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("c")
    for _ in range(3):
        driver.advance(9_000)
        driver.commit(a_commit(T0, member_id=member_id, generation_id=1))
    assert member_id in driver.group().members


def test_members_of_an_empty_group_may_be_gone_and_administrators_commit() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("c")
    driver.leave((member_id, None))
    assert driver.commit(a_commit(T0)) is ErrorCode.NONE
    late = a_commit(T0, member_id=member_id, generation_id=1)
    assert driver.commit(late) is ErrorCode.UNKNOWN_MEMBER_ID


def test_metadata_has_a_limit_in_utf16_units() -> None:
    driver = ShardDriver(GroupSettings(offset_metadata_max_bytes=4))
    assert driver.commit(a_commit(T0, metadata="\U0001f600ab")) is ErrorCode.NONE
    code = driver.commit(a_commit({("t", 0): 9}, metadata="\U0001f600abc"))
    assert code is ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert driver.committed("t", 0) == 5


def test_a_commit_tells_where_when_and_until_when() -> None:
    driver = ShardDriver()
    request = a_commit(T0, metadata=None)
    request.topics[0].topic_id = ID
    request.topics[0].partitions[0].committed_leader_epoch = 3
    driver.commit(request)
    assert driver.shard.offsets.get("g", "t", 0) == CommittedOffset(
        5, 3, "", START_MS, -1, ID, record_offset=0
    )


def test_an_expiry_of_the_clients_own_costs_leader_epoch_and_topic_id_as_in_kafka() -> None:
    driver = ShardDriver()
    request = a_commit(T0, retention_ms=500)
    request.topics[0].topic_id = ID
    request.topics[0].partitions[0].committed_leader_epoch = 3
    driver.commit(request)
    assert driver.shard.offsets.get("g", "t", 0) == CommittedOffset(
        5, -1, "", START_MS, START_MS + 500, NULL_UUID, record_offset=0
    )


def test_an_expiry_beyond_all_time_is_long_ago_as_in_java() -> None:
    driver = ShardDriver()
    driver.commit(a_commit(T0, retention_ms=2**63 - 1))
    committed = driver.shard.offsets.get("g", "t", 0)
    assert committed is not None
    assert committed.expire_timestamp_ms == START_MS - 1 - 2**63


def test_metadata_that_is_too_large_is_told_before_who_may_commit_there() -> None:
    driver, (member_id, _) = a_consumer_group()
    large = "x" * 4097
    stale: Any = {"member_id": member_id, "generation_id": 1}
    nowhere = {("u", 0): 1}
    assert driver.commit(a_commit(nowhere, **stale)) is ErrorCode.STALE_MEMBER_EPOCH
    too_large = ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert driver.commit(a_commit(nowhere, metadata=large, **stale)) is too_large
    request = a_txn_commit(nowhere, metadata=large, **stale)
    assert driver.commit_in_transaction(request) is too_large
    assert not driver.shard.offsets.has_pending_group("g")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ErrorCode.NONE),
        ({"generation_id": 1}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": 1, "member_id": "x"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": 2, "member_id": "MINE"}, ErrorCode.ILLEGAL_GENERATION),
        ({"member_id": "MINE"}, ErrorCode.ILLEGAL_GENERATION),
        ({"instance_id": "i"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": 1, "member_id": "MINE"}, ErrorCode.NONE),
    ],
)
def test_a_transaction_needs_no_member_but_if_it_names_one_it_must_be_right(
    fields: dict[str, Any], code: ErrorCode
) -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("c")
    if fields.get("member_id") == "MINE":
        fields = {**fields, "member_id": member_id}
    assert driver.commit_in_transaction(a_txn_commit(T0, **fields)) is code
    driver.end_transaction(PRODUCER, is_commit=True)
    assert driver.committed("t", 0) == (5 if code is ErrorCode.NONE else -1)


def test_a_transaction_commits_while_the_assignment_is_unknown() -> None:
    driver = ShardDriver()
    token = driver.send_join_twice(a_join())
    driver.advance(0)
    member_id = driver.answers[token].member_id
    request = a_txn_commit(T0, member_id=member_id, generation_id=1)
    assert driver.commit_in_transaction(request) is ErrorCode.NONE


def test_a_commit_in_a_transaction_keeps_nobody_alive() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("c")
    driver.advance(9_000)
    request = a_txn_commit(T0, member_id=member_id, generation_id=1)
    assert driver.commit_in_transaction(request) is ErrorCode.NONE
    driver.advance(1_000)
    assert driver.group().members == {}


def test_a_transaction_makes_a_simple_group_that_stays_when_it_is_aborted() -> None:
    driver = ShardDriver()
    request = a_txn_commit(T0, generation_id=0)
    assert driver.commit_in_transaction(request) is ErrorCode.ILLEGAL_GENERATION
    assert driver.shard.groups == {}
    assert driver.commit_in_transaction(a_txn_commit(T0)) is ErrorCode.NONE
    driver.end_transaction(PRODUCER, is_commit=False)
    assert driver.group().state is GroupState.EMPTY
    assert driver.shard.offsets == OffsetStore()


@pytest.mark.parametrize(
    ("topic", "epoch", "code"),
    [
        ("t", 3, ErrorCode.NONE),
        ("t", 2, ErrorCode.NONE),
        ("t", 1, ErrorCode.ILLEGAL_GENERATION),
        ("t", 4, ErrorCode.ILLEGAL_GENERATION),
        ("u", 2, ErrorCode.ILLEGAL_GENERATION),
        ("gone", 2, ErrorCode.ILLEGAL_GENERATION),
        ("u", 3, ErrorCode.NONE),
    ],
)
def test_in_a_transaction_a_member_epoch_is_a_generation(
    topic: str, epoch: int, code: ErrorCode
) -> None:
    driver, (member_id, partition) = a_consumer_group()
    request = a_txn_commit({(topic, partition): 1}, member_id=member_id, generation_id=epoch)
    assert driver.commit_in_transaction(request) is code


def test_offsets_of_a_transaction_are_written_without_topic_id_and_expiry() -> None:
    driver = ShardDriver()
    driver.topics = topics(t=1)
    driver.commit_in_transaction(a_txn_commit(T0, metadata=None))
    assert driver.shard.offsets.pending == {
        PRODUCER: {("g", "t", 0): CommittedOffset(5, -1, "", START_MS, -1, NULL_UUID, 0)}
    }


def test_what_is_pending_can_be_deleted_before_it_counts() -> None:
    driver = ShardDriver()
    driver.commit_in_transaction(a_txn_commit(T0))
    delete(driver, a_delete("t", "never"))
    driver.end_transaction(PRODUCER, is_commit=True)
    assert driver.shard.offsets == OffsetStore()
    assert len([each for each in driver.log if each.value is None]) == 2  # and the marker


def test_all_offsets_are_told_where_no_topics_are_named() -> None:
    driver = ShardDriver()
    driver.commit(a_commit({("t", 0): 1, ("t", 1): 2, ("u", 0): 3}))
    everything = OffsetFetchRequestGroup(group_id="g", topics=None)
    answer = driver.shard.fetch_offsets(everything, require_stable=True)
    assert {
        (topic.name, p.partition_index): p.committed_offset
        for topic in answer.topics
        for p in topic.partitions
    } == {("t", 0): 1, ("t", 1): 2, ("u", 0): 3}
    nothing = OffsetFetchRequestGroup(group_id="other", topics=None)
    assert driver.shard.fetch_offsets(nothing, require_stable=True).topics == []


def test_what_was_not_committed_is_told_without_an_error() -> None:
    driver = ShardDriver()
    asked = [OffsetFetchRequestTopics(name="t", partition_indexes=[0])]
    answer = driver.shard.fetch_offsets(
        OffsetFetchRequestGroup(group_id="g", topics=asked), require_stable=False
    )
    (partition,) = answer.topics[0].partitions
    assert (partition.committed_offset, partition.committed_leader_epoch) == (-1, -1)
    assert (partition.metadata, partition.error_code) == ("", ErrorCode.NONE)


def test_an_offset_of_a_former_topic_of_that_name_is_not_told() -> None:
    driver = ShardDriver()
    request = a_commit(T0)
    request.topics[0].topic_id = ID
    driver.commit(request)
    for id_, offset in ((ID, 5), (OTHER_ID, -1)):
        asked = [OffsetFetchRequestTopics(name="t", topic_id=id_, partition_indexes=[0])]
        answer = driver.shard.fetch_offsets(
            OffsetFetchRequestGroup(group_id="g", topics=asked), require_stable=False
        )
        assert answer.topics[0].partitions[0].committed_offset == offset


@pytest.mark.parametrize("asked", [None, [OffsetFetchRequestTopics("t", partition_indexes=[0])]])
def test_a_stable_answer_waits_for_open_transactions(
    asked: list[OffsetFetchRequestTopics] | None,
) -> None:
    driver = ShardDriver()
    driver.commit(a_commit(T0))
    driver.commit_in_transaction(a_txn_commit({("t", 0): 6}))
    request = OffsetFetchRequestGroup(group_id="g", topics=asked)

    (stable,) = driver.shard.fetch_offsets(request, require_stable=True).topics[0].partitions
    assert stable.error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT
    assert stable.committed_offset == -1
    (loose,) = driver.shard.fetch_offsets(request, require_stable=False).topics[0].partitions
    assert (loose.error_code, loose.committed_offset) == (ErrorCode.NONE, 5)
    driver.end_transaction(PRODUCER, is_commit=True)
    (ended,) = driver.shard.fetch_offsets(request, require_stable=True).topics[0].partitions
    assert ended.committed_offset == 6


def test_offsets_of_topics_that_nobody_reads_can_be_deleted() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("c")
    driver.commit(a_commit({("t", 0): 1, ("u", 0): 2}, member_id=member_id, generation_id=1))
    response = delete(driver, a_delete("t", "u", "never"))
    assert [t.partitions[0].error_code for t in response.topics] == [
        ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,
        ErrorCode.NONE,
        ErrorCode.NONE,
    ]
    assert (driver.committed("t", 0), driver.committed("u", 0)) == (1, -1)
    assert len([each for each in driver.log if each.value is None]) == 1


def test_offsets_of_opaque_members_cannot_be_deleted_while_they_live() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("c", protocol_type="connect")
    with pytest.raises(KafkaError) as refused:
        delete(driver, a_delete("t"))
    assert refused.value.code is ErrorCode.NON_EMPTY_GROUP
    driver.leave((member_id, None))
    driver.commit(a_commit(T0))
    delete(driver, a_delete("t"))
    assert driver.committed("t", 0) == -1


def test_a_missing_group_has_no_offsets_to_delete() -> None:
    with pytest.raises(KafkaError) as refused:
        delete(ShardDriver(), a_delete("t"))
    assert refused.value.code is ErrorCode.GROUP_ID_NOT_FOUND
