"""ConsumerGroupHeartbeat: a member joins, lives, changes its mind, and hears what it may consume.

    who is it -> has it changed -> group epoch -> target assignment -> one step of the member

Each arrow adds the records of its change; what has not changed is not written, and a heartbeat
that writes nothing need not wait for the disk.

Source: KIP-848, KIP-1101, KIP-1263; Kafka's GroupMetadataManager.consumerGroupHeartbeat.
"""

from pykbroker.coordinator.group.consumer.checks import (
    NO_TIMEOUT,
    check_epoch,
    check_instance,
    check_released,
    check_room,
)
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.group_epoch import maybe_bump_epoch
from pykbroker.coordinator.group.consumer.member import (
    JOIN_EPOCH,
    ConsumerMember,
    MemberState,
    PartitionEpochs,
)
from pykbroker.coordinator.group.consumer.reconcile import Goal, Owned, reconcile
from pykbroker.coordinator.group.consumer.records import (
    current_assignment_record,
    member_record,
    member_tombstones,
    target_member_record,
)
from pykbroker.coordinator.group.consumer.regex import RegexChange, update_regexes
from pykbroker.coordinator.group.consumer.target import topic_ids, update_target
from pykbroker.coordinator.group.step import Caller, Step, rebalance_timer, session_timer
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)


def heartbeat(
    group: ConsumerGroup,
    step: Step,
    request: ConsumerGroupHeartbeatRequest,
    caller: Caller,
    member_id: str,
) -> ConsumerGroupHeartbeatResponse:
    """Handle a heartbeat of a member that joins or stays.

    Args:
        group: The group; a new one is not in the shard yet.
        step: Gets the records and timers.
        request: Has been checked by `check_request`.
        caller: The client, for administrators.
        member_id: The request's, or a new one where an old client leaves it to the broker.

    Raises:
        KafkaError: GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH,
            FENCED_INSTANCE_ID, UNRELEASED_INSTANCE_ID, INVALID_REGULAR_EXPRESSION.
    """
    check_room(group, request.member_id, step.settings.consumer.max_size)
    owned = request.topic_partitions
    member = _find_member(group, step, request, member_id)
    updated = _updated(member, request, caller)
    names_changed = write_member(group, step, member, updated)
    regex_change = update_regexes(group, step, member, updated)
    group_epoch = group.group_epoch
    has_changed = names_changed or regex_change is RegexChange.CHANGED_AND_RESOLVED
    if has_changed or group.has_metadata_expired(step.now_ms):
        group_epoch = maybe_bump_epoch(group, step, updated, has_changed=has_changed)
    updated = advance_member(
        group,
        step,
        updated,
        group_epoch=group_epoch,
        owned=owned,
        has_subscription_changed=names_changed or regex_change is not RegexChange.NONE,
    )
    times = step.settings.consumer.times_of(group.group_id)
    step.set_timer(session_timer(group.group_id, member_id), times.session_timeout_ms)

    response = ConsumerGroupHeartbeatResponse(
        member_id=updated.member_id,
        member_epoch=updated.member_epoch,
        heartbeat_interval_ms=times.heartbeat_interval_ms,
    )
    is_joining = request.member_epoch == JOIN_EPOCH
    has_new_partitions = updated is not member and updated.assigned != member.assigned
    if is_joining or _is_full(request) or has_new_partitions:
        response.assignment = _assignment(updated.assigned)
    return response


def _find_member(
    group: ConsumerGroup, step: Step, request: ConsumerGroupHeartbeatRequest, member_id: str
) -> ConsumerMember:
    is_joining = request.member_epoch == JOIN_EPOCH
    instance_id = request.instance_id
    if instance_id is None:
        member = group.members.get(member_id)
        if member is None and is_joining:
            return ConsumerMember(member_id)
        member = group.member(member_id)
        check_epoch(member, request.member_epoch, request.topic_partitions)
        return member
    elder = group.static_member(instance_id)
    if not is_joining:
        check_instance(elder, instance_id, member_id)
        member = group.member(member_id)
        check_epoch(member, request.member_epoch, request.topic_partitions)
        return member
    if elder is None:
        return group.members.get(member_id) or ConsumerMember(member_id)
    if not elder.uses_classic_protocol:
        check_released(elder, instance_id, member_id)
    return replace_static_member(group, step, elder, member_id)


def replace_static_member(
    group: ConsumerGroup, step: Step, elder: ConsumerMember, member_id: str
) -> ConsumerMember:
    """Give a static member's place to its new self; the elder's timers find nobody any more."""
    member = elder._replace(
        member_id=member_id, member_epoch=JOIN_EPOCH, previous_member_epoch=JOIN_EPOCH
    )
    group_id = group.group_id
    step.records.extend(member_tombstones(group_id, elder.member_id))
    step.records.append(member_record(group_id, member))
    target = group.target.get(elder.member_id, {})
    step.records.append(target_member_record(group_id, member_id, target))
    step.records.append(current_assignment_record(group_id, member))
    step.log(
        f"group_static_member_replaced group={group_id} instance={elder.instance_id} "
        f"old={elder.member_id} new={member_id}"
    )
    return member


def _updated(
    member: ConsumerMember, request: ConsumerGroupHeartbeatRequest, caller: Caller
) -> ConsumerMember:
    """Take over what the request says; null stands for what has not changed."""
    if _says_nothing_new(member, request, caller):
        return member
    names = request.subscribed_topic_names
    regex = request.subscribed_topic_regex
    timeout_ms = request.rebalance_timeout_ms
    return member._replace(
        instance_id=member.instance_id if request.instance_id is None else request.instance_id,
        rack_id=member.rack_id if request.rack_id is None else request.rack_id,
        rebalance_timeout_ms=(
            member.rebalance_timeout_ms if timeout_ms == NO_TIMEOUT else timeout_ms
        ),
        server_assignor=(
            member.server_assignor if request.server_assignor is None else request.server_assignor
        ),
        subscribed_topic_names=member.subscribed_topic_names if names is None else frozenset(names),
        subscribed_topic_regex=member.subscribed_topic_regex if regex is None else regex,
        client_id=caller.client_id,
        client_host=caller.client_host,
        classic=None,
    )


def _says_nothing_new(
    member: ConsumerMember, request: ConsumerGroupHeartbeatRequest, caller: Caller
) -> bool:
    """Whether this is one of the many heartbeats that only say that the member lives."""
    return (
        request.subscribed_topic_names is None
        and request.subscribed_topic_regex is None
        and request.rebalance_timeout_ms == NO_TIMEOUT
        and request.server_assignor is None
        and request.rack_id is None
        and request.instance_id == member.instance_id
        and caller.client_id == member.client_id
        and caller.client_host == member.client_host
        and member.classic is None
        and request.member_epoch != JOIN_EPOCH
    )


def write_member(
    group: ConsumerGroup, step: Step, member: ConsumerMember, updated: ConsumerMember
) -> bool:
    """Write down what a member says of itself; returns whether its topic names have changed."""
    if updated is member or updated == member:
        return False
    step.records.append(member_record(group.group_id, updated))
    if member.member_id not in group.members:
        step.log(f"group_member_joined group={group.group_id} member={member.member_id}")
    return updated.subscribed_topic_names != member.subscribed_topic_names


def advance_member(
    group: ConsumerGroup,
    step: Step,
    updated: ConsumerMember,
    *,
    group_epoch: int,
    owned: Owned | None,
    has_subscription_changed: bool,
) -> ConsumerMember:
    """Update the target if it is time, and take the member one step towards it."""
    target_epoch, target = update_target(group, step, group_epoch, updated)
    if not has_subscription_changed and updated.is_reconciled_to(target_epoch):
        return updated
    moved = reconcile(
        updated,
        Goal(
            epoch=target_epoch,
            target=target,
            subscribed_topic_ids=topic_ids(step.topics, group.topics_of(updated)),
            has_owner=lambda topic_id, index: (topic_id, index) in group.owners,
            owned=owned,
            has_subscription_changed=has_subscription_changed,
        ),
    )
    if moved == updated:
        return updated
    step.records.append(current_assignment_record(group.group_id, moved))
    if not moved.uses_classic_protocol:
        timer = rebalance_timer(group.group_id, moved.member_id)
        if moved.state is MemberState.UNREVOKED_PARTITIONS:
            step.set_timer(timer, moved.rebalance_timeout_ms)
        else:
            step.cancel_timer(timer)
    return moved


def _is_full(request: ConsumerGroupHeartbeatRequest) -> bool:
    """Whether the request says everything: the member may have missed an answer."""
    return (
        request.rebalance_timeout_ms != NO_TIMEOUT
        and (
            request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None
        )
        and request.topic_partitions is not None
    )


def _assignment(assigned: PartitionEpochs) -> Assignment:
    return Assignment(
        topic_partitions=[
            TopicPartitions(topic_id, sorted(partitions))
            for topic_id, partitions in assigned.items()
        ]
    )
