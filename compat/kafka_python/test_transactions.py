"""kafka-python's transactional producer, its committed records, and offsets in transactions."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from compat.bench.machine import create_topic
from compat.targets import Target

kafka = pytest.importorskip("kafka")

from kafka import (  # noqa: E402 - after importorskip
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.errors import KafkaError  # noqa: E402

Names = Callable[[str], str]
SILENCE_MS = 1_500


@pytest.fixture
def topic(broker: Target, name: Names) -> str:
    """A topic of two partitions."""
    topic = name("topic")
    create_topic(broker.address, topic, 2)
    return topic


@contextmanager
def producer(broker: Target, transactional_id: str) -> Iterator[Any]:
    settings = {"bootstrap_servers": broker.address, "transactional_id": transactional_id}
    with closing(KafkaProducer(**settings)) as client:
        client.init_transactions()
        yield client


def read(broker: Target, topic: str, level: str, silence_ms: int = SILENCE_MS) -> list[bytes]:
    """All values of partition 0 that come at this isolation level."""
    client = KafkaConsumer(
        bootstrap_servers=broker.address, isolation_level=level, consumer_timeout_ms=silence_ms
    )
    with closing(client):
        place = TopicPartition(topic, 0)
        client.assign([place])
        client.seek_to_beginning(place)
        return [record.value for record in client]


def test_only_what_was_committed_is_read_by_who_wants_that(
    broker: Target, topic: str, name: Names
) -> None:
    with producer(broker, name("id")) as client:
        for end in ("commit", "abort", "commit"):
            client.begin_transaction()
            for number in range(5):
                client.send(topic, b"%s %d" % (end.encode(), number), partition=0)
            client.flush()
            getattr(client, f"{end}_transaction")()
        client.begin_transaction()
        client.send(topic, b"open", partition=0).get(10)
        committed = [b"commit %d" % number for number in range(5)]
        assert read(broker, topic, "read_committed") == committed * 2
        aborted = [b"abort %d" % number for number in range(5)]
        everything = [*committed, *aborted, *committed, b"open"]
        assert read(broker, topic, "read_uncommitted") == everything
        client.abort_transaction()


def test_a_new_producer_fences_the_one_before(broker: Target, topic: str, name: Names) -> None:
    transactional_id = name("id")
    with producer(broker, transactional_id) as old:
        old.begin_transaction()
        old.send(topic, b"lost", partition=0).get(10)
        with producer(broker, transactional_id) as new:
            new.begin_transaction()
            new.send(topic, b"kept", partition=0).get(10)
            with pytest.raises(KafkaError):
                old.commit_transaction()
            new.commit_transaction()
    assert read(broker, topic, "read_committed") == [b"kept"]


def test_offsets_are_committed_with_the_records(broker: Target, topic: str, name: Names) -> None:
    group, place = name("group"), TopicPartition(topic, 1)

    def committed() -> int | None:
        settings = {"bootstrap_servers": broker.address, "group_id": group}
        with closing(KafkaConsumer(**settings)) as client:
            offset: int | None = client.committed(place)
            return offset

    with producer(broker, name("id")) as client:
        for end, offset, expected in (("abort", 7, None), ("commit", 9, 9), ("abort", 11, 9)):
            client.begin_transaction()
            client.send(topic, end.encode(), partition=0)
            client.send_offsets_to_transaction({place: OffsetAndMetadata(offset, "", -1)}, group)
            getattr(client, f"{end}_transaction")()
            assert committed() == expected
    assert read(broker, topic, "read_committed") == [b"commit"]
