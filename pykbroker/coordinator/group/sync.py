"""SyncGroup: members fetch their assignment, which the leader brings.

Followers wait for the leader. The leader's assignment is written to the log first; it takes
effect when the record is replayed (`ClassicGroup.apply`) and the answers follow when it is durable.

Source: KIP-62, KIP-559; Kafka's GroupMetadataManager.classicGroupSyncToClassicGroup.
"""

from dataclasses import dataclass

from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.rebalance import rebalance_or_complete_join, renew_session
from pykbroker.coordinator.group.records import group_metadata_record
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import Step, sync_timer
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse


@dataclass(slots=True, frozen=True)
class AbandonSync:
    """Who was to be told the assignment that could not be written: member id and token."""

    group_id: str
    waiting: tuple[tuple[str, int], ...]


def sync(group: ClassicGroup, step: Step, request: SyncGroupRequest, token: int) -> None:
    """Handle one SyncGroup; every path answers its token now or parks it with the member."""
    error_code = _check(group, request)
    if error_code is not ErrorCode.NONE:
        step.answer(token, SyncGroupResponse(error_code=error_code))
        return
    member = group.members[request.member_id]
    group.pending_syncs.discard(member.member_id)
    if not group.pending_syncs:
        step.cancel_timer(sync_timer(group.group_id))
    if group.state is GroupState.STABLE:
        step.answer(token, _synced_response(group, member.assignment))
        return

    if member.awaiting_sync is not None:
        # Asked twice; see `joining.park`.
        superseded = SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)
        step.answer(member.awaiting_sync, superseded)
    member.awaiting_sync = token
    if group.leader_id == member.member_id:
        _assign(group, step, request)


def _check(group: ClassicGroup, request: SyncGroupRequest) -> ErrorCode:
    if group.state is GroupState.EMPTY:
        return ErrorCode.UNKNOWN_MEMBER_ID
    error_code = group.check_member(request.member_id, request.group_instance_id)
    if error_code is not ErrorCode.NONE:
        return error_code
    if request.generation_id != group.generation_id:
        return ErrorCode.ILLEGAL_GENERATION
    if _differs(request.protocol_type, group.protocol_type) or _differs(
        request.protocol_name, group.protocol_name
    ):
        return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    if group.state is GroupState.PREPARING_REBALANCE:
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE


def _differs(said: str | None, actual: str | None) -> bool:
    return said is not None and actual is not None and said != actual


def _assign(group: ClassicGroup, step: Step, request: SyncGroupRequest) -> None:
    assignment = {given.member_id: given.assignment for given in request.assignments}

    def assignment_of(member_id: str) -> bytes:
        return assignment.get(member_id, b"")

    step.records.append(group_metadata_record(group, assignment_of))
    waiting = []
    for member in group.members.values():
        if member.awaiting_sync is not None:
            waiting.append((member.member_id, member.awaiting_sync))
            answer = _synced_response(group, assignment_of(member.member_id))
            step.answer(member.awaiting_sync, answer)
            member.awaiting_sync = None
            renew_session(group, step, member)
    step.if_append_fails = AbandonSync(group.group_id, tuple(waiting))
    unassigned = sum(1 for member_id in group.members if member_id not in assignment)
    step.log(
        f"group_assigned group={group.group_id} generation={group.generation_id} "
        f"members={len(group.members)} unassigned={unassigned}"
    )


def undo_assignment(
    group: ClassicGroup, step: Step, undo: AbandonSync, error_code: ErrorCode
) -> None:
    """Fail the waiting members and let them all rejoin."""
    for member_id, token in undo.waiting:
        step.answer(token, SyncGroupResponse(error_code=error_code))
        renew_session(group, step, group.members[member_id])
    rebalance_or_complete_join(
        group, step, f"the assignment could not be stored: {error_code.name}"
    )


def _synced_response(group: ClassicGroup, assignment: bytes) -> SyncGroupResponse:
    return SyncGroupResponse(
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name,
        assignment=assignment,
    )
