"""Taking over records of consumer groups: the only place where their hard state changes.

A value may bring to life the group or member that it speaks of, a tombstone never does: compaction
may have left any of a group's records without the others. Source: Kafka's
GroupMetadataManager.replay.
"""

from collections.abc import Callable
from typing import Any, Final

from pykbroker.coordinator.group.consumer.consumer_group import (
    FIRST_EPOCH,
    ConsumerGroup,
    ResolvedRegex,
)
from pykbroker.coordinator.group.consumer.member import (
    LEAVE_EPOCH,
    ConsumerMember,
    MemberState,
    PartitionEpochs,
)
from pykbroker.protocol.messages import (
    consumer_group_current_member_assignment_record as current_record,
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


def _replay_group(
    group: ConsumerGroup, key: ConsumerGroupMetadataKey, value: ConsumerGroupMetadataValue | None
) -> None:
    assert value is not None, "the group's own tombstone removes it from its shard"
    group.group_epoch = value.epoch
    group.metadata_hash = value.metadata_hash


def _replay_member(
    group: ConsumerGroup,
    key: ConsumerGroupMemberMetadataKey,
    value: ConsumerGroupMemberMetadataValue | None,
) -> None:
    if value is None:
        group.remove_member(key.member_id)
        return
    member = group.members.get(key.member_id) or ConsumerMember(key.member_id)
    group.put_member(
        member._replace(
            instance_id=value.instance_id,
            rack_id=value.rack_id,
            client_id=value.client_id,
            client_host=value.client_host,
            subscribed_topic_names=frozenset(value.subscribed_topic_names),
            subscribed_topic_regex=value.subscribed_topic_regex or "",
            server_assignor=value.server_assignor,
            rebalance_timeout_ms=value.rebalance_timeout_ms,
            classic=value.classic_member_metadata,
        )
    )


def _replay_target_epoch(
    group: ConsumerGroup,
    key: ConsumerGroupTargetAssignmentMetadataKey,
    value: ConsumerGroupTargetAssignmentMetadataValue | None,
) -> None:
    group.assignment_epoch = FIRST_EPOCH if value is None else value.assignment_epoch
    group.assignment_timestamp_ms = 0 if value is None else value.assignment_timestamp


def _replay_target_member(
    group: ConsumerGroup,
    key: ConsumerGroupTargetAssignmentMemberKey,
    value: ConsumerGroupTargetAssignmentMemberValue | None,
) -> None:
    if value is None:
        group.target.pop(key.member_id, None)
        return
    group.target[key.member_id] = {
        topic.topic_id: frozenset(topic.partitions) for topic in value.topic_partitions
    }


def _replay_current_assignment(
    group: ConsumerGroup,
    key: ConsumerGroupCurrentMemberAssignmentKey,
    value: ConsumerGroupCurrentMemberAssignmentValue | None,
) -> None:
    member = group.members.get(key.member_id)
    if value is None:
        if member is not None:
            # The member itself follows; until then it has nothing.
            group.put_member(
                member._replace(
                    member_epoch=LEAVE_EPOCH,
                    previous_member_epoch=LEAVE_EPOCH,
                    assigned={},
                    pending_revocation={},
                )
            )
        return
    group.put_member(
        (member or ConsumerMember(key.member_id))._replace(
            member_epoch=value.member_epoch,
            previous_member_epoch=value.previous_member_epoch,
            state=MemberState.of(value.state),
            assigned=_partition_epochs(value.assigned_partitions, value.member_epoch),
            pending_revocation=_partition_epochs(
                value.partitions_pending_revocation, value.member_epoch
            ),
        )
    )


def _partition_epochs(
    topics: list[current_record.TopicPartitions], member_epoch: int
) -> PartitionEpochs:
    """Read who got what when; brokers before 4.3 did not write the epochs down."""
    return {
        topic.topic_id: dict(zip(topic.partitions, topic.assignment_epochs, strict=False))
        if topic.assignment_epochs
        else dict.fromkeys(topic.partitions, member_epoch)
        for topic in topics
    }


def _replay_regex(
    group: ConsumerGroup,
    key: ConsumerGroupRegularExpressionKey,
    value: ConsumerGroupRegularExpressionValue | None,
) -> None:
    if value is None:
        group.resolved_regexes.pop(key.regular_expression, None)
        return
    group.resolved_regexes[key.regular_expression] = ResolvedRegex(
        frozenset(value.topics), value.version, value.timestamp
    )


# Each function is typed in itself; the key's type decides the value's.
Replay = Callable[[ConsumerGroup, Any, Any], None]
REPLAY: Final[dict[type, Replay]] = {
    ConsumerGroupMetadataKey: _replay_group,
    ConsumerGroupMemberMetadataKey: _replay_member,
    ConsumerGroupTargetAssignmentMetadataKey: _replay_target_epoch,
    ConsumerGroupTargetAssignmentMemberKey: _replay_target_member,
    ConsumerGroupCurrentMemberAssignmentKey: _replay_current_assignment,
    ConsumerGroupRegularExpressionKey: _replay_regex,
}
"""What to do with a record of a consumer group, by the type of its key."""
