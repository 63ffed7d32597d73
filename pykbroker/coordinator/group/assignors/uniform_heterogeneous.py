"""The part of the assignor `uniform` for groups whose members subscribe to different topics.

Members keep what they own of the topics they subscribe to. What is free then goes, topic by topic,
to the subscribers that own least; topics with most partitions for each subscriber go first.
At last each topic's partitions move from the subscribers that own most to those that own least,
until within each topic no two of them differ by more than one partition, or MAX_ROUNDS is over:
overlapping subscriptions can pass a difference around for long.

The same steps and orders as Apache Kafka's UniformHeterogeneousAssignmentBuilder; members stand in
the order of their ids (in Kafka: of a hash map).
"""

from typing import Final

from pykbroker.coordinator.group.assignors.spec import (
    GroupAssignment,
    GroupSpec,
    TopicPartitions,
    java_uuid_order,
)

MAX_ROUNDS: Final = 16
_NOBODY: Final = -1


def assign(spec: GroupSpec) -> GroupAssignment:
    """Give each topic's partitions to its subscribers, in shares as equal as they can be.

    Raises:
        AssignorError: A member subscribes to a topic that the spec does not have.
    """
    shares = _Shares(spec)
    shares.give_free_partitions()
    shares.balance()
    return shares.result()


class _Shares:
    """Who owns what while it is worked out. Members are numbers: places in the order of ids."""

    def __init__(self, spec: GroupSpec) -> None:
        self._members = [spec.members[member_id] for member_id in sorted(spec.members)]
        self._sizes = [0] * len(self._members)
        self._subscribers: dict[bytes, list[int]] = {}
        for number, member in enumerate(self._members):
            for topic_id in member.subscribed_topic_ids:
                self._subscribers.setdefault(topic_id, []).append(number)
        counts = spec.partition_counts(self._subscribers.keys())
        self._owners = {topic_id: [_NOBODY] * count for topic_id, count in counts.items()}
        self._topic_ids = sorted(counts, key=self._topic_order)
        for number, member in enumerate(self._members):
            for topic_id, partitions in member.assignment.items():
                if topic_id in member.subscribed_topic_ids:
                    owners = self._owners[topic_id]
                    for partition in partitions:
                        owners[partition] = number
                    self._sizes[number] += len(partitions)

    def give_free_partitions(self) -> None:
        for topic_id in self._topic_ids:
            owners = self._owners[topic_id]
            if _NOBODY not in owners:
                continue
            ranks = _Ranks(self._subscribers[topic_id], self._sizes)
            for partition, owner in enumerate(owners):
                if owner == _NOBODY:
                    owners[partition] = receiver = ranks.next_receiver()
                    self._sizes[receiver] += 1

    def balance(self) -> None:
        topic_ids = [
            topic_id for topic_id in self._topic_ids if len(self._subscribers[topic_id]) > 1
        ]
        last_moved = None
        for _ in range(MAX_ROUNDS):
            for place, topic_id in enumerate(topic_ids):
                if place == last_moved:
                    return  # A whole round without a move.
                if self._balance_topic(topic_id) or last_moved is None:
                    last_moved = place

    def result(self) -> GroupAssignment:
        partitions: list[dict[bytes, list[int]]] = [{} for _ in self._members]
        for topic_id, owners in self._owners.items():
            for partition, owner in enumerate(owners):
                partitions[owner].setdefault(topic_id, []).append(partition)
        target: GroupAssignment = {}
        for member, owned in zip(self._members, partitions, strict=True):
            frozen: TopicPartitions = {
                topic_id: frozenset(numbers) for topic_id, numbers in owned.items()
            }
            unchanged = frozen == member.assignment
            target[member.member_id] = member.assignment if unchanged else frozen
        return target

    def _topic_order(self, topic_id: bytes) -> tuple[float, int, tuple[int, int]]:
        subscriber_count = len(self._subscribers[topic_id])
        load = len(self._owners[topic_id]) / subscriber_count
        return -load, subscriber_count, java_uuid_order(topic_id)

    def _balance_topic(self, topic_id: bytes) -> bool:
        """Even out what one topic's subscribers own in all; tells whether anything moved."""
        ranks = _Ranks(self._subscribers[topic_id], self._sizes)
        if ranks.difference <= 1:
            return False
        owners = self._owners[topic_id]
        may_go: dict[int, list[int]] = {}
        for partition, owner in enumerate(owners):
            may_go.setdefault(owner, []).append(partition)

        has_moved = False
        while (giver := ranks.next_giver(may_go)) is not None:
            partition = may_go[giver].pop()
            receiver = ranks.next_receiver()
            if ranks.are_even:
                break
            owners[partition] = receiver
            self._sizes[giver] -= 1
            self._sizes[receiver] += 1
            has_moved = True
        return has_moved


class _Ranks:
    """A topic's subscribers from the least to the most loaded, taken from both ends.

    The receivers are those up to `_receivers_end`, all at one level: each gets a partition, then
    the level is one higher and includes who was there already. The givers are those from
    `_givers_start` to `_givers_end`, the same downwards; behind them is who has nothing to give.
    """

    def __init__(self, members: list[int], sizes: list[int]) -> None:
        """Args:
        members: The subscribers in ascending order.
        sizes: How many partitions each member owns in all; the caller keeps it up to date.
        """
        self._sizes = sizes
        self._ranked = sorted(members, key=sizes.__getitem__)
        smallest = sizes[self._ranked[0]]
        largest = sizes[self._ranked[-1]]
        self.difference = largest - smallest
        self._receivers_end = 0
        self._receivers_level = smallest - 1
        self._receiver = 0
        self._givers_start = self._givers_end = len(members)
        self._givers_level = largest + 1
        self._giver = len(members) - 1

    @property
    def are_even(self) -> bool:
        """Whether the last giver and the last receiver stood at most one partition apart."""
        return self._givers_level - self._receivers_level <= 1

    def next_receiver(self) -> int:
        """The member that a partition goes to next."""
        if self._receiver >= self._receivers_end:
            self._receivers_level += 1
            while (
                self._receivers_end < len(self._ranked)
                and self._size_at(self._receivers_end) == self._receivers_level
            ):
                self._receivers_end += 1
            self._receiver = 0
        self._receiver += 1
        return self._ranked[self._receiver - 1]

    def next_giver(self, may_go: dict[int, list[int]]) -> int | None:
        """The member that a partition is taken from next, or None if there is nobody left.

        Args:
            may_go: The topic's partitions that each member can still give.
        """
        while (giver := self._next_most_loaded()) is not None:
            if may_go.get(giver):
                return giver
            # Out of the way: it changes places with the last one of the givers.
            self._givers_end -= 1
            self._ranked[self._giver + 1] = self._ranked[self._givers_end]
            self._ranked[self._givers_end] = giver
        return None

    def _next_most_loaded(self) -> int | None:
        if self._giver < self._givers_start:
            if 0 < self._givers_start >= self._givers_end:
                # Nobody at this level could give: on to the next level that there is.
                self._givers_level = self._size_at(self._givers_start - 1)
            else:
                self._givers_level -= 1
            while (
                self._givers_start > 0
                and self._size_at(self._givers_start - 1) == self._givers_level
            ):
                self._givers_start -= 1
            self._giver = self._givers_end - 1
        if self._giver < 0:
            return None
        self._giver -= 1
        return self._ranked[self._giver + 1]

    def _size_at(self, rank: int) -> int:
        return self._sizes[self._ranked[rank]]
