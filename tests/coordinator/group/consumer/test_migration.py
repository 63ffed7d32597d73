"""A group changes its protocol while it lives; its log says the same before and after."""

import pytest

from pykbroker.coordinator.group.consumer.settings import ConsumerGroupSettings, MigrationPolicy
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.consumer_groups import AT_ONCE, Consumer, a_driver, owned, topic_id
from tests.harness.groups import ShardDriver, a_join, a_subscription

T = topic_id("t")
ALL = bytes.fromhex("0001 00000001 0001 74 00000002 00000000 00000001 ffffffff")


def a_classic_driver(settings: GroupSettings = AT_ONCE) -> tuple[ShardDriver, str]:
    """A classic group whose only member has partitions 0 and 1 of t."""
    driver = a_driver(settings, t=2)
    token = driver.send_join_twice(a_join())
    driver.advance(0)
    member_id = driver.answers[token].member_id
    driver.sync(member_id, 1, assignment={member_id: ALL})
    return driver, member_id


def a_mixed_driver() -> tuple[ShardDriver, str, Consumer]:
    driver, member_id = a_classic_driver()
    consumer = Consumer(driver, "b", "t")
    consumer.join()
    return driver, member_id, consumer


def test_a_classic_group_is_upgraded_by_the_first_consumer() -> None:
    driver, member_id, consumer = a_mixed_driver()
    group = driver.consumer_group()
    member = group.members[member_id]
    assert (member.member_epoch, member.assigned) == (1, {T: {0: 1, 1: 1}})
    assert member.classic is not None
    assert (group.group_epoch, consumer.epoch, consumer.owned) == (2, 2, [])
    assert driver.restarted().consumer_group().members == group.members
    assert driver.heartbeat(member_id, 1) is ErrorCode.REBALANCE_IN_PROGRESS


def test_who_waits_in_a_rebalance_is_sent_back() -> None:
    driver, _ = a_classic_driver()
    waiting = driver.send_join_twice(a_join())
    Consumer(driver, "b", "t").join()
    assert driver.answers[waiting].error_code == ErrorCode.REBALANCE_IN_PROGRESS
    assert len(driver.consumer_group().members) == 3


def test_who_waits_for_the_assignment_is_sent_back() -> None:
    driver = a_driver(t=2)
    tokens = [driver.send_join_twice(a_join(), name) for name in ("x", "y")]
    driver.advance(0)
    answers = [driver.answers[token] for token in tokens]
    (follower,) = [a.member_id for a in answers if a.member_id != a.leader]
    waiting = driver.send_sync(follower, 1)
    Consumer(driver, "b", "t").join()
    assert driver.answers[waiting].error_code == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_group_without_a_generation_is_upgraded_too() -> None:
    settings = GroupSettings(initial_rebalance_delay_ms=1_000, consumer=AT_ONCE.consumer)
    driver = a_driver(settings, t=2)
    waiting = driver.send_join_twice(a_join())
    Consumer(driver, "b", "t").join()
    assert driver.answers[waiting].error_code == ErrorCode.REBALANCE_IN_PROGRESS
    assert len(driver.consumer_group().members) == 2
    driver.advance(1_000)
    assert len(driver.consumer_group().members) == 2


def test_a_group_that_is_upgraded_before_it_rebalances_gets_a_new_target_whoever_joins() -> None:
    driver = a_driver(t=2)
    leaving, staying = (driver.send_join_twice(a_join(), name) for name in ("x", "y"))
    driver.advance(0)
    gone, left = driver.answers[leaving].member_id, driver.answers[staying].member_id
    driver.send_sync(driver.answers[leaving].leader, 1, assignment={gone: ALL, left: b""})
    driver.leave((gone, None))
    Consumer(driver, "b").join()
    assert driver.heartbeat(left, 1) is ErrorCode.REBALANCE_IN_PROGRESS
    assert driver.consumer_group().target[left] == {T: frozenset([0, 1])}


def test_a_group_that_changes_twice_in_a_moment_gets_a_new_target_whoever_joins() -> None:
    driver, member_id, consumer = a_mixed_driver()
    driver.heartbeat(member_id, 1)
    driver.send_join(a_join(member_id=member_id))
    consumer.beat()
    consumer.leave()
    Consumer(driver, "c").join()
    assert driver.consumer_group().target[member_id] == {T: frozenset([0, 1])}


def test_a_stable_group_keeps_its_target_when_somebody_joins_who_wants_nothing() -> None:
    driver, member_id = a_classic_driver()
    assert Consumer(driver, "b").join().member_epoch == 1
    assert driver.heartbeat(member_id, 1) is ErrorCode.NONE


@pytest.mark.parametrize(
    "settings",
    [
        ConsumerGroupSettings(migration_policy=MigrationPolicy.DOWNGRADE),
        ConsumerGroupSettings(max_size=0),
    ],
)
def test_a_group_that_may_not_be_upgraded_stays(settings: ConsumerGroupSettings) -> None:
    driver, member_id = a_classic_driver(GroupSettings(consumer=settings))
    with pytest.raises(KafkaError) as refusal:
        Consumer(driver, "b", "t").join()
    assert refusal.value.code is ErrorCode.GROUP_ID_NOT_FOUND
    assert driver.heartbeat(member_id, 1) is ErrorCode.NONE


def test_a_group_that_cannot_be_understood_stays() -> None:
    for protocol_type, metadata in (("connect", a_subscription("t")), ("consumer", b"x")):
        driver = a_driver(t=2)
        driver.stable_group("c", protocol_type=protocol_type, protocols={"range": metadata})
        with pytest.raises(KafkaError) as refusal:
            Consumer(driver, "b", "t").join()
        assert refusal.value.code is ErrorCode.GROUP_ID_NOT_FOUND
        assert driver.group().state is GroupState.STABLE


def test_a_group_becomes_classic_when_the_last_consumer_goes() -> None:
    driver, member_id, consumer = a_mixed_driver()
    consumer.leave()
    classic = driver.group()
    assert (classic.state, classic.generation_id) == (GroupState.STABLE, 2)
    assert classic.members[member_id].assignment[-8:] == bytes.fromhex("00000000 ffffffff")
    assert driver.restarted().group().members.keys() == {member_id}
    driver.advance(0)
    assert driver.heartbeat(member_id, 2) is ErrorCode.REBALANCE_IN_PROGRESS
    token = driver.send_join(a_join(member_id=member_id))
    assert driver.answers[token].generation_id == 3


def test_a_consumer_that_is_fenced_takes_the_new_protocol_with_it() -> None:
    driver, member_id, _ = a_mixed_driver()
    generation_id = driver.join(a_join(member_id=member_id)).generation_id
    driver.sync(member_id, generation_id)
    for _ in range(5):
        driver.advance(9_000)
        driver.heartbeat(member_id, generation_id)
    assert driver.group().members.keys() == {member_id}


def test_a_downgrade_that_cannot_be_written_is_tried_again() -> None:
    driver, member_id, consumer = a_mixed_driver()
    driver.failing_appends = ErrorCode.NOT_COORDINATOR
    with pytest.raises(KafkaError):
        consumer.leave()
    assert len(driver.consumer_group().members) == 2
    driver.advance(500)
    assert driver.group().members.keys() == {member_id}


def test_a_group_that_may_not_be_downgraded_stays() -> None:
    policy = ConsumerGroupSettings(migration_policy=MigrationPolicy.UPGRADE)
    driver, member_id = a_classic_driver(GroupSettings(consumer=policy))
    consumer = Consumer(driver, "b", "t")
    consumer.join()
    consumer.leave()
    assert driver.consumer_group().members.keys() == {member_id}


def test_the_last_consumer_comes_back_as_a_classic_member() -> None:
    driver = a_driver(t=2)
    consumer = Consumer(driver, "a", "t", instance_id="i")
    consumer.join()
    consumer.leave(-2)
    answer = driver.join(a_join(instance_id="i"))
    assert answer.error_code == ErrorCode.NONE
    classic = driver.group()
    assert classic.state is GroupState.STABLE
    assert classic.members[answer.member_id].assignment == ALL
    driver.advance(0)
    assert classic.state is GroupState.STABLE
    assert driver.heartbeat(answer.member_id, answer.generation_id) is ErrorCode.NONE


def test_it_wants_other_topics_and_so_a_rebalance() -> None:
    driver = a_driver(t=2, u=1)
    Consumer(driver, "a", "t", instance_id="i").join()
    answer = driver.join(a_join(instance_id="i", protocols={"range": a_subscription("u")}))
    assert answer.error_code == ErrorCode.NONE
    driver.advance(0)
    assert driver.group().state is GroupState.PREPARING_REBALANCE


def test_a_member_that_has_let_go_gets_the_rest_as_usual() -> None:
    driver, member_id, consumer = a_mixed_driver()
    driver.join(a_join(member_id=member_id))
    driver.join(a_join(member_id=member_id))
    consumer.confirm()
    assert consumer.owned == owned(t=[1])
