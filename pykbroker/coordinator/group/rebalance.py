"""The rebalance: from "somebody came, changed or went" to a new generation.

    prepare_rebalance -> members rejoin -> complete_join -> the leader's SyncGroup -> Stable

The first rebalance of an empty group waits `group.initial.rebalance.delay.ms` and is prolonged
while members keep arriving, up to their rebalance timeout. Later ones end when all members have
rejoined or the longest rebalance timeout is over; then dynamic members that stayed away are
dropped and static ones are kept.

Source: KIP-62, KIP-134, KIP-345; Kafka's GroupMetadataManager.
"""

from pykbroker.coordinator.group.classic_group import ClassicGroup, InitialDelay, Member
from pykbroker.coordinator.group.joining import join_error, joined_response
from pykbroker.coordinator.group.records import group_metadata_record
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import Step, join_timer, session_timer, sync_timer
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.sync_group import SyncGroupResponse


def rebalance_or_complete_join(group: ClassicGroup, step: Step, reason: str) -> None:
    """Begin a rebalance, or end the join phase of the one that runs if nobody is missing."""
    if group.can_rebalance():
        prepare_rebalance(group, step, reason)
    else:
        maybe_complete_join(group, step)


def prepare_rebalance(group: ClassicGroup, step: Step, reason: str) -> None:
    """Open the join phase: from now on members are told to rejoin."""
    if group.state is GroupState.COMPLETING_REBALANCE:
        abandon_sync(group, step, ErrorCode.REBALANCE_IN_PROGRESS)
    group.pending_syncs.clear()
    step.cancel_timer(sync_timer(group.group_id))

    is_initial = group.state is GroupState.EMPTY
    group.transition_to(GroupState.PREPARING_REBALANCE, step.now_ms)
    step.log(
        f"group_rebalance group={group.group_id} generation={group.generation_id} "
        f"members={len(group.members)} reason={reason!r}"
    )
    if is_initial:
        delay_ms = step.settings.initial_rebalance_delay_ms
        remaining_ms = max(group.rebalance_timeout_ms() - delay_ms, 0)
        group.initial_delay = InitialDelay(delay_ms, remaining_ms)
        step.set_timer(join_timer(group.group_id), delay_ms)
    elif group.has_all_joined():
        complete_join(group, step)
    else:
        step.set_timer(join_timer(group.group_id), group.rebalance_timeout_ms())


def maybe_complete_join(group: ClassicGroup, step: Step) -> None:
    """End the join phase if everybody is there; an initial rebalance ends by its timer only."""
    if (
        group.state is GroupState.PREPARING_REBALANCE
        and group.initial_delay is None
        and group.has_all_joined()
    ):
        complete_join(group, step)


def expire_join(group: ClassicGroup, step: Step) -> None:
    """The join timer ran out: wait another round for the initial rebalance, or go on."""
    if group.state is not GroupState.PREPARING_REBALANCE:
        return
    waiting = group.initial_delay
    if waiting is None or not waiting.member_was_added or waiting.remaining_ms == 0:
        complete_join(group, step)
        return
    delay_ms = min(step.settings.initial_rebalance_delay_ms, waiting.remaining_ms)
    remaining_ms = max(waiting.remaining_ms - waiting.delay_ms, 0)
    group.initial_delay = InitialDelay(delay_ms, remaining_ms)
    step.set_timer(join_timer(group.group_id), delay_ms)


def complete_join(group: ClassicGroup, step: Step) -> None:
    """Close the join phase and answer everybody with the new generation."""
    step.cancel_timer(join_timer(group.group_id))
    absent = [m for m in group.members.values() if m.awaiting_join is None and not m.is_static]
    for member in absent:
        group.remove(member.member_id)
        step.cancel_timer(session_timer(group.group_id, member.member_id))
        step.log(
            f"group_member_removed group={group.group_id} member={member.member_id} "
            "reason='did not rejoin in time'"
        )

    if group.members and not group.elect_joined_leader():
        # Only absent static members are left. They keep their places until their sessions end.
        step.set_timer(join_timer(group.group_id), group.rebalance_timeout_ms())
        return

    group.initial_delay = None
    group.begin_generation(step.now_ms)
    if group.state is GroupState.EMPTY:
        step.records.append(group_metadata_record(group, lambda _: b""))
        step.log(f"group_empty group={group.group_id} generation={group.generation_id}")
        return

    step.log(
        f"group_generation group={group.group_id} generation={group.generation_id} "
        f"members={len(group.members)} leader={group.leader_id} protocol={group.protocol_name}"
    )
    for member in group.members.values():
        token = group.take_join(member)
        if token is not None:
            step.answer(token, joined_response(group, member))
        renew_session(group, step, member)
        member.is_new = False
        group.pending_syncs.add(member.member_id)
    step.set_timer(sync_timer(group.group_id), group.rebalance_timeout_ms())


def expire_sync(group: ClassicGroup, step: Step) -> None:
    """The sync timer ran out: drop the members that never asked for their assignment."""
    late = [member_id for member_id in group.members if member_id in group.pending_syncs]
    if group.state not in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE) or not late:
        return
    for member_id in late:
        drop_member(group, step, group.members[member_id], "did not sync in time")
    prepare_rebalance(group, step, "members did not sync in time")


def expire_session(group: ClassicGroup, step: Step, member_id: str) -> None:
    """A member, or the holder of a promised member id, was silent for too long."""
    if member_id in group.pending_joins:
        group.remove(member_id)
        step.log(f"group_pending_member_removed group={group.group_id} member={member_id}")
        if group.state is GroupState.PREPARING_REBALANCE and group.has_all_joined():
            complete_join(group, step)
        return
    member = group.members.get(member_id)
    if member is None or member.is_excused:
        return
    drop_member(group, step, member, "session expired")
    if group.state in (GroupState.STABLE, GroupState.COMPLETING_REBALANCE):
        rebalance_or_complete_join(group, step, f"session of {member_id} expired")
    elif group.state is GroupState.PREPARING_REBALANCE and group.has_all_joined():
        complete_join(group, step)


def drop_member(group: ClassicGroup, step: Step, member: Member, reason: str) -> None:
    """Take a member out; whatever it has parked here is answered so that it may start anew."""
    join_token = group.take_join(member)
    if join_token is not None:
        step.answer(join_token, join_error(ErrorCode.UNKNOWN_MEMBER_ID))
    if member.awaiting_sync is not None:
        step.answer(member.awaiting_sync, SyncGroupResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))
    group.remove(member.member_id)
    step.cancel_timer(session_timer(group.group_id, member.member_id))
    step.log(
        f"group_member_removed group={group.group_id} member={member.member_id} reason={reason!r}"
    )


def abandon_sync(group: ClassicGroup, step: Step, error_code: ErrorCode) -> None:
    """Answer every parked SyncGroup with an error and forget what had been assigned."""
    for member in group.members.values():
        member.assignment = b""
        if member.awaiting_sync is not None:
            step.answer(member.awaiting_sync, SyncGroupResponse(error_code=error_code))
            member.awaiting_sync = None
            renew_session(group, step, member)


def renew_session(group: ClassicGroup, step: Step, member: Member) -> None:
    """Give a member its whole session timeout again."""
    step.set_timer(session_timer(group.group_id, member.member_id), member.session_timeout_ms)
