"""Offsets that nobody needs any more, and groups that have nothing left.

| group | an offset's time begins |
|---|---|
| simple: never had members | when it was committed |
| Empty | when the last member went |
| Stable consumers | when it was committed, for topics that no member consumes |
| any other | never: nothing expires |

The time is `offsets.retention.minutes` unless the commit itself named one (OffsetCommit v2-v4).
An empty group whose offsets are all gone is deleted. Source: KIP-211, KIP-496.
"""

from collections.abc import Iterable

from pykbroker.coordinator.group.classic_group import NO_TIMESTAMP, ClassicGroup
from pykbroker.coordinator.group.offsets import OffsetStore
from pykbroker.coordinator.group.records import group_tombstone, offset_tombstone
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import Step


def expire_group(group: ClassicGroup, offsets: OffsetStore, step: Step) -> None:
    """Write tombstones for the group's expired offsets, and for the group if it is spent."""
    keeps_some = offsets.has_pending_group(group.group_id)
    may_expire = _offsets_may_expire(group)
    expired = 0
    for topic, partitions in offsets.of_group(group.group_id).items():
        if not may_expire or group.is_subscribed_to(topic):
            keeps_some = True
            continue
        for index, committed in partitions.items():
            since_ms = committed.commit_timestamp_ms
            if _counts_from_empty(group):
                since_ms = group.state_timestamp_ms
            is_expired = committed.is_expired(
                since_ms, step.settings.offsets_retention_ms, step.now_ms
            )
            if is_expired and not offsets.has_pending(group.group_id, topic, index):
                step.records.append(offset_tombstone(group.group_id, topic, index))
                expired += 1
            else:
                keeps_some = True
    if expired:
        step.log(f"offsets_expired group={group.group_id} count={expired}")
    # Somebody may be on the way back with a promised member id. Kafka deletes the group even so.
    if group.state is GroupState.EMPTY and not keeps_some and not group.pending_joins:
        step.records.append(group_tombstone(group.group_id))
        step.log(f"group_expired group={group.group_id}")


def _offsets_may_expire(group: ClassicGroup) -> bool:
    if group.protocol_type is None or group.state is GroupState.EMPTY:
        return True
    return (
        group.state is GroupState.STABLE
        and group.uses_consumer_protocol()
        and group.subscribed_topics is not None
    )


def _counts_from_empty(group: ClassicGroup) -> bool:
    return (
        group.protocol_type is not None
        and group.state is GroupState.EMPTY
        and group.state_timestamp_ms != NO_TIMESTAMP
    )


def forget_topics(offsets: OffsetStore, step: Step, deleted: Iterable[tuple[str, bytes]]) -> None:
    """Write tombstones for all offsets of deleted topics, given by name and topic id."""
    deleted_ids = dict(deleted)
    for group_id, topics in offsets.by_group.items():
        for topic, partitions in topics.items():
            if topic not in deleted_ids:
                continue
            for index, committed in partitions.items():
                # A topic of that name may have been created again and committed already.
                if committed.is_of_topic(deleted_ids[topic]):
                    step.records.append(offset_tombstone(group_id, topic, index))
