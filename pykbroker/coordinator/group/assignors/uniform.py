"""The assignor `uniform`: equal shares, and as few moves as equal shares allow (KIP-848).

Balance comes before stickiness. Where all members subscribe to the same topics, their shares differ
by one partition at most; `uniform_heterogeneous.py` has the other case. Racks play no part, as in
Apache Kafka since 4.0 (UniformAssignor, UniformHomogeneousAssignmentBuilder).

The same steps as in Kafka, in an order of our own where Kafka follows a hash map: members go by
member id, topics by topic id, and of too many partitions the highest are let go.
"""

from collections.abc import Iterator
from itertools import islice

from pykbroker.coordinator.group.assignors import uniform_heterogeneous
from pykbroker.coordinator.group.assignors.spec import (
    GroupAssignment,
    GroupSpec,
    MemberSpec,
    TopicPartitions,
    java_uuid_order,
)


def assign(spec: GroupSpec) -> GroupAssignment:
    """Give all partitions of the subscribed topics out in equal shares.

    Raises:
        AssignorError: A member subscribes to a topic that the spec does not have.
    """
    if not spec.members:
        return {}
    if not spec.is_homogeneous:
        return uniform_heterogeneous.assign(spec)
    return _assign_equal_subscriptions(spec)


def _assign_equal_subscriptions(spec: GroupSpec) -> GroupAssignment:
    subscription = next(iter(spec.members.values())).subscribed_topic_ids
    partition_counts = spec.partition_counts(subscription)
    share, larger_shares = divmod(sum(partition_counts.values()), len(spec.members))

    owned: dict[bytes, set[int]] = {topic_id: set() for topic_id in subscription}
    sizes = {}
    for member in spec.members.values():
        size = 0
        for topic_id, partitions in member.assignment.items():
            if topic_id in owned:
                owned[topic_id] |= partitions
                size += len(partitions)
        sizes[member.member_id] = size

    free = [
        (topic_id, partition)
        for topic_id, count in partition_counts.items()
        if len(owned[topic_id]) < count
        for partition in range(count)
        if partition not in owned[topic_id]
    ]
    target: GroupAssignment = {}
    below_share = []
    for place, member_id in enumerate(sorted(sizes)):
        size = sizes[member_id]
        quota = share
        # The larger shares are for those that own so much already; the last ones fill them up.
        if larger_shares and (size > share or len(sizes) - place <= larger_shares):
            larger_shares -= 1
            quota += 1
        member = spec.members[member_id]
        if size <= quota and member.assignment.keys() <= subscription:
            target[member_id] = member.assignment
        else:
            target[member_id], let_go = _kept(member, quota)
            free += let_go
        if size < quota:
            below_share.append((member_id, quota - size))

    _hand_out(target, below_share, iter(free))
    return target


def _kept(member: MemberSpec, quota: int) -> tuple[TopicPartitions, list[tuple[bytes, int]]]:
    """What a member keeps of its partitions, and what of the subscribed topics it lets go."""
    subscription = member.subscribed_topic_ids
    kept: dict[bytes, frozenset[int]] = {}
    let_go: list[tuple[bytes, int]] = []
    wanted = [topic_id for topic_id in member.assignment if topic_id in subscription]
    for topic_id in sorted(wanted, key=java_uuid_order):
        partitions = member.assignment[topic_id]
        if len(partitions) <= quota:
            kept[topic_id] = partitions
        else:
            in_order = sorted(partitions)
            if quota:
                kept[topic_id] = frozenset(in_order[:quota])
            let_go += [(topic_id, partition) for partition in in_order[quota:]]
        quota -= min(quota, len(partitions))
    unchanged = not let_go and len(kept) == len(member.assignment)
    return (member.assignment if unchanged else kept), let_go


def _hand_out(
    target: GroupAssignment,
    below_share: list[tuple[str, int]],
    free: Iterator[tuple[bytes, int]],
) -> None:
    for member_id, missing in below_share:
        added: dict[bytes, list[int]] = {}
        for topic_id, partition in islice(free, missing):
            added.setdefault(topic_id, []).append(partition)
        kept = target[member_id]
        target[member_id] = {
            **kept,
            **{
                topic_id: kept.get(topic_id, frozenset()).union(partitions)
                for topic_id, partitions in added.items()
            },
        }
