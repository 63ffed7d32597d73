"""Members of a consumer group that still speak the classic protocol: JoinGroup to LeaveGroup.

For them a member epoch is a generation, and the broker does what the leader did: JoinGroup moves
the member one step and answers at once, SyncGroup tells what it has. Heartbeats tell it to rejoin
when there is a new target, something to let go, or something to get.

Source: KIP-848; Kafka's GroupMetadataManager.classicGroupJoinToConsumerGroup and its like.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pykbroker.coordinator.group.consumer.checks import check_instance, check_room
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.embedded_protocol import (
    owned_partitions,
    read_subscription,
    write_assignment,
)
from pykbroker.coordinator.group.consumer.group_epoch import maybe_bump_epoch
from pykbroker.coordinator.group.consumer.heartbeat import (
    advance_member,
    replace_static_member,
    write_member,
)
from pykbroker.coordinator.group.consumer.member import ConsumerMember, MemberState
from pykbroker.coordinator.group.consumer.migration import downgrade, may_downgrade
from pykbroker.coordinator.group.consumer.reconcile import Owned
from pykbroker.coordinator.group.consumer.regex import RegexChange, update_regexes
from pykbroker.coordinator.group.consumer.settings import MigrationPolicy
from pykbroker.coordinator.group.joining import Join
from pykbroker.coordinator.group.step import (
    Step,
    member_join_timer,
    member_sync_timer,
    session_timer,
)
from pykbroker.coordinator.group.subscription import CONSUMER_PROTOCOL_TYPE
from pykbroker.protocol.errors import ErrorCode, KafkaError, ProtocolError
from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ClassicMemberMetadata,
    ClassicProtocol,
)
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.join_group import JoinGroupResponse
from pykbroker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

FIRST_JOIN_THAT_NEEDS_MEMBER_ID: Final = 4  # KIP-394


@dataclass(slots=True, frozen=True)
class RefuseJoin:
    """The JoinGroup whose records could not be written."""

    token: int


def join(
    group: ConsumerGroup, step: Step, joining: Join, new_uuid: Callable[[], str]
) -> JoinGroupResponse:
    """Handle JoinGroup; the answer does not wait for other members.

    Raises:
        KafkaError: INCONSISTENT_GROUP_PROTOCOL, GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID,
            FENCED_INSTANCE_ID.
    """
    request = joining.request
    if step.settings.consumer.migration_policy is MigrationPolicy.DISABLED:
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    is_unknown = not request.member_id
    member_id = request.member_id or new_uuid()
    check_room(group, member_id, step.settings.consumer.max_size)
    if request.protocol_type != CONSUMER_PROTOCOL_TYPE or not _supports(group, joining):
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    is_dynamic = request.group_instance_id is None
    if is_unknown and is_dynamic and joining.caller.api_version >= FIRST_JOIN_THAT_NEEDS_MEMBER_ID:
        return JoinGroupResponse(error_code=ErrorCode.MEMBER_ID_REQUIRED, member_id=member_id)
    protocol_name, metadata = next(iter(joining.protocols.items()))
    try:
        subscription = read_subscription(metadata)
    except ProtocolError as error:
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, str(error)) from error

    member = _find_member(group, step, request.group_instance_id, member_id, is_new=is_unknown)
    classic = ClassicMemberMetadata(
        request.session_timeout_ms,
        [ClassicProtocol(name, data) for name, data in joining.protocols.items()],
    )
    updated = member._replace(
        instance_id=request.group_instance_id or member.instance_id,
        rack_id=subscription.rack_id or member.rack_id,
        rebalance_timeout_ms=request.rebalance_timeout_ms,
        subscribed_topic_names=frozenset(subscription.topics),
        subscribed_topic_regex="",
        client_id=joining.caller.client_id,
        client_host=joining.caller.client_host,
        classic=classic,
    )
    has_changed = write_member(group, step, member, updated)
    has_changed |= update_regexes(group, step, member, updated) is not RegexChange.NONE
    owned = owned_partitions(subscription, step.topics)
    step.if_append_fails = RefuseJoin(joining.token)
    elder = group.static_member(request.group_instance_id)
    if elder is not None and _is_last_of_the_new_protocol(group, step, elder, updated):
        updated = _downgrade(group, step, elder, updated, owned, has_changed=has_changed)
        return _joined(updated, protocol_name)
    group_epoch = group.group_epoch
    if has_changed or group.has_metadata_expired(step.now_ms):
        group_epoch = maybe_bump_epoch(group, step, updated, has_changed=has_changed)
    updated = advance_member(
        group,
        step,
        updated,
        group_epoch=group_epoch,
        owned=owned,
        has_subscription_changed=has_changed,
    )
    step.cancel_timer(member_join_timer(group.group_id, member_id))
    step.set_timer(session_timer(group.group_id, member_id), request.session_timeout_ms)
    step.set_timer(member_sync_timer(group.group_id, member_id), request.rebalance_timeout_ms)
    return _joined(updated, protocol_name)


def _joined(member: ConsumerMember, protocol_name: str) -> JoinGroupResponse:
    return JoinGroupResponse(
        member_id=member.member_id,
        generation_id=member.member_epoch,
        protocol_type=CONSUMER_PROTOCOL_TYPE,
        protocol_name=protocol_name,
    )


def _is_last_of_the_new_protocol(
    group: ConsumerGroup, step: Step, elder: ConsumerMember, updated: ConsumerMember
) -> bool:
    """Whether a static member comes back with the classic protocol to classic members only."""
    if elder.uses_classic_protocol:
        return False
    return may_downgrade(group, step, [elder.member_id], updated)


def _downgrade(
    group: ConsumerGroup,
    step: Step,
    elder: ConsumerMember,
    updated: ConsumerMember,
    owned: Owned,
    *,
    has_changed: bool,
) -> ConsumerMember:
    if not has_changed:
        updated = advance_member(
            group,
            step,
            updated,
            group_epoch=group.assignment_epoch,
            owned=owned,
            has_subscription_changed=False,
        )
    # Nothing of the consumer group stays, so its replaced member need not be written down.
    step.records.clear()
    downgrade(group, step, [elder.member_id], updated, must_rebalance=has_changed)
    return updated


def _supports(group: ConsumerGroup, joining: Join) -> bool:
    """Whether one of the protocols is everybody's who has to have one."""
    classic = [member.classic for member in group.members.values() if member.classic is not None]
    counts = Counter(protocol.name for each in classic for protocol in each.supported_protocols)
    return any(counts[name] == len(classic) for name in joining.protocols)


def _find_member(
    group: ConsumerGroup, step: Step, instance_id: str | None, member_id: str, *, is_new: bool
) -> ConsumerMember:
    if instance_id is None:
        return group.members.get(member_id) or ConsumerMember(member_id)
    elder = group.static_member(instance_id)
    if not is_new:
        check_instance(elder, instance_id, member_id)
        return group.member(member_id)
    if elder is None:
        return ConsumerMember(member_id)
    return replace_static_member(group, step, elder, member_id)


def sync(group: ConsumerGroup, step: Step, request: SyncGroupRequest) -> SyncGroupResponse:
    """Handle SyncGroup: tell a classic member what it has.

    Raises:
        KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION,
            INCONSISTENT_GROUP_PROTOCOL, or REBALANCE_IN_PROGRESS when there is a new target.
    """
    member, classic = _classic_member(group, request.member_id, request.group_instance_id)
    if request.generation_id != member.member_epoch:
        raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
    protocol = classic.supported_protocols[0]
    if request.protocol_type not in (None, CONSUMER_PROTOCOL_TYPE) or (
        request.protocol_name not in (None, protocol.name)
    ):
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    has_new_target = group.assignment_epoch > member.member_epoch
    if has_new_target and member.state is not MemberState.UNREVOKED_PARTITIONS:
        step.start_timer(
            member_join_timer(group.group_id, member.member_id), member.rebalance_timeout_ms
        )
        return SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)
    step.cancel_timer(member_sync_timer(group.group_id, member.member_id))
    step.set_timer(session_timer(group.group_id, member.member_id), classic.session_timeout_ms)
    return SyncGroupResponse(
        protocol_type=request.protocol_type,
        protocol_name=request.protocol_name,
        assignment=write_assignment(member.assigned, step.topics, protocol.metadata),
    )


def heartbeat(group: ConsumerGroup, step: Step, request: HeartbeatRequest) -> HeartbeatResponse:
    """Handle Heartbeat: renew the session, and say whether the member must rejoin.

    Raises:
        KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION.
    """
    member, classic = _classic_member(group, request.member_id, request.group_instance_id)
    if request.generation_id != member.member_epoch:
        raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
    step.set_timer(session_timer(group.group_id, member.member_id), classic.session_timeout_ms)
    must_rejoin = (
        member.member_epoch < group.assignment_epoch
        or member.state is MemberState.UNREVOKED_PARTITIONS
        or (member.state is MemberState.UNRELEASED_PARTITIONS and not _waits(group, member))
    )
    if not must_rejoin:
        return HeartbeatResponse()
    step.start_timer(
        member_join_timer(group.group_id, member.member_id), member.rebalance_timeout_ms
    )
    return HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)


def _waits(group: ConsumerGroup, member: ConsumerMember) -> bool:
    """Whether somebody else still has a partition that the member is to get."""
    return any(
        (topic_id, index) in group.owners
        for topic_id, indexes in group.target_of(member).items()
        for index in indexes - member.assigned.get(topic_id, {}).keys()
    )


def _classic_member(
    group: ConsumerGroup, member_id: str, instance_id: str | None
) -> tuple[ConsumerMember, ClassicMemberMetadata]:
    if instance_id is not None:
        check_instance(group.static_member(instance_id), instance_id, member_id)
    member = group.member(member_id)
    if member.classic is None:
        message = f"Member {member_id} does not use the classic protocol."
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, message)
    return member, member.classic
