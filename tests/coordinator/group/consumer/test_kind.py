from pykbroker.coordinator.group.consumer.kind import ConsumerKind
from pykbroker.coordinator.group.consumer.member import MemberState
from pykbroker.coordinator.group.step import rebalance_timer, session_timer
from pykbroker.coordinator.transition import SetTimer
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ClassicMemberMetadata,
)
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from tests.harness.consumer_groups import Consumer, a_driver, a_group, a_member, a_step
from tests.harness.groups import a_commit

KIND = ConsumerKind()
WEEK_MS = 7 * 24 * 3_600_000


def test_it_is_listed_as_a_consumer_group() -> None:
    driver = a_driver(t=1)
    Consumer(driver, "a", "t").join()
    (listed,) = driver.shard.list_groups(["stable"], ["Consumer"])
    assert (listed.group_type, listed.protocol_type) == ("consumer", "consumer")
    assert driver.shard.list_groups([], ["classic"]) == []


def test_offsets_of_topics_that_nobody_consumes_expire_and_can_be_deleted() -> None:
    driver = a_driver(t=1, u=1)
    driver.commit(a_commit({("t", 0): 1, ("u", 0): 1}))
    member = Consumer(driver, "a", "t")
    member.join()
    request = OffsetDeleteRequest(
        "g",
        [OffsetDeleteRequestTopic(n, [OffsetDeleteRequestPartition(0)]) for n in ("t", "v")],
    )
    deleted = driver.run(lambda step: driver.shard.delete_offsets(step, request))
    codes = [topic.partitions[0].error_code for topic in deleted.topics]
    assert codes == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, ErrorCode.NONE]
    driver.now_ms += WEEK_MS
    driver.run(driver.shard.expire_offsets)
    assert (driver.committed("t", 0), driver.committed("u", 0)) == (1, -1)
    member.leave()
    driver.run(driver.shard.expire_offsets)
    assert driver.shard.groups == {}


def test_a_group_with_members_is_not_deleted() -> None:
    driver = a_driver(t=1)
    member = Consumer(driver, "a", "t")
    member.join()
    for code in (ErrorCode.NON_EMPTY_GROUP, ErrorCode.NONE):
        (result,) = driver.run(lambda step: driver.shard.delete_groups(step, ["g"]))
        assert result.error_code == code
        if code is ErrorCode.NON_EMPTY_GROUP:
            member.leave()
    assert driver.restarted().shard.groups == {}


def test_sessions_begin_anew_after_loading() -> None:
    classic = ClassicMemberMetadata(session_timeout_ms=9)
    slow = a_member(
        "b", state=MemberState.UNREVOKED_PARTITIONS, rebalance_timeout_ms=7, classic=classic
    )
    step = a_step()
    KIND.loaded(a_group(a_member("a"), slow), step)
    assert step.timers == [
        SetTimer(session_timer("g", "a"), 45_000),
        SetTimer(session_timer("g", "b"), 9),
        SetTimer(rebalance_timer("g", "b"), 7),
    ]


def test_a_timer_that_is_too_late_does_nothing() -> None:
    group = a_group(a_member("a"))
    step = a_step()
    KIND.expire(group, step, session_timer("g", "gone"))
    KIND.expire(group, step, rebalance_timer("g", "a"))
    KIND.expire(group, step, ("join", "g"))
    assert step.records == []
