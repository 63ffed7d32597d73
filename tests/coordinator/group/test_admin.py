from __future__ import annotations

import pytest

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey, OffsetCommitValue
from tests.harness.groups import ShardDriver, a_commit, a_join, a_subscription


def delete(driver: ShardDriver, *group_ids: str) -> list[ErrorCode]:
    results = driver.run(lambda step: driver.shard.delete_groups(step, group_ids))
    assert [result.group_id for result in results] == list(group_ids)
    return [ErrorCode(result.error_code) for result in results]


def test_a_stable_group_is_described_with_metadata_and_assignment() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    described = driver.shard.describe("g")
    assert (described.error_code, described.group_state) == (ErrorCode.NONE, "Stable")
    assert (described.protocol_type, described.protocol_data) == ("consumer", "range")
    (member,) = described.members
    assert (member.member_id, member.group_instance_id) == (member_id, None)
    assert (member.client_id, member.client_host) == ("a", "/127.0.0.1")
    assert member.member_metadata == a_subscription("t")
    assert member.member_assignment == member_id.encode()


def test_outside_of_stable_nobodys_metadata_is_told() -> None:
    driver = ShardDriver()
    driver.stable_group("a", "b")
    driver.send_join_twice(a_join(), "c")
    described = driver.shard.describe("g")
    assert (described.group_state, described.protocol_data) == ("PreparingRebalance", "")
    assert [member.member_metadata for member in described.members] == [b"", b"", b""]


def test_a_simple_group_has_no_protocol_type() -> None:
    driver = ShardDriver()
    driver.commit(a_commit({("t", 0): 1}))
    described = driver.shard.describe("g")
    assert (described.group_state, described.protocol_type) == ("Empty", "")


def test_a_missing_group_is_dead() -> None:
    described = ShardDriver().shard.describe("g")
    assert (described.error_code, described.group_state) == (69, "Dead")
    assert described.error_message == "Group g not found."


@pytest.mark.parametrize(
    ("states", "types", "names"),
    [
        ([], [], ["g", "simple"]),
        (["Stable"], [], ["g"]),
        (["stable", "EMPTY"], [], ["g", "simple"]),
        ([" Empty "], [], ["simple"]),
        (["Nonsense"], [], []),
        ([], ["classic"], ["g", "simple"]),
        ([], ["CLASSIC", "consumer"], ["g", "simple"]),
        ([], ["consumer"], []),
        ([], [" classic"], []),
        (["Stable"], ["nonsense"], []),
    ],
)
def test_groups_are_listed_by_state_and_type(
    states: list[str], types: list[str], names: list[str]
) -> None:
    driver = ShardDriver()
    driver.stable_group("a")
    driver.commit(a_commit({("t", 0): 1}, group_id="simple"))
    listed = driver.shard.list_groups(states, types)
    assert [group.group_id for group in listed] == names
    for group in listed:
        is_simple = group.group_id == "simple"
        assert group.protocol_type == ("" if is_simple else "consumer")
        assert group.group_state == ("Empty" if is_simple else "Stable")


def test_only_empty_groups_are_deleted_and_their_offsets_with_them() -> None:
    driver = ShardDriver()
    driver.stable_group("a")
    driver.commit(a_commit({("t", 0): 1, ("t", 1): 2}, group_id="simple"))
    assert delete(driver, "g", "simple", "never") == [
        ErrorCode.NON_EMPTY_GROUP,
        ErrorCode.NONE,
        ErrorCode.GROUP_ID_NOT_FOUND,
    ]
    assert driver.committed("t", 0, "simple") == -1
    assert list(driver.restarted().shard.groups) == ["g"]
    assert driver.restarted().shard.offsets.by_group == {}


def test_offsets_of_open_transactions_are_deleted_too() -> None:
    driver = ShardDriver()
    driver.commit(a_commit({("t", 0): 1}))
    key = OffsetCommitKey(group="g", topic="t", partition=1)
    driver.shard.offsets.replay(key, OffsetCommitValue(offset=2), 1, 9)
    assert delete(driver, "g") == [ErrorCode.NONE]
    driver.shard.end_transaction(9, is_committed=True)
    assert driver.shard.offsets.by_group == {}


def test_members_of_a_deleted_group_start_anew() -> None:
    driver = ShardDriver()
    promised = driver.join(a_join()).member_id
    delete(driver, "g")
    assert driver.join(a_join(member_id=promised)).error_code == ErrorCode.UNKNOWN_MEMBER_ID
    driver.advance(10_000)
