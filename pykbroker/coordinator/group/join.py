"""JoinGroup: a client asks to be, or to remain, a member of a group.

The request waits until the join phase ends, unless it can be answered at once: an error, a member
id to come back with (KIP-394), or the current generation for a member that asks again.

Source: KIP-62, KIP-345, KIP-394, KIP-559, KIP-800; Kafka's GroupMetadataManager.
"""

from collections.abc import Callable
from typing import Final

from pykbroker.coordinator.group.classic_group import ClassicGroup, Member
from pykbroker.coordinator.group.joining import (
    Join,
    join_error,
    joined_response,
    park,
)
from pykbroker.coordinator.group.rebalance import (
    drop_member,
    maybe_complete_join,
    rebalance_or_complete_join,
)
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.static_member import take_place
from pykbroker.coordinator.group.step import GroupSettings, Step, session_timer
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.join_group import JoinGroupRequest

FIRST_VERSION_THAT_NEEDS_MEMBER_ID: Final = 4  # KIP-394


def check_request(request: JoinGroupRequest, settings: GroupSettings) -> ErrorCode:
    """Return what is wrong with the request before any group is looked at.

    Returns:
        NONE, INVALID_GROUP_ID, or INVALID_SESSION_TIMEOUT outside of
        `group.min.session.timeout.ms` to `group.max.session.timeout.ms`.
    """
    if not request.group_id:
        return ErrorCode.INVALID_GROUP_ID
    least_ms, most_ms = settings.min_session_timeout_ms, settings.max_session_timeout_ms
    if not least_ms <= request.session_timeout_ms <= most_ms:
        return ErrorCode.INVALID_SESSION_TIMEOUT
    return ErrorCode.NONE


def join(group: ClassicGroup, step: Step, joining: Join, new_uuid: Callable[[], str]) -> None:
    """Handle one JoinGroup; every path answers its token now or parks it with a member."""
    request = joining.request
    if not _has_room(group, step, request.member_id):
        _turn_away(group, step, joining)
    elif not group.supports(request.protocol_type, joining.protocols):
        error = join_error(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, request.member_id)
        step.answer(joining.token, error)
    elif not request.member_id:
        _join_unknown(group, step, joining, new_uuid)
    elif request.member_id in group.pending_joins and request.group_instance_id is None:
        _add_member(group, step, joining, request.member_id)
    else:
        _rejoin(group, step, joining)


def _has_room(group: ClassicGroup, step: Step, member_id: str) -> bool:
    """Whether `group.max.size` lets this member in.

    In the join phase only those who have joined count: a group that was loaded with more members
    than it may have keeps the first to come back.
    """
    if group.state is GroupState.EMPTY:
        return True
    member = group.members.get(member_id)
    if group.state is GroupState.PREPARING_REBALANCE:
        has_joined = member is not None and member.awaiting_join is not None
        return has_joined or group.awaiting_join_count < step.settings.max_size
    return member is not None or len(group.members) < step.settings.max_size


def _turn_away(group: ClassicGroup, step: Step, joining: Join) -> None:
    member_id = joining.request.member_id
    member = group.members.get(member_id)
    if member is not None:
        drop_member(group, step, member, "the group is full")
    elif member_id in group.pending_joins:
        group.remove(member_id)
        step.cancel_timer(session_timer(group.group_id, member_id))
    step.answer(joining.token, join_error(ErrorCode.GROUP_MAX_SIZE_REACHED))
    # The others need not wait for one that may not come in. Kafka lets the timer run out.
    maybe_complete_join(group, step)


def _join_unknown(
    group: ClassicGroup, step: Step, joining: Join, new_uuid: Callable[[], str]
) -> None:
    request = joining.request
    instance_id = request.group_instance_id
    if instance_id is not None:
        member_id = f"{instance_id}-{new_uuid()}"
        if instance_id in group.static_members:
            take_place(group, step, joining, member_id)
        else:
            _add_member(group, step, joining, member_id)
        return

    member_id = f"{joining.caller.client_id}-{new_uuid()}"
    if joining.caller.api_version < FIRST_VERSION_THAT_NEEDS_MEMBER_ID:
        _add_member(group, step, joining, member_id)
        return
    group.pending_joins.add(member_id)
    step.set_timer(session_timer(group.group_id, member_id), request.session_timeout_ms)
    step.answer(joining.token, join_error(ErrorCode.MEMBER_ID_REQUIRED, member_id))


def _add_member(group: ClassicGroup, step: Step, joining: Join, member_id: str) -> None:
    request = joining.request
    if not group.members:
        group.protocol_type = request.protocol_type
    if group.initial_delay is not None:
        group.initial_delay.member_was_added = True
    member = Member(
        member_id=member_id,
        group_instance_id=request.group_instance_id,
        client_id=joining.caller.client_id,
        client_host=joining.caller.client_host,
        rebalance_timeout_ms=request.rebalance_timeout_ms,
        session_timeout_ms=request.session_timeout_ms,
        protocols=joining.protocols,
        is_new=True,
    )
    group.add(member)
    group.park_join(member, joining.token)
    # It does not know its id and so sends no heartbeats while it waits, and a client that went
    # away is not noticed. A long but finite session keeps such members from piling up.
    step.set_timer(
        session_timer(group.group_id, member_id), step.settings.new_member_join_timeout_ms
    )
    rebalance_or_complete_join(
        group, step, f"member {member_id} joins; client reason: {joining.reason}"
    )


def _rejoin(group: ClassicGroup, step: Step, joining: Join) -> None:
    """A member id that the client already has: find out whether that changes anything."""
    request = joining.request
    error_code = group.check_member(request.member_id, request.group_instance_id)
    if error_code is not ErrorCode.NONE:
        step.answer(joining.token, join_error(error_code, request.member_id))
        return

    member = group.members[request.member_id]
    is_leader = group.leader_id == member.member_id
    has_same_protocols = member.offers(joining.protocols)
    if group.state is GroupState.COMPLETING_REBALANCE and has_same_protocols:
        # The answer was lost on its way: give it again.
        step.answer(joining.token, joined_response(group, member))
    elif group.state is GroupState.STABLE and has_same_protocols and not is_leader:
        step.answer(joining.token, joined_response(group, member))
    else:
        # A leader that joins again wants a rebalance for reasons that only it can see, such as
        # new partitions; so does a follower with a new subscription.
        group.update(
            member,
            joining.protocols,
            rebalance_timeout_ms=request.rebalance_timeout_ms,
            session_timeout_ms=request.session_timeout_ms,
        )
        park(group, step, joining, member)
        rebalance_or_complete_join(
            group, step, f"member {member.member_id} rejoins; client reason: {joining.reason}"
        )
