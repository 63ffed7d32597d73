from __future__ import annotations

import pytest

from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.join_group import JoinGroupResponse
from tests.harness.groups import ShardDriver, a_join


def static_group(driver: ShardDriver, *instance_ids: str) -> list[str]:
    """Bring static members into a Stable group; the first one leads."""
    tokens = [driver.send_join(a_join(instance_id=i), i) for i in instance_ids]
    driver.advance(0)
    member_ids = [driver.answers[token].member_id for token in tokens]
    for member_id in member_ids[1:]:
        driver.send_sync(member_id, 1)
    driver.send_sync(member_ids[0], 1, {m: m.encode() for m in member_ids})
    return member_ids


def test_a_newcomer_gets_the_assignment_and_nobody_rebalances() -> None:
    driver = ShardDriver()
    leader, elder = static_group(driver, "i", "j")
    answer = driver.join(a_join(instance_id="j"))
    assert answer.member_id != elder
    assert (answer.generation_id, answer.leader, answer.skip_assignment) == (1, leader, False)
    assert driver.sync(answer.member_id, 1).assignment == elder.encode()
    assert driver.heartbeat(leader, 1) is ErrorCode.NONE
    assert driver.heartbeat(elder, 1, "j") is ErrorCode.FENCED_INSTANCE_ID
    assert driver.heartbeat(elder, 1) is ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize(
    ("version", "skips", "member_count"), [(5, False, 0), (8, False, 0), (9, True, 2)]
)
def test_a_leader_that_comes_back_does_not_assign_again(
    version: int, skips: bool, member_count: int
) -> None:
    driver = ShardDriver()
    elder, _ = static_group(driver, "i", "j")
    token = driver.send_join(a_join(instance_id="i"), version=version)
    answer = driver.answers[token]
    assert answer.skip_assignment is skips
    assert len(answer.members) == member_count
    assert answer.leader == (answer.member_id if skips else elder)
    assert driver.group().leader_id == answer.member_id


def test_the_replacement_survives_a_restart() -> None:
    driver = ShardDriver()
    _, elder = static_group(driver, "i", "j")
    newcomer = driver.join(a_join(instance_id="j")).member_id
    successor = driver.restarted()
    assert successor.heartbeat(newcomer, 1, "j") is ErrorCode.NONE
    assert successor.heartbeat(elder, 1, "j") is ErrorCode.FENCED_INSTANCE_ID
    assert successor.sync(newcomer, 1).assignment == elder.encode()


def test_a_replacement_that_cannot_be_written_is_undone() -> None:
    driver = ShardDriver()
    leader, elder = static_group(driver, "i", "j")
    for instance_id, member_id in (("i", leader), ("j", elder)):
        driver.failing_appends = ErrorCode.NOT_COORDINATOR
        answer = driver.join(a_join(instance_id=instance_id))
        assert isinstance(answer, JoinGroupResponse)
        assert (answer.error_code, answer.member_id) == (ErrorCode.NOT_COORDINATOR, "")
        assert driver.heartbeat(member_id, 1, instance_id) is ErrorCode.NONE
    assert driver.group().leader_id == leader
    assert sorted(key[2] for key in driver.timers if key[0] == "session") == [leader, elder]


def test_the_elder_is_answered_wherever_it_waits() -> None:
    driver = ShardDriver()
    leader, _ = static_group(driver, "i", "j")
    driver.send_join(a_join(member_id=leader, instance_id="i"))
    waiting = driver.send_join(a_join(instance_id="k"))
    driver.send_join(a_join(instance_id="k"))
    assert driver.answers[waiting].error_code == ErrorCode.FENCED_INSTANCE_ID

    driver.send_join(a_join(instance_id="j"))
    joined = driver.answers[max(driver.answers)]
    waiting = driver.send_sync(joined.member_id, joined.generation_id)
    driver.send_join(a_join(instance_id="j"))
    assert driver.answers[waiting].error_code == ErrorCode.FENCED_INSTANCE_ID


def test_the_newcomers_timeouts_count() -> None:
    driver = ShardDriver()
    (elder,) = static_group(driver, "i")
    newcomer = driver.join(a_join(instance_id="i", session_timeout_ms=60_000)).member_id
    driver.advance(59_999)
    assert newcomer in driver.group().members
    assert ("session", "g", elder) not in driver.timers
    driver.advance(1)
    assert driver.group().members == {}
