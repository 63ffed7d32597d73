"""A static member that came back without its member id takes its own place over (KIP-345).

The elder incarnation, if it still lives, is fenced: its id is unknown from now on and requests
that name the instance id with it get FENCED_INSTANCE_ID. In a Stable group whose protocol stays
the same nobody else notices: the new id is written down and the newcomer gets its assignment.

Since JoinGroup v9 (KIP-814) a leader that came back so is told to skip the assignment; an older
one is named a leader that it is not, for the same effect.
"""

from dataclasses import dataclass, replace
from typing import Final

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.joining import (
    Join,
    join_error,
    joined_response,
    park,
)
from pykbroker.coordinator.group.rebalance import rebalance_or_complete_join, renew_session
from pykbroker.coordinator.group.records import group_metadata_record
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import Step, session_timer
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.join_group import JoinGroupResponse
from pykbroker.protocol.messages.sync_group import SyncGroupResponse

FIRST_VERSION_WITH_SKIP_ASSIGNMENT: Final = 9  # KIP-814


@dataclass(slots=True, frozen=True)
class RestoreStaticMember:
    """How to undo a replacement that could not be written."""

    group_id: str
    token: int
    elder: Member
    leader_id: str | None


def take_place(group: ClassicGroup, step: Step, joining: Join, member_id: str) -> None:
    """Put the newcomer, under a new member id, in the place of the elder incarnation."""
    request = joining.request
    elder = group.members[group.static_members[request.group_instance_id or ""]]
    _fence(group, step, elder)
    elder_leader_id = group.leader_id
    newcomer = replace(elder, member_id=member_id, is_new=False)
    group.replace_static(elder, newcomer)
    group.update(
        newcomer,
        joining.protocols,
        rebalance_timeout_ms=request.rebalance_timeout_ms,
        session_timeout_ms=request.session_timeout_ms,
    )
    step.cancel_timer(session_timer(group.group_id, elder.member_id))
    renew_session(group, step, newcomer)
    step.log(
        f"group_static_member_replaced group={group.group_id} "
        f"instance={request.group_instance_id} elder={elder.member_id} member={member_id}"
    )

    if group.state is GroupState.STABLE and group.select_protocol() == group.protocol_name:
        step.records.append(
            group_metadata_record(group, lambda named_id: group.members[named_id].assignment)
        )
        step.if_append_fails = RestoreStaticMember(
            group.group_id, joining.token, elder, elder_leader_id
        )
        step.answer(joining.token, _quiet_answer(group, joining, newcomer, elder_leader_id))
        return
    # In CompletingRebalance too: the leader may be assigning to the elder id just now.
    park(group, step, joining, newcomer)
    rebalance_or_complete_join(
        group, step, f"static member {member_id} joins; client reason: {joining.reason}"
    )


def restore_static_member(
    group: ClassicGroup, step: Step, undo: RestoreStaticMember, error_code: ErrorCode
) -> None:
    """Give the place back to the elder incarnation and fail the newcomer's JoinGroup."""
    newcomer = group.members[group.static_members[undo.elder.group_instance_id or ""]]
    group.replace_static(newcomer, undo.elder)
    group.leader_id = undo.leader_id
    step.cancel_timer(session_timer(group.group_id, newcomer.member_id))
    renew_session(group, step, undo.elder)
    step.answer(
        undo.token,
        JoinGroupResponse(
            error_code=error_code,
            generation_id=group.generation_id,
            protocol_type=group.protocol_type,
            protocol_name=group.protocol_name,
            leader=group.leader_id or "",
        ),
    )


def _fence(group: ClassicGroup, step: Step, elder: Member) -> None:
    join_token = group.take_join(elder)
    if join_token is not None:
        step.answer(join_token, join_error(ErrorCode.FENCED_INSTANCE_ID, elder.member_id))
    if elder.awaiting_sync is not None:
        step.answer(elder.awaiting_sync, SyncGroupResponse(error_code=ErrorCode.FENCED_INSTANCE_ID))
        elder.awaiting_sync = None


def _quiet_answer(
    group: ClassicGroup, joining: Join, newcomer: Member, elder_leader_id: str | None
) -> JoinGroupResponse:
    answer = joined_response(group, newcomer)
    if joining.caller.api_version >= FIRST_VERSION_WITH_SKIP_ASSIGNMENT:
        answer.skip_assignment = group.leader_id == newcomer.member_id
    else:
        answer.leader = elder_leader_id or ""
        answer.members = []
    return answer
