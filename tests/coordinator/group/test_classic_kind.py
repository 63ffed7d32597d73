from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.classic_kind import ClassicKind
from pykbroker.coordinator.group.step import (
    member_join_timer,
    member_sync_timer,
    rebalance_timer,
)
from tests.harness.consumer_groups import a_step
from tests.harness.groups import ShardDriver

KIND = ClassicKind()


def test_a_group_that_nobody_joined_is_empty_and_of_no_type() -> None:
    group = ClassicGroup("g")
    assert KIND.is_empty(group)
    assert KIND.may_go(group)
    assert KIND.protocol_type(group) == ""
    assert KIND.state_name(group) == "Empty"


def test_a_promised_member_id_keeps_the_group() -> None:
    group = ClassicGroup("g", pending_joins={"m"})
    assert KIND.is_empty(group)
    assert not KIND.may_go(group)


def test_timers_of_the_consumer_group_that_it_was_find_nobody() -> None:
    step = a_step()
    for timer in (
        member_join_timer("g", "m"),
        member_sync_timer("g", "m"),
        rebalance_timer("g", "m"),
    ):
        KIND.expire(ClassicGroup("g"), step, timer)
    assert step.done(None).timers == []


def test_what_was_computed_for_the_consumer_group_that_it_was_is_not_wanted() -> None:
    step = a_step()
    KIND.computed(ClassicGroup("g"), step, {"t.*": frozenset(["t"])})
    assert step.done(None) == a_step().done(None)


def test_members_watch_the_topics_themselves() -> None:
    driver = ShardDriver()
    driver.stable_group("a")
    driver.shard.topics_changed(has_new=True)
    assert driver.group().state.value == "Stable"
