"""The target assignment: who is meant to have what, at one group epoch.

It is made when the group epoch has moved on, by the assignor that most members ask for, at most
once in `group.consumer.assignment.interval.ms` (KIP-1263). Only what is new is written down.

Source: KIP-848; Kafka's TargetAssignmentBuilder.
"""

from functools import cache, partial

from pykbroker.coordinator.group.assignors import ASSIGNORS
from pykbroker.coordinator.group.assignors.spec import (
    AssignorError,
    GroupSpec,
    MemberSpec,
    TopicPartitions,
    TopicSpec,
)
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.coordinator.group.consumer.records import target_epoch_record, target_member_record
from pykbroker.coordinator.group.step import Step
from pykbroker.coordinator.group.topics_view import TopicsView, TopicView
from pykbroker.protocol.errors import ErrorCode, KafkaError


def update_target(
    group: ConsumerGroup, step: Step, group_epoch: int, updated: ConsumerMember
) -> tuple[int, TopicPartitions]:
    """Make a new target assignment if it is time for one.

    Args:
        group: The group as it is in the log.
        step: Gets the records.
        group_epoch: The epoch that the group has at the end of this step.
        updated: The member that this step adds or changes.

    Returns:
        The assignment epoch that holds now, and what it gives the member.

    Raises:
        KafkaError: UNKNOWN_SERVER_ERROR, the assignor found no assignment.
    """
    interval_ms = step.settings.consumer.times_of(group.group_id).assignment_interval_ms
    if group.assignment_epoch >= group_epoch or not is_due(group, interval_ms, step.now_ms):
        return group.assignment_epoch, group.target_of(updated)
    members = group.members_with(updated)
    name = preferred_assignor(group, step, members)
    spec = _spec(group, step.topics, members)
    try:
        assignment = ASSIGNORS[name](spec)
    except AssignorError as error:
        raise KafkaError(
            ErrorCode.UNKNOWN_SERVER_ERROR,
            f"Failed to compute a new target assignment for epoch {group_epoch}: {error}",
        ) from error
    for member in members:
        new = assignment.get(member.member_id, {})
        if group.target.get(member.member_id) != new:
            step.records.append(target_member_record(group.group_id, member.member_id, new))
    step.records.append(target_epoch_record(group.group_id, group_epoch, step.now_ms))
    step.log(
        f"group_target_assigned group={group.group_id} epoch={group_epoch} "
        f"members={len(members)} assignor={name}"
    )
    return group_epoch, assignment.get(updated.member_id, {})


def is_due(group: ConsumerGroup, interval_ms: int, now_ms: int) -> bool:
    """Whether the last target assignment is old enough for a new one."""
    last_ms = group.assignment_timestamp_ms
    return last_ms == 0 or interval_ms == 0 or now_ms >= last_ms + interval_ms


def preferred_assignor(group: ConsumerGroup, step: Step, members: list[ConsumerMember]) -> str:
    """Return the assignor that most members ask for, or the broker's first one."""
    configured = step.settings.consumer.assignors
    preferred = group.preferred_assignor(members)
    return preferred if preferred in configured and preferred is not None else configured[0]


def topic_ids(topics: TopicsView, names: frozenset[str]) -> frozenset[bytes]:
    """Return the ids of those of the topics that exist."""
    return frozenset(topics.topics[name].topic_id for name in names if name in topics.topics)


def _spec(group: ConsumerGroup, topics: TopicsView, members: list[ConsumerMember]) -> GroupSpec:
    # Most members of a group subscribe to the same.
    ids_of = cache(partial(topic_ids, topics))
    member_specs = {
        member.member_id: MemberSpec(
            member_id=member.member_id,
            subscribed_topic_ids=ids_of(group.topics_of(member)),
            assignment=group.target_of(member),
            instance_id=member.instance_id,
            rack_id=member.rack_id,
        )
        for member in members
    }
    subscribed = {t for spec in member_specs.values() for t in spec.subscribed_topic_ids}
    topic_specs = {t: _topic_spec(topics, topics.topics_by_id[t]) for t in subscribed}
    return GroupSpec(member_specs, topic_specs)


def _topic_spec(topics: TopicsView, topic: TopicView) -> TopicSpec:
    racks = {node_id: broker.rack for node_id, broker in topics.brokers.items()}
    partition_racks: tuple[frozenset[str], ...] = ()
    if any(rack is not None for rack in racks.values()):
        partition_racks = tuple(
            frozenset(
                rack for node_id in partition.replicas if (rack := racks.get(node_id)) is not None
            )
            for partition in topic.partitions
        )
    return TopicSpec(topic.topic_id, len(topic.partitions), partition_racks)
