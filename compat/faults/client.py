"""Single requests whose errors are what a test wants to see."""

from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from compat import single_requests
from compat.targets import Target
from pykbroker.client import Connection

QUIET = {"log_level": 0}


def create_topic(target: Target, topic: str, partitions: int = 1, **configs: str) -> None:
    admin = AdminClient({"bootstrap.servers": target.address, **QUIET})
    wanted = NewTopic(topic, partitions, config=configs)
    admin.create_topics([wanted])[topic].result(timeout=60)


def produce(
    connection: Connection,
    topic: str,
    batch: bytes,
    *,
    partitions: Sequence[int] = (0,),
    acks: int = -1,
) -> list[int]:
    """The error code of each partition that the batch was sent to."""
    answers = single_requests.produce(connection, topic, batch, partitions=partitions, acks=acks)
    return [each.error_code for each in answers]


def fetch(connection: Connection, topic: str, offset: int = 0, partition: int = 0) -> bytes:
    """What is there from `offset` on."""
    found = single_requests.fetch(connection, topic, offset, partition)
    assert found.error_code == 0, f"fetch: {found.error_code}"
    return bytes(found.records or b"")


def commit(target: Target, group: str, topic: str, offset: int) -> None:
    """Raises KafkaException if it is refused."""
    consumer = Consumer({"bootstrap.servers": target.address, "group.id": group, **QUIET})
    try:
        offsets = [TopicPartition(topic, 0, offset)]
        (committed,) = consumer.commit(offsets=offsets, asynchronous=False)
        assert committed.error is None
    finally:
        consumer.close()
