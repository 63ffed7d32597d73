"""LeaveGroup: members go, of their own accord or removed by an administrator.

Each entry names a member id, an instance id (an administrator removes a static member), or both.
Errors are per entry: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.

Source: KIP-345, KIP-800; Kafka's GroupMetadataManager.classicGroupLeaveToClassicGroup.
"""

from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.rebalance import drop_member, rebalance_or_complete_join
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import Step, session_timer
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberIdentity,
    MemberResponse,
)


def leave(group: ClassicGroup, step: Step, request: LeaveGroupRequest) -> LeaveGroupResponse:
    """Remove the members named, then rebalance once for all of them."""
    answers = [
        MemberResponse(
            member_id=leaving.member_id,
            group_instance_id=leaving.group_instance_id,
            error_code=_remove(group, step, leaving),
        )
        for leaving in request.members
    ]
    gone = [
        answer.member_id or str(answer.group_instance_id)
        for answer in answers
        if answer.error_code == ErrorCode.NONE
    ]
    if gone and group.state is not GroupState.EMPTY:
        rebalance_or_complete_join(group, step, f"members left: {', '.join(gone)}")
    return LeaveGroupResponse(members=answers)


def _remove(group: ClassicGroup, step: Step, leaving: MemberIdentity) -> ErrorCode:
    reason = f"left; client reason: {leaving.reason or 'not provided'}"
    member_id = leaving.member_id
    if not member_id:
        known_id = group.static_members.get(leaving.group_instance_id or "")
        if known_id is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        drop_member(group, step, group.members[known_id], reason)
        return ErrorCode.NONE
    if member_id in group.pending_joins:
        group.remove(member_id)
        step.cancel_timer(session_timer(group.group_id, member_id))
        return ErrorCode.NONE
    error_code = group.check_member(member_id, leaving.group_instance_id)
    if error_code is ErrorCode.NONE:
        drop_member(group, step, group.members[member_id], reason)
    return error_code
