"""The group epoch moves on when members, subscriptions or the subscribed topics change.

The metadata hash of the group's record says for which topics, partitions and racks the epoch was
made (KIP-1101). It is computed again when a subscription changes, and with the first heartbeat
after the cluster's topics have changed. Source: Kafka's GroupMetadataManager.
"""

from collections.abc import Collection
from typing import Final

from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.coordinator.group.consumer.records import group_epoch_record
from pykbroker.coordinator.group.metadata_hash import metadata_hash
from pykbroker.coordinator.group.step import Step

METADATA_CHECK_INTERVAL_MS: Final = 2**31 - 1


def maybe_bump_epoch(
    group: ConsumerGroup, step: Step, updated: ConsumerMember, *, has_changed: bool
) -> int:
    """Compute the metadata hash, and bump the epoch if it or a subscription has changed.

    Returns:
        The group epoch that holds at the end of this step.
    """
    members = group.members_with(updated)
    current_hash = metadata_hash(group.topics_of_all(members), step.topics)
    group_epoch = group.group_epoch
    if has_changed or current_hash != group.metadata_hash:
        group_epoch += 1
        bump_epoch(group, step, group_epoch, current_hash)
    set_metadata_checked(group, step, group_epoch)
    return group_epoch


def bump_epoch(group: ConsumerGroup, step: Step, group_epoch: int, current_hash: int) -> None:
    """Write a new group epoch down."""
    step.records.append(group_epoch_record(group.group_id, group_epoch, current_hash))
    step.log(f"group_epoch_bumped group={group.group_id} epoch={group_epoch}")


def bump_epoch_without(group: ConsumerGroup, step: Step, leaving: Collection[str]) -> None:
    """Write the epoch of a group that members leave."""
    left = group.members_without(leaving)
    current_hash = metadata_hash(group.topics_of_all(left), step.topics)
    bump_epoch(group, step, group.group_epoch + 1, current_hash)


def set_metadata_checked(group: ConsumerGroup, step: Step, group_epoch: int) -> None:
    """Note that the hash is current as of this epoch."""
    group.metadata_deadline_ms = step.now_ms + METADATA_CHECK_INTERVAL_MS
    group.metadata_deadline_epoch = group_epoch
