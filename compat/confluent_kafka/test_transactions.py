"""librdkafka's transactional producer, its read_committed consumer, and offsets in transactions."""

from collections.abc import Callable
from typing import Any

import pytest

from compat.bench.machine import create_topic
from compat.targets import Target

pytest.importorskip("confluent_kafka")

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

Names = Callable[[str], str]
SECONDS = 30.0
NO_OFFSET = -1001


@pytest.fixture
def topic(broker: Target, name: Names) -> str:
    """A topic of two partitions."""
    topic = name("topic")
    create_topic(broker.address, topic, 2)
    return topic


def producer(broker: Target, transactional_id: str, **settings: Any) -> Any:
    client = Producer(
        {
            "bootstrap.servers": broker.address,
            "transactional.id": transactional_id,
            "log_level": 0,
            **settings,
        }
    )
    client.init_transactions(SECONDS)
    return client


def transact(client: Any, topic: str, end: str, *values: bytes) -> None:
    client.begin_transaction()
    for value in values:
        client.produce(topic, value, partition=0)
    finish(client, end)


def finish(client: Any, end: str) -> None:
    if end == "commit":
        client.commit_transaction(SECONDS)
    else:
        # It would else drop what it has not sent yet.
        client.flush(SECONDS)
        client.abort_transaction(SECONDS)


def read(broker: Target, topic: str, level: str) -> list[bytes]:
    """All values of partition 0 up to its end at this isolation level."""
    client = Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "reader",
            "enable.partition.eof": True,
            "isolation.level": level,
            "fetch.wait.max.ms": 50,
        }
    )
    found: list[bytes] = []
    try:
        client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        while True:
            message = client.poll(SECONDS)
            assert message is not None
            if message.error() is None:
                found.append(message.value())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                return found
    finally:
        client.close()


def test_only_what_was_committed_is_read_by_who_wants_that(
    broker: Target, topic: str, name: Names
) -> None:
    client = producer(broker, name("id"))
    whole, aborted = ([b"%s %d" % (end, number) for number in range(5)] for end in (b"c", b"a"))
    transact(client, topic, "commit", *whole)
    transact(client, topic, "abort", *aborted)
    transact(client, topic, "commit", *whole)
    client.begin_transaction()
    client.produce(topic, b"open", partition=0)
    client.flush(SECONDS)
    assert read(broker, topic, "read_committed") == whole * 2
    assert read(broker, topic, "read_uncommitted") == [*whole, *aborted, *whole, b"open"]
    client.abort_transaction(SECONDS)


def test_a_transaction_of_nothing_is_ended(broker: Target, topic: str, name: Names) -> None:
    client = producer(broker, name("id"))
    for end in ("commit", "abort"):
        transact(client, topic, end)
    transact(client, topic, "commit", b"something")
    assert read(broker, topic, "read_committed") == [b"something"]


def test_a_new_producer_fences_the_one_before(broker: Target, topic: str, name: Names) -> None:
    transactional_id = name("id")
    old = producer(broker, transactional_id)
    old.begin_transaction()
    old.produce(topic, b"lost", partition=0)
    old.flush(SECONDS)
    new = producer(broker, transactional_id)
    transact(new, topic, "commit", b"kept")
    with pytest.raises(KafkaException) as refusal:
        old.commit_transaction(SECONDS)
    assert refusal.value.args[0].fatal()
    assert refusal.value.args[0].code() == KafkaError._FENCED
    assert read(broker, topic, "read_committed") == [b"kept"]


def test_a_timeout_that_is_too_long_is_refused(broker: Target, name: Names) -> None:
    with pytest.raises(KafkaException) as refusal:
        producer(broker, name("id"), **{"transaction.timeout.ms": 900_001})
    assert refusal.value.args[0].code() == KafkaError.INVALID_TRANSACTION_TIMEOUT


def test_offsets_are_committed_with_the_records(broker: Target, topic: str, name: Names) -> None:
    group, client = name("group"), producer(broker, name("id"))
    settings = {"bootstrap.servers": broker.address, "group.id": group}
    consumer = Consumer(settings)
    try:
        for end, offset, expected in (
            ("abort", 7, NO_OFFSET),
            ("commit", 9, 9),
            ("abort", 11, 9),
        ):
            client.begin_transaction()
            client.produce(topic, end.encode(), partition=0)
            client.send_offsets_to_transaction(
                [TopicPartition(topic, 1, offset)], consumer.consumer_group_metadata(), SECONDS
            )
            finish(client, end)
            (place,) = consumer.committed([TopicPartition(topic, 1)], SECONDS)
            assert place.offset == expected
    finally:
        consumer.close()
    assert read(broker, topic, "read_committed") == [b"commit"]


def test_many_transactions_of_many_producers(broker: Target, topic: str, name: Names) -> None:
    clients = [producer(broker, name("id")) for _ in range(4)]
    expected = []
    for number in range(40):
        end = "abort" if number % 5 == 4 else "commit"
        value = b"value %d" % number
        transact(clients[number % 4], topic, end, value)
        expected += [value] if end == "commit" else []
    assert read(broker, topic, "read_committed") == expected
