"""What a server-side assignor is told about a consumer group, and what it answers (KIP-848)."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias

# Partitions by topic id (the 16 bytes of the UUID). A topic without partitions is left out.
TopicPartitions: TypeAlias = Mapping[bytes, frozenset[int]]
# By member id. Every member of the group is in it, those without partitions too.
GroupAssignment: TypeAlias = dict[str, TopicPartitions]
_NOTHING: Final[TopicPartitions] = {}


class MemberSpec(NamedTuple):
    """One member: what it wants, and what the newest target assignment gives it.

    Topics that do not exist are left out of `subscribed_topic_ids`. `assignment` may still name
    topics that the member no longer subscribes to, or that are gone.
    """

    member_id: str
    subscribed_topic_ids: frozenset[bytes]
    assignment: TopicPartitions = _NOTHING
    instance_id: str | None = None
    rack_id: str | None = None


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic; `racks` has for each partition the racks of its replicas, or is empty."""

    topic_id: bytes
    partition_count: int
    racks: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True)
class GroupSpec:
    """A group at one epoch: the members by member id, and the subscribed topics by topic id."""

    members: Mapping[str, MemberSpec]
    topics: Mapping[bytes, TopicSpec]

    @cached_property
    def is_homogeneous(self) -> bool:
        """Whether all members subscribe to the same topics."""
        subscriptions = iter(self.members.values())
        first = next(subscriptions, None)
        return first is None or all(
            member.subscribed_topic_ids == first.subscribed_topic_ids for member in subscriptions
        )

    def partition_count(self, topic_id: bytes) -> int:
        """The number of partitions of a subscribed topic.

        Raises:
            AssignorError: The topic is not among those of the group.
        """
        topic = self.topics.get(topic_id)
        if topic is None:
            raise AssignorError(f"a member subscribes to topic {topic_id.hex()}, which is unknown")
        return topic.partition_count

    def partition_counts(self, topic_ids: Collection[bytes]) -> dict[bytes, int]:
        """The numbers of partitions of some topics, in the order that Kafka sorts topic ids."""
        return {
            topic_id: self.partition_count(topic_id)
            for topic_id in sorted(topic_ids, key=java_uuid_order)
        }


# What every assignor is. It raises AssignorError when it cannot assign.
Assignor: TypeAlias = Callable[[GroupSpec], GroupAssignment]


class AssignorError(Exception):
    """An assignor found no assignment; the group keeps the one it has."""


def java_uuid_order(topic_id: bytes) -> tuple[int, int]:
    """A sort key: Java compares the two halves of a UUID as signed numbers."""
    return (
        int.from_bytes(topic_id[:8], "big", signed=True),
        int.from_bytes(topic_id[8:], "big", signed=True),
    )
