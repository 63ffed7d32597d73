from __future__ import annotations

import pytest

from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import GroupSettings, join_timer, sync_timer
from pykbroker.protocol.errors import ErrorCode
from tests.harness.groups import ShardDriver, a_join


def test_every_generation_is_one_more_than_the_last() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    for generation_id in range(2, 6):
        token = driver.send_join(a_join(member_id=member_id))
        assert driver.answers[token].generation_id == generation_id
        driver.sync(member_id, generation_id)
    driver.leave((member_id, None))
    assert driver.group().generation_id == 6
    (newcomer,) = driver.stable_group("b")
    assert driver.heartbeat(newcomer, 7) is ErrorCode.NONE


@pytest.mark.parametrize(
    ("rebalance_ms", "arrivals", "ends_ms"),
    [
        (300_000, [0], 3_000),
        (300_000, [0, 2_000], 6_000),
        (300_000, [0, 2_000, 5_000], 9_000),
        (7_000, [0, 2_000, 5_000], 7_000),
        (1_000, [0, 2_000], 3_000),
    ],
)
def test_the_initial_delay_grows_with_arrivals_up_to_the_rebalance_timeout(
    rebalance_ms: int, arrivals: list[int], ends_ms: int
) -> None:
    driver = ShardDriver(GroupSettings(initial_rebalance_delay_ms=3_000))
    start_ms = driver.now_ms
    tokens = []
    for arrival_ms in arrivals:
        driver.advance(start_ms + arrival_ms - driver.now_ms)
        request = a_join(rebalance_timeout_ms=rebalance_ms)
        tokens.append(driver.send_join(request, version=3))
    driver.advance(start_ms + ends_ms - 1 - driver.now_ms)
    assert driver.answers == {}
    driver.advance(1)
    assert set(driver.answers) == set(tokens)


def test_the_longest_rebalance_timeout_counts() -> None:
    driver = ShardDriver()
    a, b = driver.stable_group("a", "b", rebalance_timeout_ms=20_000, session_timeout_ms=60_000)
    token = driver.send_join_twice(a_join(rebalance_timeout_ms=40_000), "c")
    driver.send_join(a_join(member_id=a, rebalance_timeout_ms=10_000, session_timeout_ms=60_000))
    driver.advance(39_999)
    assert token not in driver.answers
    driver.advance(1)
    assert driver.answers[token].generation_id == 2
    assert b not in driver.group().members


def test_a_new_member_waits_for_five_minutes_at_most() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a", rebalance_timeout_ms=600_000)
    token = driver.send_join(a_join(rebalance_timeout_ms=600_000), "b", 3)
    for _ in range(60):
        assert token not in driver.answers
        driver.advance(5_000)
        driver.heartbeat(member_id, 1)
    assert driver.answers[token].error_code == ErrorCode.UNKNOWN_MEMBER_ID
    assert list(driver.group().members) == [member_id]


def test_a_promised_member_holds_the_others_up_until_its_session_ends() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    driver.join(a_join(session_timeout_ms=8_000))
    token = driver.send_join(a_join(member_id=member_id))
    driver.advance(7_999)
    assert token not in driver.answers
    driver.advance(1)
    assert driver.answers[token].generation_id == 2


def test_members_that_never_sync_are_dropped_by_the_rebalance_timeout() -> None:
    driver = ShardDriver()
    tokens = [driver.send_join_twice(a_join(), name) for name in ("a", "b")]
    driver.advance(0)
    a, b = (driver.answers[token].member_id for token in tokens)
    driver.sync(a, 1, assignment={a: b"x"})
    for _ in range(4):
        driver.heartbeat(a, 1)
        driver.heartbeat(b, 1)
        driver.advance(7_500)
    assert list(driver.group().members) == [a]
    assert driver.group().state is GroupState.PREPARING_REBALANCE


def test_timers_of_a_phase_end_with_it() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    assert set(driver.timers) == {("session", "g", member_id)}
    driver.leave((member_id, None))
    assert driver.timers == {}


def test_timers_that_run_out_too_late_do_nothing() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    for key in (join_timer("g"), sync_timer("g"), join_timer("x"), ("session", "g", "gone")):
        driver.transitions.clear()
        driver.run(lambda step, key=key: driver.shard.expire(step, key))  # type: ignore[misc]
        assert not driver.transitions[0].timers
    assert driver.heartbeat(member_id, 1) is ErrorCode.NONE


def test_a_member_that_waits_for_us_outlives_its_session() -> None:
    driver = ShardDriver()
    a, b = driver.stable_group("a", "b", session_timeout_ms=10_000, rebalance_timeout_ms=60_000)
    token = driver.send_join(a_join(member_id=a, rebalance_timeout_ms=60_000))
    for _ in range(10):
        driver.advance(5_000)
        driver.heartbeat(b, 1)
    assert token not in driver.answers
    assert a in driver.group().members
    driver.send_join(a_join(member_id=b))
    assert driver.answers[token].generation_id == 2


def test_a_session_that_ends_while_all_others_wait_lets_them_go_on() -> None:
    driver = ShardDriver()
    a, b = driver.stable_group("a", "b")
    token = driver.send_join(a_join(member_id=a))
    driver.advance(10_000)
    assert driver.answers[token].generation_id == 2
    assert b not in driver.group().members


def test_only_absent_static_members_are_waited_for_until_their_sessions_end() -> None:
    driver = ShardDriver()
    request = a_join(instance_id="i", session_timeout_ms=60_000, rebalance_timeout_ms=10_000)
    token = driver.send_join(request)
    driver.advance(0)
    static_id = driver.answers[token].member_id
    driver.sync(static_id, 1)
    newcomer = driver.send_join_twice(a_join(rebalance_timeout_ms=10_000), "b")
    driver.advance(10_000)
    dynamic_id = driver.answers[newcomer].member_id
    assert driver.answers[newcomer].leader == dynamic_id
    driver.leave((dynamic_id, None))
    driver.advance(30_000)
    group = driver.group()
    assert (group.state, list(group.members)) == (GroupState.PREPARING_REBALANCE, [static_id])
    driver.advance(30_000)
    assert group.state is GroupState.EMPTY
