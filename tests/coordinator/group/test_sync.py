from __future__ import annotations

import pytest

from pykbroker.protocol.errors import ErrorCode
from tests.harness.groups import ShardDriver, a_join


def completing_group(driver: ShardDriver, *client_ids: str) -> list[str]:
    tokens = [driver.send_join_twice(a_join(), name) for name in client_ids]
    driver.advance(0)
    return [driver.answers[token].member_id for token in tokens]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"member_id": "x"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": 9}, ErrorCode.ILLEGAL_GENERATION),
        ({"group_id": "other"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"instance_id": "i"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"protocol_type": "connect"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocol_name": "sticky"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocol_type": "consumer", "protocol_name": "range"}, ErrorCode.NONE),
    ],
)
def test_only_members_of_the_generation_and_protocol_sync(
    fields: dict[str, str], code: ErrorCode
) -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    asked = {"member_id": member_id, "generation_id": 1, **fields}
    answer = driver.sync(**asked)  # type: ignore[arg-type]
    assert answer.error_code == code
    assert answer.assignment == (member_id.encode() if code is ErrorCode.NONE else b"")


def test_a_static_member_is_fenced_by_its_successor() -> None:
    driver = ShardDriver()
    token = driver.send_join(a_join(instance_id="i"))
    driver.advance(0)
    elder = driver.answers[token].member_id
    driver.sync(elder, 1)
    driver.join(a_join(instance_id="i"))
    assert driver.sync(elder, 1, instance_id="i").error_code == ErrorCode.FENCED_INSTANCE_ID


def test_an_empty_group_has_nothing_to_sync() -> None:
    driver = ShardDriver()
    (member_id,) = driver.stable_group("a")
    driver.leave((member_id, None))
    assert driver.sync(member_id, 1).error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_during_the_join_phase_members_are_told_to_rejoin() -> None:
    driver = ShardDriver()
    a, b = driver.stable_group("a", "b")
    driver.leave((b, None))
    assert driver.sync(a, 1).error_code == ErrorCode.REBALANCE_IN_PROGRESS


def test_whom_the_leader_forgets_has_an_empty_assignment() -> None:
    driver = ShardDriver()
    a, b = completing_group(driver, "a", "b")
    waiting = driver.send_sync(b, 1)
    answer = driver.sync(a, 1, assignment={a: b"all", "stranger": b"none"})
    assert answer.assignment == b"all"
    assert driver.answers[waiting].assignment == b""
    assert driver.answers[waiting].protocol_name == "range"
    assert driver.answers[waiting].protocol_type == "consumer"


def test_a_new_member_meanwhile_makes_those_who_wait_rejoin() -> None:
    driver = ShardDriver()
    _, b = completing_group(driver, "a", "b")
    waiting = driver.send_sync(b, 1)
    driver.send_join_twice(a_join(), "c")
    assert driver.answers[waiting].error_code == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_member_is_not_dropped_while_it_waits_for_the_leader() -> None:
    driver = ShardDriver()
    a, b = completing_group(driver, "a", "b")
    waiting = driver.send_sync(b, 1)
    for _ in range(3):
        driver.advance(9_000)
        driver.heartbeat(a, 1)
    driver.send_sync(a, 1, {b: b"p"})
    assert driver.answers[waiting].assignment == b"p"
    driver.advance(9_999)
    assert b in driver.group().members


def test_a_leader_that_dies_before_it_assigns_is_dropped() -> None:
    driver = ShardDriver()
    _, b = completing_group(driver, "a", "b")
    waiting = driver.send_sync(b, 1)
    driver.advance(10_000)
    assert driver.answers[waiting].error_code == ErrorCode.REBALANCE_IN_PROGRESS
    token = driver.send_join(a_join(member_id=b))
    assert driver.answers[token].leader == b
