"""Finding the consumer group that a request is about.

An empty classic group gives way to a new one, and one with members is upgraded if it may be.
"""

from collections.abc import Mapping

from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.migration import upgrade
from pykbroker.coordinator.group.kinds import AnyGroup, kind_of
from pykbroker.coordinator.group.step import Step
from pykbroker.protocol.errors import ErrorCode, KafkaError


def existing_group(groups: Mapping[str, AnyGroup], group_id: str) -> ConsumerGroup:
    """Return a consumer group.

    Raises:
        KafkaError: GROUP_ID_NOT_FOUND.
    """
    group = groups.get(group_id)
    if group is None:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    if not isinstance(group, ConsumerGroup):
        message = f"Group {group_id} is not a consumer group."
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, message)
    return group


def group_to_join(groups: Mapping[str, AnyGroup], step: Step, group_id: str) -> ConsumerGroup:
    """Return a consumer group, or one that comes to be with its first record.

    Raises:
        KafkaError: GROUP_ID_NOT_FOUND, a classic group has members and may not be upgraded.
    """
    group = groups.get(group_id)
    if group is None:
        return ConsumerGroup(group_id)
    if isinstance(group, ConsumerGroup):
        return group
    kind = kind_of(group)
    if kind.is_empty(group):
        step.records.extend(kind.tombstones(group))
        return ConsumerGroup(group_id)
    return upgrade(group, step)
