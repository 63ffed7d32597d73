from __future__ import annotations

from pykbroker.protocol.errors import ErrorCode
from tests.harness.groups import ShardDriver, a_join

NONE, UNKNOWN = ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID


def test_several_members_leave_and_one_rebalance_follows() -> None:
    driver = ShardDriver()
    a, b, c = driver.stable_group("a", "b", "c")
    driver.transitions.clear()

    assert driver.leave((a, None), (b, None), ("x", None)) == [NONE, NONE, UNKNOWN]

    (transition,) = driver.transitions
    assert sum("group_rebalance" in event for event in transition.events) == 1
    assert list(driver.group().members) == [c]
    assert driver.heartbeat(c, 1) is ErrorCode.REBALANCE_IN_PROGRESS


def test_nobody_left_so_nobody_rebalances() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    assert driver.leave(("x", None), ("", None), ("", "j"), (member_id, "j")) == [UNKNOWN] * 4
    assert driver.heartbeat(member_id, 1) is NONE


def test_a_static_member_is_removed_by_either_of_its_names() -> None:
    driver = ShardDriver()
    first = driver.send_join(a_join(instance_id="i"))
    driver.advance(0)
    member_id = driver.answers[first].member_id
    assert driver.leave(("x", "i")) == [ErrorCode.FENCED_INSTANCE_ID]
    assert driver.leave((member_id, "i")) == [NONE]
    driver.send_join(a_join(instance_id="i"))
    driver.advance(0)
    assert driver.leave(("", "i")) == [NONE]
    assert driver.group().members == {}


def test_a_promised_member_id_can_be_given_back() -> None:
    driver = ShardDriver()
    promised = driver.join(a_join()).member_id
    assert driver.leave((promised, None)) == [NONE]
    assert driver.timers == {}
    assert driver.leave((promised, None)) == [UNKNOWN]


def test_the_others_need_not_wait_for_a_promised_member_that_goes() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    promised = driver.join(a_join()).member_id
    token = driver.send_join(a_join(member_id=member_id))
    assert token not in driver.answers
    driver.leave((promised, None))
    assert driver.answers[token].generation_id == 2


def test_a_member_that_leaves_while_it_waits_is_answered() -> None:
    driver = ShardDriver()
    a, b = driver.stable_group("a", "b")
    joining = driver.send_join(a_join(member_id=a))
    driver.leave((a, None))
    assert driver.answers[joining].error_code == UNKNOWN

    driver.send_join(a_join(member_id=b))
    token = driver.send_join_twice(a_join(), "c")
    driver.send_join(a_join(member_id=b))
    driver.advance(30_000)
    generation_id = driver.answers[token].generation_id
    c = driver.answers[token].member_id
    syncing = driver.send_sync(c, generation_id)
    driver.leave((c, None))
    assert driver.answers[syncing].error_code == UNKNOWN


def test_of_a_missing_group_nobody_is_a_member() -> None:
    assert ShardDriver().leave(("a", None), ("", "i")) == [UNKNOWN, UNKNOWN]
