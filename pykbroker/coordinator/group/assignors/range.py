"""The assignor `range`: neighbouring partitions of each topic to each of its members (KIP-848).

For each topic the members that subscribe to it stand in one order, static members first, and take
equal runs of partitions in turn; the first ones take one more where it does not come out even.
Members with equal subscriptions therefore own the same partitions of topics with equally many
partitions, which is what joins of co-partitioned topics need.

Nothing of it depends on who owns what today, as in Apache Kafka since 4.0 (RangeAssignor): a static
member keeps its place by its instance id, a dynamic one only as long as nobody with a smaller id
comes or goes. Racks play no part, as there.
"""

from collections import Counter

from pykbroker.coordinator.group.assignors.spec import GroupAssignment, GroupSpec, MemberSpec


def assign(spec: GroupSpec) -> GroupAssignment:
    """Give each topic's partitions to its subscribers in runs.

    Raises:
        AssignorError: A member subscribes to a topic that the spec does not have.
    """
    subscribers: Counter[bytes] = Counter()
    for member in spec.members.values():
        subscribers.update(member.subscribed_topic_ids)
    runs = {
        topic_id: _Runs(spec.partition_count(topic_id), count)
        for topic_id, count in subscribers.items()
    }
    target: GroupAssignment = {}
    for member in sorted(spec.members.values(), key=_place):
        owned = {}
        # Only topics that have partitions left: with many members most are soon given away.
        for topic_id in runs.keys() & member.subscribed_topic_ids:
            partitions = runs[topic_id].take()
            if partitions:
                owned[topic_id] = partitions
            else:
                del runs[topic_id]
        target[member.member_id] = owned
    return target


def _place(member: MemberSpec) -> tuple[bool, str]:
    if member.instance_id is None:
        return True, member.member_id
    return False, member.instance_id


class _Runs:
    """The partitions of one topic, handed out in runs to its subscribers one after the other."""

    def __init__(self, partition_count: int, subscriber_count: int) -> None:
        self._length, self._longer_runs = divmod(partition_count, subscriber_count)
        self._next_partition = 0

    def take(self) -> frozenset[int]:
        start = self._next_partition
        end = start + self._length
        if self._longer_runs:
            self._longer_runs -= 1
            end += 1
        self._next_partition = end
        return frozenset(range(start, end))
