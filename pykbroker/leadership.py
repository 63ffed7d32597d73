"""What this broker leads: the checks before a partition's log may be used (Kafka's ReplicaManager).

Who leads a partition is said by the metadata image, never assumed; the log is where this broker
keeps its own replica. All requests that touch records come through here, so they agree on which
error a client sees while leadership, topics or disks change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pykbroker.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pykbroker.broker import Broker
    from pykbroker.metadata.image import PartitionImage
    from pykbroker.request_context import RequestContext
    from pykbroker.storage.partition_log import PartitionLog


class Endpoint(NamedTuple):
    """Where a broker is reached by a certain client."""

    node_id: int
    host: str
    port: int
    rack: str | None


class CurrentLeader(NamedTuple):
    """A hint for a client that asked the wrong broker (KIP-951)."""

    leader_id: int
    leader_epoch: int
    endpoint: Endpoint | None


def led_log(
    broker: Broker,
    topic: str,
    partition: int,
    current_leader_epoch: int | None = None,
    topic_id: bytes | None = None,
) -> PartitionLog:
    """Return the log of a partition that this broker leads.

    Args:
        broker: This broker.
        topic: Name of the topic.
        partition: Number of the partition.
        current_leader_epoch: What the client believes (KIP-320); None if it says nothing.
        topic_id: What the client takes the topic's id for; None if it goes by the name alone.

    Raises:
        KafkaError: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR (the
            log is damaged), INCONSISTENT_TOPIC_ID, FENCED_LEADER_EPOCH (the client is behind) or
            UNKNOWN_LEADER_EPOCH (it is ahead of us), looked at in this order.
    """
    image = broker.metadata.image
    known = image.partition(topic, partition)
    if known is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if known.leader != image.node_id:
        raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    log = broker.logs.get(topic, partition)
    if log is None:
        is_damaged = (topic, partition) in broker.logs.refused
        raise KafkaError(
            ErrorCode.KAFKA_STORAGE_ERROR if is_damaged else ErrorCode.NOT_LEADER_OR_FOLLOWER
        )
    if topic_id is not None and topic_id != log.topic_id:
        raise KafkaError(ErrorCode.INCONSISTENT_TOPIC_ID)
    if current_leader_epoch is not None and current_leader_epoch != known.leader_epoch:
        is_behind = current_leader_epoch < known.leader_epoch
        raise KafkaError(
            ErrorCode.FENCED_LEADER_EPOCH if is_behind else ErrorCode.UNKNOWN_LEADER_EPOCH
        )
    return log


def offline_replicas(broker: Broker, topic: str, partition: PartitionImage) -> list[int]:
    """Return the replicas of which nothing can be appended to: no broker, or no working disk.

    Ours leads on all the same, since what is intact can be read.
    """
    image = broker.metadata.image
    offline = [node for node in partition.replicas if node not in image.brokers]
    if image.node_id in partition.replicas:
        log = broker.logs.get(topic, partition.partition)
        if log is None or log.is_offline:
            offline.append(image.node_id)
    return offline


def current_leader(context: RequestContext, topic: str, partition: int) -> CurrentLeader:
    """Return who leads a partition, and where, as far as this broker knows."""
    image = context.broker.metadata.image
    known = image.partition(topic, partition)
    if known is None:
        return CurrentLeader(-1, -1, None)
    leader = image.brokers.get(known.leader)
    if leader is None or known.leader != image.node_id:
        return CurrentLeader(known.leader, known.leader_epoch, None)
    host, port = context.broker.advertised_endpoint(context.connection)
    return CurrentLeader(
        known.leader, known.leader_epoch, Endpoint(known.leader, host, port, leader.rack)
    )
