"""ConsumerGroupDescribe: all about a consumer group."""

from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import Final

from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.coordinator.group.consumer.target import preferred_assignor
from pykbroker.coordinator.group.step import Step
from pykbroker.coordinator.group.topics_view import TopicsView
from pykbroker.protocol.messages.consumer_group_describe import (
    Assignment,
    DescribedGroup,
    Member,
    TopicPartitions,
)

CLASSIC_MEMBER: Final = 0
CONSUMER_MEMBER: Final = 1


def describe(group: ConsumerGroup, step: Step) -> DescribedGroup:
    """Tell all about one group; topics that are gone are left out."""
    return DescribedGroup(
        group_id=group.group_id,
        group_state=group.state.value,
        group_epoch=group.group_epoch,
        assignment_epoch=group.assignment_epoch,
        assignor_name=preferred_assignor(group, step, list(group.members.values())),
        members=[_describe_member(group, m, step.topics) for m in group.members.values()],
    )


def _describe_member(group: ConsumerGroup, member: ConsumerMember, topics: TopicsView) -> Member:
    held = chain(member.assigned.items(), member.pending_revocation.items())
    return Member(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        member_epoch=member.member_epoch,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=list(member.subscribed_topic_names),
        subscribed_topic_regex=member.subscribed_topic_regex,
        assignment=_assignment(held, topics),
        target_assignment=_assignment(group.target.get(member.member_id, {}).items(), topics),
        member_type=CLASSIC_MEMBER if member.uses_classic_protocol else CONSUMER_MEMBER,
    )


def _assignment(
    partitions: Iterable[tuple[bytes, Collection[int]]] | Iterable[tuple[bytes, Mapping[int, int]]],
    topics: TopicsView,
) -> Assignment:
    by_topic: dict[bytes, list[int]] = {}
    for topic_id, indexes in partitions:
        if topic_id in topics.topics_by_id:
            by_topic.setdefault(topic_id, []).extend(indexes)
    return Assignment(
        topic_partitions=[
            TopicPartitions(topic_id, topics.topics_by_id[topic_id].name, sorted(indexes))
            for topic_id, indexes in by_topic.items()
        ]
    )
