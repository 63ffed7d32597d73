"""Records of consumer groups in __consumer_offsets, in Apache Kafka 4.3's own formats.

| type | key | value |
|---|---|---|
| 3 | group | group epoch, metadata hash |
| 5 | group, member | who the member is and what it subscribes to |
| 6 | group | epoch and time of the target assignment |
| 7 | group, member | the member's target assignment |
| 8 | group, member | the member's epochs, state and partitions |
| 16 | group, regular expression | the topics that it matches |

Type 4 (subscription metadata) is what brokers before 4.1 wrote; the hash has taken its place.
Source: Kafka's GroupCoordinatorRecordHelpers.
"""

from collections.abc import Iterator
from typing import Final

from pykbroker.coordinator.group.assignors.spec import TopicPartitions
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup, ResolvedRegex
from pykbroker.coordinator.group.consumer.member import ConsumerMember, PartitionEpochs
from pykbroker.coordinator.transition import CoordinatorRecord
from pykbroker.protocol.messages import (
    consumer_group_current_member_assignment_record as current_record,
)
from pykbroker.protocol.messages import (
    consumer_group_target_assignment_member_record as target_record,
)
from pykbroker.protocol.messages.consumer_group_current_member_assignment_record import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
)
from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
)
from pykbroker.protocol.messages.consumer_group_metadata_record import (
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
)
from pykbroker.protocol.messages.consumer_group_regular_expression_record import (
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
)
from pykbroker.protocol.messages.consumer_group_target_assignment_member_record import (
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
)
from pykbroker.protocol.messages.consumer_group_target_assignment_metadata_record import (
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)

VALUE_VERSION: Final = 0


def group_epoch_record(group_id: str, group_epoch: int, metadata_hash: int) -> CoordinatorRecord:
    """Say at which epoch a group is, and for which metadata."""
    value = ConsumerGroupMetadataValue(epoch=group_epoch, metadata_hash=metadata_hash)
    return CoordinatorRecord(ConsumerGroupMetadataKey(group_id=group_id), value, VALUE_VERSION)


def member_record(group_id: str, member: ConsumerMember) -> CoordinatorRecord:
    """Say who a member is and what it subscribes to."""
    value = ConsumerGroupMemberMetadataValue(
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=sorted(member.subscribed_topic_names),
        subscribed_topic_regex=member.subscribed_topic_regex,
        rebalance_timeout_ms=member.rebalance_timeout_ms,
        server_assignor=member.server_assignor,
        classic_member_metadata=member.classic,
    )
    key = ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member.member_id)
    return CoordinatorRecord(key, value, VALUE_VERSION)


def target_epoch_record(group_id: str, assignment_epoch: int, now_ms: int) -> CoordinatorRecord:
    """Say for which group epoch the target assignment was made, and when."""
    value = ConsumerGroupTargetAssignmentMetadataValue(
        assignment_epoch=assignment_epoch, assignment_timestamp=now_ms
    )
    key = ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id)
    return CoordinatorRecord(key, value, VALUE_VERSION)


def target_member_record(
    group_id: str, member_id: str, target: TopicPartitions
) -> CoordinatorRecord:
    """Say what a member is meant to have."""
    value = ConsumerGroupTargetAssignmentMemberValue(
        topic_partitions=[
            target_record.TopicPartition(topic_id, sorted(partitions))
            for topic_id, partitions in target.items()
        ]
    )
    key = ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id)
    return CoordinatorRecord(key, value, VALUE_VERSION)


def current_assignment_record(group_id: str, member: ConsumerMember) -> CoordinatorRecord:
    """Say which partitions a member has, and how far it is on its way."""
    value = ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=member.member_epoch,
        previous_member_epoch=member.previous_member_epoch,
        state=member.state,
        assigned_partitions=_topic_partitions(member.assigned),
        partitions_pending_revocation=_topic_partitions(member.pending_revocation),
    )
    key = ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member.member_id)
    return CoordinatorRecord(key, value, VALUE_VERSION)


def regex_record(group_id: str, regex: str, resolved: ResolvedRegex) -> CoordinatorRecord:
    """Say which topics a regular expression matches."""
    value = ConsumerGroupRegularExpressionValue(
        topics=sorted(resolved.topics), version=resolved.version, timestamp=resolved.timestamp_ms
    )
    key = ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=regex)
    return CoordinatorRecord(key, value, VALUE_VERSION)


def regex_tombstone(group_id: str, regex: str) -> CoordinatorRecord:
    """Say that nobody subscribes by a regular expression any more."""
    key = ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=regex)
    return CoordinatorRecord(key, None)


def member_tombstones(group_id: str, member_id: str) -> list[CoordinatorRecord]:
    """Say that a member is gone: what it had, what it was to have, and itself last."""
    return [
        CoordinatorRecord(
            ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id), None
        ),
        CoordinatorRecord(
            ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), None
        ),
        CoordinatorRecord(
            ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), None
        ),
    ]


def group_tombstones(group: ConsumerGroup) -> Iterator[CoordinatorRecord]:
    """Say that a group is gone with all that it has, itself last."""
    group_id = group.group_id
    for member_id in group.members:
        yield CoordinatorRecord(
            ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id), None
        )
    for member_id in group.members:
        yield CoordinatorRecord(
            ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), None
        )
    yield CoordinatorRecord(ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id), None)
    for member_id in group.members:
        yield CoordinatorRecord(
            ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), None
        )
    for regex in group.resolved_regexes:
        yield regex_tombstone(group_id, regex)
    yield CoordinatorRecord(ConsumerGroupMetadataKey(group_id=group_id), None)


def _topic_partitions(assigned: PartitionEpochs) -> list[current_record.TopicPartitions]:
    return [
        current_record.TopicPartitions(topic_id, list(epochs.keys()), list(epochs.values()))
        for topic_id, epochs in assigned.items()
    ]
