from __future__ import annotations

import pytest

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.heartbeat import heartbeat
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import GroupSettings, Step, session_timer
from pykbroker.coordinator.transition import SetTimer
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from tests.harness.groups import ShardDriver


def beat(state: GroupState, **fields: object) -> tuple[ErrorCode, list[object]]:
    group = ClassicGroup("g", state=state, generation_id=3)
    group.add(Member("m", "i", "c", "/h", 30_000, 10_000, {"range": b""}))
    step = Step(0, GroupSettings())
    asked = {"group_id": "g", "member_id": "m", "generation_id": 3, **fields}
    response = heartbeat(group, step, HeartbeatRequest(**asked))  # type: ignore[arg-type]
    return ErrorCode(response.error_code), list(step.timers)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (GroupState.STABLE, ErrorCode.NONE),
        (GroupState.COMPLETING_REBALANCE, ErrorCode.NONE),
        (GroupState.PREPARING_REBALANCE, ErrorCode.REBALANCE_IN_PROGRESS),
    ],
)
def test_a_heartbeat_renews_the_session_in_every_live_state(
    state: GroupState, code: ErrorCode
) -> None:
    assert beat(state) == (code, [SetTimer(session_timer("g", "m"), 10_000)])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"member_id": "x"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"member_id": ""}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": 2}, ErrorCode.ILLEGAL_GENERATION),
        ({"generation_id": 4}, ErrorCode.ILLEGAL_GENERATION),
        ({"member_id": "x", "group_instance_id": "i"}, ErrorCode.FENCED_INSTANCE_ID),
        ({"group_instance_id": "j"}, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_a_heartbeat_of_somebody_else_renews_nothing(
    fields: dict[str, object], code: ErrorCode
) -> None:
    assert beat(GroupState.STABLE, **fields) == (code, [])


def test_a_missing_group_has_no_members() -> None:
    assert ShardDriver().heartbeat("m", 0) is ErrorCode.UNKNOWN_MEMBER_ID
