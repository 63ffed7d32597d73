"""Members that go: of their own accord, for a while, or because they were silent or too slow.

Source: KIP-848; Kafka's GroupMetadataManager.consumerGroupLeave and consumerGroupFenceMembers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pykbroker.coordinator.group.consumer.checks import check_instance
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.group_epoch import bump_epoch_without
from pykbroker.coordinator.group.consumer.member import STATIC_LEAVE_EPOCH, ConsumerMember
from pykbroker.coordinator.group.consumer.migration import downgrade, may_downgrade
from pykbroker.coordinator.group.consumer.records import (
    current_assignment_record,
    member_tombstones,
    regex_tombstone,
)
from pykbroker.coordinator.group.step import (
    Step,
    member_join_timer,
    member_sync_timer,
    rebalance_timer,
    session_timer,
)
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)

RETRY_MS: Final = 500


@dataclass(slots=True, frozen=True)
class FenceAgain:
    """The members whose departure could not be written."""

    group_id: str
    member_ids: tuple[str, ...]


def leave(
    group: ConsumerGroup, step: Step, request: ConsumerGroupHeartbeatRequest
) -> ConsumerGroupHeartbeatResponse:
    """Handle a heartbeat that says good-bye.

    A static member that leaves with epoch -2 keeps its place, and its partitions, until its
    session ends.

    Raises:
        KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    """
    if request.instance_id is None:
        member = group.member(request.member_id)
    else:
        static_member = group.static_member(request.instance_id)
        check_instance(static_member, request.instance_id, request.member_id)
        member = group.member(request.member_id)
    response = ConsumerGroupHeartbeatResponse(
        member_id=request.member_id, member_epoch=request.member_epoch
    )
    if request.instance_id is not None and request.member_epoch == STATIC_LEAVE_EPOCH:
        absent = member._replace(member_epoch=STATIC_LEAVE_EPOCH, pending_revocation={})
        step.records.append(current_assignment_record(group.group_id, absent))
        step.log(f"group_static_member_absent group={group.group_id} member={member.member_id}")
    else:
        fence_members(group, step, [member], "left")
    return response


def fence_members(
    group: ConsumerGroup, step: Step, members: Sequence[ConsumerMember], reason: str
) -> None:
    """Remove members for good; the others get a new target with their next heartbeats.

    The group becomes classic when only classic members are left and the policy allows it.
    """
    if not members:
        return
    gone = [member.member_id for member in members]
    step.if_append_fails = FenceAgain(group.group_id, tuple(gone))
    for member_id in gone:
        cancel_timers(group, step, member_id)
        step.log(
            f"group_member_removed group={group.group_id} member={member_id} reason={reason!r}"
        )
    if may_downgrade(group, step, gone):
        downgrade(group, step, gone)
        return
    for member_id in gone:
        step.records.extend(member_tombstones(group.group_id, member_id))
    left = group.members_without(gone)
    still_wanted = {member.subscribed_topic_regex for member in left}
    for regex in dict.fromkeys(member.subscribed_topic_regex for member in members):
        if regex and regex not in still_wanted:
            step.records.append(regex_tombstone(group.group_id, regex))
    bump_epoch_without(group, step, gone)


def fence_again(group: ConsumerGroup, step: Step, failed: FenceAgain) -> None:
    """Try once more in a moment: otherwise nothing might ever end these members' sessions."""
    for member_id in failed.member_ids:
        if member_id in group.members:
            step.set_timer(session_timer(group.group_id, member_id), RETRY_MS)


def cancel_timers(group: ConsumerGroup, step: Step, member_id: str) -> None:
    """Stop all that runs for a member."""
    step.cancel_timer(session_timer(group.group_id, member_id))
    step.cancel_timer(rebalance_timer(group.group_id, member_id))
    step.cancel_timer(member_join_timer(group.group_id, member_id))
    step.cancel_timer(member_sync_timer(group.group_id, member_id))
