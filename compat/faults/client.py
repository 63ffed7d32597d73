"""Single requests whose errors are what a test wants to see."""

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from compat.targets import Target
from pykbroker.client import Connection
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

QUIET = {"log_level": 0}
FETCH_BYTES = 1_000_000


def create_topic(target: Target, topic: str, partitions: int = 1, **configs: str) -> None:
    admin = AdminClient({"bootstrap.servers": target.address, **QUIET})
    wanted = NewTopic(topic, partitions, config=configs)
    admin.create_topics([wanted])[topic].result(timeout=60)


def a_batch(values: Sequence[bytes]) -> bytes:
    now_ms = int(time.time() * 1000)
    return bytes(build_batch([Record(n, now_ms, None, each) for n, each in enumerate(values)]))


def produce(
    connection: Connection,
    topic: str,
    batch: bytes,
    *,
    partitions: Sequence[int] = (0,),
    acks: int = -1,
) -> list[int]:
    """The error code of each partition that the batch was sent to."""
    data = [PartitionProduceData(index=each, records=batch) for each in partitions]
    request = ProduceRequest(
        acks=acks,
        timeout_ms=30_000,
        topic_data=[TopicProduceData(name=topic, partition_data=data)],
    )
    answer = connection.call(request, ProduceResponse).responses[0]
    return [each.error_code for each in answer.partition_responses]


def fetch(connection: Connection, topic: str, offset: int = 0, partition: int = 0) -> bytes:
    """What is there from `offset` on."""
    wanted = FetchPartition(
        partition=partition, fetch_offset=offset, partition_max_bytes=FETCH_BYTES
    )
    request = FetchRequest(
        max_wait_ms=500,
        min_bytes=1,
        max_bytes=FETCH_BYTES,
        topics=[FetchTopic(topic=topic, partitions=[wanted])],
    )
    found = connection.call(request, FetchResponse).responses[0].partitions[0]
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
