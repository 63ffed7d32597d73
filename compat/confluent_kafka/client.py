"""What the tests of confluent-kafka do again and again."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import ConfigResource, NewTopic, ResourceType

from compat.processes import eventually
from compat.targets import Target

Pair = tuple[bytes | None, bytes | None]

CALLBACKS = ("error_cb", "on_commit")


def configuration(broker: Target, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a client from keyword arguments: group_id is group.id."""
    named = {
        key if key in CALLBACKS else key.replace("_", "."): value for key, value in settings.items()
    }
    return {"bootstrap.servers": broker.address, **named}


def new_topic(admin: Any, topic: str, partitions: int = 2, **configs: str) -> str:
    settings = {key.replace("_", "."): value for key, value in configs.items()}
    result(admin.create_topics([NewTopic(topic, partitions, config=settings)]))
    # Apache Kafka may answer before its broker knows the topic.
    eventually(lambda: topic in admin.list_topics(timeout=60).topics, what="the topic")
    return topic


def result(futures: dict[Any, Any]) -> Any:
    """What the only future of an admin call gives."""
    (future,) = futures.values()
    return future.result(timeout=60)


def produce(
    broker: Target, topic: str, records: Sequence[Pair], *, partition: int = 0, **settings: Any
) -> list[int]:
    """Produce (key, value) pairs with acks=all and give the confirmed offsets in order."""
    confirmed: dict[int, int] = {}
    failures: list[Any] = []

    def on_delivery(index: int, error: Any, message: Any) -> None:
        if error is not None:
            failures.append(error)
        confirmed[index] = message.offset()

    with Producer(configuration(broker, {"acks": "all", **settings})) as client:
        for index, (key, value) in enumerate(records):
            client.produce(
                topic,
                value,
                key,
                partition,
                on_delivery=lambda error, message, index=index: on_delivery(index, error, message),
            )
        assert client.flush(20) == 0
    if failures:
        raise KafkaException(failures[0])
    return [confirmed[index] for index in range(len(records))]


@contextmanager
def consumer(broker: Target, group: str = "none", **settings: Any) -> Iterator[Any]:
    defaults = {"group_id": group, "enable_auto_commit": False}
    client = Consumer(configuration(broker, {**defaults, **settings}))
    try:
        yield client
    finally:
        client.close()


def consume(broker: Target, topic: str, count: int, *, partition: int = 0) -> list[Any]:
    """The first records of a partition; there must be no more of them."""
    # The end is told by an empty answer, which would else take half a second.
    with consumer(broker, enable_partition_eof=True, fetch_wait_max_ms=50) as client:
        # librdkafka knows the leader from this; else it asks when half a second has passed.
        client.list_topics(topic, timeout=60)
        client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        found: list[Any] = []

        def read() -> bool:
            for message in client.consume(count + 1, timeout=0.2):
                if message.error() is None:
                    found.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    return True
                else:
                    raise KafkaException(message.error())
            return False

        eventually(read, what=f"the end after {count} records")
        assert len(found) == count
        return found


def setting_of(admin: Any, topic: str, key: str) -> str:
    found = result(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
    value: str = found[key].value
    return value
