"""What is the shard's own; most of what a group does is told by the scripts beside this file."""

from __future__ import annotations

import pytest

from pykbroker.coordinator.group.records import group_tombstone
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.coordinator.transition import CoordinatorRecord
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.group_metadata_record import GroupMetadataKey
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey
from tests.harness.groups import START_MS, ShardDriver, a_commit, a_join


def test_a_group_is_written_down_when_it_comes_to_be() -> None:
    driver = ShardDriver()
    promised = driver.join(a_join()).member_id
    assert len(driver.log) == 1
    successor = driver.restarted()
    assert successor.group().state is GroupState.EMPTY
    # The promise itself is not kept over a restart; the client asks for another one.
    again = successor.join(a_join(member_id=promised))
    assert again.error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_group_comes_to_be_even_by_a_join_that_is_refused() -> None:
    driver = ShardDriver()
    driver.join(a_join(protocol_type=""))
    assert driver.group().state is GroupState.EMPTY
    assert len(driver.log) == 1


def test_loaded_members_get_a_whole_session() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a", session_timeout_ms=8_000)
    driver.advance(7_000)
    successor = driver.restarted()
    assert successor.timers == {("session", "g", member_id): START_MS + 7_000 + 8_000}
    successor.advance(8_000)
    assert successor.group().state is GroupState.EMPTY


def test_a_group_that_is_larger_than_it_may_be_rebalances_when_loaded() -> None:
    driver = ShardDriver()
    driver.stable_group("a", "b")
    driver.settings = GroupSettings(max_size=1)
    assert driver.restarted().group().state is GroupState.PREPARING_REBALANCE


def test_a_shard_without_groups_has_nothing_to_tell_when_loaded() -> None:
    driver = ShardDriver().restarted()
    assert driver.transitions[0].events == []
    assert driver.transitions[0].timers == []


def test_a_tombstone_ends_a_group_and_a_second_one_finds_nothing() -> None:
    driver = ShardDriver()
    driver.join(a_join())
    group = driver.group()
    for _ in range(2):
        driver.shard.replay(group_tombstone("g"), 9, 5)
    assert driver.shard.groups == {}
    assert group.state is GroupState.DEAD


def test_a_tombstone_of_an_offset_makes_no_group() -> None:
    driver = ShardDriver()
    key = OffsetCommitKey(group="g", topic="t", partition=0)
    driver.shard.replay(CoordinatorRecord(key, None), 0, 5)
    assert driver.shard.groups == {}


def test_timers_of_groups_that_are_gone_do_nothing() -> None:
    driver = ShardDriver()
    driver.run(lambda step: driver.shard.expire(step, ("session", "gone", "m")))
    assert driver.transitions[0].timers == []


def test_what_belongs_to_another_kind_of_coordinator_is_our_bug() -> None:
    driver = ShardDriver()
    driver.commit(a_commit({("t", 0): 1}))
    with pytest.raises(AssertionError):
        driver.run(lambda step: driver.shard.expire(step, ("other", "g")))
    with pytest.raises(AssertionError):
        driver.run(lambda step: driver.shard.undo(step, "other", ErrorCode.NONE))
    with pytest.raises(AssertionError):
        wrong = CoordinatorRecord(GroupMetadataKey(group="g"), GroupMetadataKey())
        driver.shard.replay(wrong, 0, 0)
