"""What classic consumers say and are told inside of the group protocol, as bytes.

A subscription and an assignment are an int16 version and then a message of that version. A version
that is not known here is read, and written, as the newest one that is.

Source: KIP-429, KIP-881; Kafka's ConsumerProtocol.
"""

import struct
from collections.abc import Collection, Mapping
from typing import Final

from pykbroker.coordinator.group.assignors.spec import TopicPartitions
from pykbroker.coordinator.group.topics_view import TopicsView
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages import consumer_group_heartbeat
from pykbroker.protocol.messages.consumer_protocol_assignment import (
    ConsumerProtocolAssignment,
    TopicPartition,
)
from pykbroker.protocol.messages.consumer_protocol_subscription import (
    ConsumerProtocolSubscription,
)

_INT16: Final = struct.Struct(">h")


def read_subscription(metadata: bytes) -> ConsumerProtocolSubscription:
    """Read what a member wants.

    Raises:
        ProtocolError: It cannot be read.
    """
    version = min(_version(metadata), ConsumerProtocolSubscription.MAX_VERSION)
    return ConsumerProtocolSubscription.decode(memoryview(metadata), version, _INT16.size)


def owned_partitions(
    subscription: ConsumerProtocolSubscription, topics: TopicsView
) -> list[consumer_group_heartbeat.TopicPartitions]:
    """Return the partitions that a member says it has; topics that are gone are left out."""
    return [
        consumer_group_heartbeat.TopicPartitions(
            topics.topics[each.topic].topic_id, each.partitions
        )
        for each in subscription.owned_partitions
        if each.topic in topics.topics
    ]


def read_assignment(assignment: bytes, topics: TopicsView) -> TopicPartitions:
    """Read what a leader has given a member; topics that are gone are left out.

    Raises:
        ProtocolError: It cannot be read, or has data of an assignor of the client's own.
    """
    if not assignment:
        return {}
    version = min(_version(assignment), ConsumerProtocolAssignment.MAX_VERSION)
    read = ConsumerProtocolAssignment.decode(memoryview(assignment), version, _INT16.size)
    if read.user_data:
        raise ProtocolError("userData from a custom assignor would be lost")
    return {
        topics.topics[each.topic].topic_id: frozenset(each.partitions)
        for each in read.assigned_partitions
        if each.topic in topics.topics
    }


def write_assignment(
    assigned: Mapping[bytes, Collection[int]], topics: TopicsView, metadata: bytes
) -> bytes:
    """Tell a member what it has, in the version of its own metadata."""
    version = min(_version(metadata), ConsumerProtocolAssignment.MAX_VERSION)
    message = ConsumerProtocolAssignment(
        assigned_partitions=[
            TopicPartition(topics.topics_by_id[topic_id].name, sorted(partitions))
            for topic_id, partitions in assigned.items()
            if topic_id in topics.topics_by_id
        ]
    )
    return _INT16.pack(version) + b"".join(message.encode(version))


def _version(data: bytes) -> int:
    if len(data) < _INT16.size:
        raise ProtocolError("the embedded consumer protocol is shorter than its version")
    version = int(_INT16.unpack_from(data)[0])
    if version < 0:
        raise ProtocolError(f"the embedded consumer protocol has no version {version}")
    return version
