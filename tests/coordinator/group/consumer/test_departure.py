import pytest

from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.consumer_groups import Consumer, a_driver


def refused(member: Consumer, epoch: int = -1) -> ErrorCode:
    with pytest.raises(KafkaError) as refusal:
        member.leave(epoch)
    return refusal.value.code


def test_only_members_can_leave() -> None:
    driver = a_driver(t=1)
    assert refused(Consumer(driver, "a", "t")) is ErrorCode.GROUP_ID_NOT_FOUND
    Consumer(driver, "a", "t", instance_id="i").join()
    assert refused(Consumer(driver, "b", "t")) is ErrorCode.UNKNOWN_MEMBER_ID
    stranger = Consumer(driver, "b", "t", instance_id="j")
    assert refused(stranger) is ErrorCode.UNKNOWN_MEMBER_ID
    usurper = Consumer(driver, "b", "t", instance_id="i")
    assert refused(usurper, -2) is ErrorCode.FENCED_INSTANCE_ID


def test_a_static_member_can_leave_for_good() -> None:
    driver = a_driver(t=1)
    member = Consumer(driver, "a", "t", instance_id="i")
    member.join()
    assert member.leave().member_epoch == -1
    assert driver.consumer_group().members == {}


def test_a_fence_that_could_not_be_written_is_tried_again() -> None:
    driver = a_driver(t=1)
    Consumer(driver, "a", "t").join()
    driver.failing_appends = ErrorCode.NOT_COORDINATOR
    driver.advance(45_000)
    assert "a" in driver.consumer_group().members
    driver.advance(500)
    assert driver.consumer_group().members == {}


def test_who_is_gone_by_other_ways_is_not_fenced_again() -> None:
    driver = a_driver(t=1)
    member = Consumer(driver, "a", "t")
    member.join()
    driver.failing_appends = ErrorCode.NOT_COORDINATOR
    with pytest.raises(KafkaError):
        member.leave()
    member.leave()
    driver.advance(60_000)
    assert driver.consumer_group().group_epoch == 3
