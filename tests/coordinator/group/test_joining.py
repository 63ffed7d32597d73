from __future__ import annotations

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.joining import (
    Join,
    join_error,
    joined_response,
    park,
    protocols_of,
)
from pykbroker.coordinator.group.step import Caller, GroupSettings, Step
from pykbroker.coordinator.transition import Answer
from pykbroker.protocol.errors import ErrorCode
from tests.harness.groups import a_join

CALLER = Caller("c", "/h", 9)


def a_member(member_id: str) -> Member:
    return Member(member_id, None, "c", "/h", 30, 10, {"range": member_id.encode()})


def test_the_reason_is_the_clients_or_none() -> None:
    assert Join(a_join(reason="because"), CALLER, 1, {}).reason == "because"
    assert Join(a_join(), CALLER, 1, {}).reason == "not provided"
    assert Join(a_join(reason=""), CALLER, 1, {}).reason == "not provided"


def test_protocols_keep_the_order_of_preference() -> None:
    request = a_join(protocols={"b": b"1", "a": b"2"})
    assert list(protocols_of(request).items()) == [("b", b"1"), ("a", b"2")]


def test_only_the_leader_learns_who_the_others_are() -> None:
    group = ClassicGroup("g", generation_id=4, protocol_type="consumer", protocol_name="range")
    for member_id in ("a", "b"):
        group.add(a_member(member_id))
    leader = joined_response(group, group.members["a"])
    follower = joined_response(group, group.members["b"])
    assert [(m.member_id, m.metadata) for m in leader.members] == [("a", b"a"), ("b", b"b")]
    assert follower.members == []
    for response, member_id in ((leader, "a"), (follower, "b")):
        assert (response.member_id, response.leader) == (member_id, "a")
        assert (response.generation_id, response.protocol_name) == (4, "range")
        assert response.error_code == ErrorCode.NONE


def test_a_request_that_is_parked_twice_is_answered_once() -> None:
    group = ClassicGroup("g")
    member = a_member("a")
    group.add(member)
    step = Step(0, GroupSettings())
    for token in (1, 2):
        park(group, step, Join(a_join(), CALLER, token, {}), member)
    assert step.answers == [Answer(1, join_error(ErrorCode.REBALANCE_IN_PROGRESS, "a"))]
    assert member.awaiting_join == 2


def test_errors_have_no_generation() -> None:
    error = join_error(ErrorCode.GROUP_MAX_SIZE_REACHED)
    assert (error.generation_id, error.member_id, error.protocol_name) == (-1, "", "")
    assert join_error(ErrorCode.FENCED_INSTANCE_ID, "m").member_id == "m"
