import pytest

from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.consumer.lookup import existing_group, group_to_join
from pykbroker.coordinator.group.state import GroupState
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.consumer_groups import Consumer, a_driver, a_group, a_step
from tests.harness.groups import a_join


def test_a_group_that_is_not_there_comes_to_be_by_joining() -> None:
    assert group_to_join({}, a_step(), "g") == a_group()
    group = a_group()
    assert group_to_join({"g": group}, a_step(), "g") is group
    with pytest.raises(KafkaError) as refusal:
        existing_group({}, "g")
    assert refusal.value.code is ErrorCode.GROUP_ID_NOT_FOUND


def test_an_empty_classic_group_gives_way() -> None:
    step = a_step()
    assert group_to_join({"g": ClassicGroup("g")}, step, "g") == a_group()
    assert [record.key.RECORD_TYPE for record in step.records] == [2]


def test_a_group_of_another_kind_with_members_is_none() -> None:
    group = ClassicGroup("g", state=GroupState.STABLE, protocol_type="other")
    with pytest.raises(KafkaError) as refusal:
        group_to_join({"g": group}, a_step(), "g")
    assert refusal.value.code is ErrorCode.GROUP_ID_NOT_FOUND
    with pytest.raises(KafkaError) as refusal:
        existing_group({"g": group}, "g")
    assert refusal.value.code is ErrorCode.GROUP_ID_NOT_FOUND


def test_an_empty_group_is_of_the_kind_that_is_joined_last() -> None:
    driver = a_driver(t=1)
    driver.stable_group("c")
    for member_id in list(driver.group().members):
        driver.leave((member_id, None))
    member = Consumer(driver, "a", "t")
    member.join()
    assert driver.restarted().consumer_group() == driver.consumer_group()
    member.leave()
    driver.failing_appends = ErrorCode.NOT_COORDINATOR
    driver.send_join(a_join())
    assert driver.consumer_group().group_epoch == 3
    driver.send_join_twice(a_join())
    assert driver.group().members
    assert driver.restarted().group().state is GroupState.EMPTY
