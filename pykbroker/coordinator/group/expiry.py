"""Offsets that nobody needs any more, and groups that have nothing left.

| group | an offset's time begins |
|---|---|
| simple: never had members | when it was committed |
| Empty | when the last member went |
| Stable consumers | when it was committed, for topics that no member consumes |
| any other classic one | never: nothing expires |
| consumer group | when it was committed, for topics that no member consumes |

The time is `offsets.retention.minutes` unless the commit itself named one (OffsetCommit v2-v4).
An empty group whose offsets are all gone is deleted. Source: KIP-211, KIP-496.
"""

from collections.abc import Iterable

from pykbroker.coordinator.group.kinds import AnyGroup, kind_of
from pykbroker.coordinator.group.offsets import OffsetStore
from pykbroker.coordinator.group.records import offset_tombstone
from pykbroker.coordinator.group.step import Step


def expire_group(group: AnyGroup, offsets: OffsetStore, step: Step) -> None:
    """Write tombstones for the group's expired offsets, and for the group if it is spent."""
    keeps_some = offsets.has_pending_group(group.group_id)
    kind = kind_of(group)
    may_expire = kind.offsets_may_expire(group)
    expired = 0
    for topic, partitions in offsets.of_group(group.group_id).items():
        if not may_expire or kind.is_subscribed_to(group, topic):
            keeps_some = True
            continue
        for index, committed in partitions.items():
            since_ms = kind.offset_age_begins_ms(group, committed)
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
    if kind.may_go(group) and not keeps_some:
        step.records.extend(kind.tombstones(group))
        step.log(f"group_expired group={group.group_id}")


def forget_topics(offsets: OffsetStore, step: Step, deleted: Iterable[tuple[str, bytes]]) -> None:
    """Write tombstones for all offsets of deleted topics, given by name and topic id.

    What open transactions have written goes too.
    """
    deleted_ids = dict(deleted)
    # A topic of that name may have been created again and committed already.
    gone = dict.fromkeys(
        (group_id, topic, index)
        for group_id, topic, index, committed in offsets.of_topics(deleted_ids)
        if committed.is_of_topic(deleted_ids[topic])
    )
    step.records.extend(offset_tombstone(*partition) for partition in gone)
