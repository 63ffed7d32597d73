"""Classic members among consumers: what JoinGroup, SyncGroup and Heartbeat tell them."""

from typing import Any

import pytest

from pykbroker.coordinator.group.consumer.settings import ConsumerGroupSettings, MigrationPolicy
from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.join_group import JoinGroupResponse
from tests.harness.consumer_groups import Consumer, a_driver
from tests.harness.groups import ShardDriver, a_join, a_subscription

ASSIGNED_0 = bytes.fromhex("0001 00000001 0001 74 00000001 00000000 ffffffff")
NOTHING = bytes.fromhex("0001 00000000 ffffffff")


def join(driver: ShardDriver, **fields: Any) -> JoinGroupResponse:
    return driver.join(a_join(**fields))


def joined(driver: ShardDriver, **fields: Any) -> JoinGroupResponse:
    promised = join(driver, **fields)
    assert promised.error_code == ErrorCode.MEMBER_ID_REQUIRED
    return join(driver, member_id=promised.member_id, **fields)


def test_a_classic_member_gets_its_share_by_rejoining() -> None:
    driver = a_driver(t=2)
    consumer = Consumer(driver, "a", "t")
    consumer.join()
    answer = joined(driver)
    assert (answer.error_code, answer.generation_id) == (ErrorCode.NONE, 3)
    assert (answer.protocol_type, answer.protocol_name) == ("consumer", "range")
    member_id = answer.member_id
    assert driver.sync(member_id, 3).assignment == NOTHING
    assert driver.heartbeat(member_id, 3) is ErrorCode.NONE
    consumer.beat()
    consumer.confirm()
    assert driver.heartbeat(member_id, 3) is ErrorCode.REBALANCE_IN_PROGRESS
    assert join(driver, member_id=member_id).generation_id == 3
    assert driver.sync(member_id, 3).assignment[-8:] == bytes.fromhex("00000001 ffffffff")
    assert driver.heartbeat(member_id, 3) is ErrorCode.NONE


def test_a_new_target_is_told_by_heartbeat_and_sync() -> None:
    driver = a_driver(t=2)
    Consumer(driver, "a", "t").join()
    member_id = joined(driver).member_id
    Consumer(driver, "b", "t").join()
    assert driver.heartbeat(member_id, 3) is ErrorCode.REBALANCE_IN_PROGRESS
    assert driver.sync(member_id, 3).error_code == ErrorCode.REBALANCE_IN_PROGRESS
    due_ms = driver.timers["join", "g", member_id]
    driver.advance(5_000)
    driver.heartbeat(member_id, 3)
    assert driver.timers["join", "g", member_id] == due_ms
    driver.advance(2_000)
    driver.heartbeat(member_id, 3)
    driver.advance(9_000)
    driver.heartbeat(member_id, 3)
    driver.advance(9_000)
    driver.heartbeat(member_id, 3)
    driver.advance(9_000)
    assert member_id not in driver.consumer_group().members


def test_who_does_not_sync_in_time_is_removed() -> None:
    driver = a_driver(t=2)
    Consumer(driver, "a", "t").join()
    member_id = joined(driver, rebalance_timeout_ms=2_000).member_id
    driver.advance(2_000)
    assert member_id not in driver.consumer_group().members


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"protocol_type": "connect"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocols": {}}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocols": {"range": b"x"}}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocols": {"other": a_subscription("t")}}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"instance_id": "i"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"member_id": "x", "instance_id": "j"}, ErrorCode.FENCED_INSTANCE_ID),
    ],
)
def test_not_everybody_may_join(fields: dict[str, Any], code: ErrorCode) -> None:
    driver = a_driver(t=2)
    Consumer(driver, "a", "t", instance_id="j").join()
    joined(driver)
    assert join(driver, **{"member_id": "m", **fields}).error_code == code


def test_nobody_joins_where_protocols_may_not_mix() -> None:
    settings = ConsumerGroupSettings(migration_policy=MigrationPolicy.DISABLED)
    driver = a_driver(GroupSettings(consumer=settings), t=2)
    Consumer(driver, "a", "t").join()
    assert join(driver).error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_sync_and_heartbeat_are_for_classic_members_of_this_generation() -> None:
    driver = a_driver(t=2)
    consumer = Consumer(driver, "a", "t")
    consumer.join()
    member_id = joined(driver).member_id
    for name, generation_id, code in (
        (consumer.member_id, 2, ErrorCode.UNKNOWN_MEMBER_ID),
        ("stranger", 3, ErrorCode.UNKNOWN_MEMBER_ID),
        (member_id, 2, ErrorCode.ILLEGAL_GENERATION),
    ):
        assert driver.sync(name, generation_id).error_code == code
        with pytest.raises(Exception, match=code.name):
            driver.heartbeat(name, generation_id)
    refused = driver.sync(member_id, 3, protocol_name="other")
    assert refused.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    fenced = driver.sync(member_id, 3, instance_id="i")
    assert fenced.error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_join_that_cannot_be_written_is_told_so() -> None:
    driver = a_driver(t=2)
    Consumer(driver, "a", "t").join()
    member_id = join(driver).member_id
    driver.failing_appends = ErrorCode.NOT_COORDINATOR
    assert join(driver, member_id=member_id).error_code == ErrorCode.NOT_COORDINATOR
    assert list(driver.consumer_group().members) == ["a"]


def test_a_static_member_goes_on_with_either_protocol() -> None:
    driver = a_driver(t=2)
    Consumer(driver, "a", "t").join()
    answer = join(driver, instance_id="i")
    assert answer.generation_id == 3
    again = join(driver, instance_id="i")
    assert again.member_id != answer.member_id
    newer = Consumer(driver, "b", "t", instance_id="i")
    assert newer.join().member_epoch == 3
    assert join(driver, member_id=again.member_id, instance_id="i").error_code == (
        ErrorCode.FENCED_INSTANCE_ID
    )
