"""Heartbeat: a member says that it lives, and hears whether it must rejoin."""

from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.rebalance import renew_session
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import Step
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse


def heartbeat(group: ClassicGroup, step: Step, request: HeartbeatRequest) -> HeartbeatResponse:
    """Renew the member's session; during the join phase also tell it to rejoin."""
    error_code = group.check_member(request.member_id, request.group_instance_id)
    if error_code is not ErrorCode.NONE:
        return HeartbeatResponse(error_code=error_code)
    if request.generation_id != group.generation_id:
        return HeartbeatResponse(error_code=ErrorCode.ILLEGAL_GENERATION)
    renew_session(group, step, group.members[request.member_id])
    # In CompletingRebalance a member may beat before it has synced: that is no reason to rejoin.
    must_rejoin = group.state is GroupState.PREPARING_REBALANCE
    return HeartbeatResponse(
        error_code=ErrorCode.REBALANCE_IN_PROGRESS if must_rejoin else ErrorCode.NONE
    )
