"""DescribeProducers: whom a partition knows, and whose transaction is open there."""

from compat.differential.cases import case
from compat.differential.data_plane import batch, fill, new_producer, produce
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    Transactional,
    describe_producers,
)
from pykbroker.protocol.messages.describe_producers import DescribeProducersRequest


@case(DescribeProducersRequest)
def test_nobody(session: Session, version: int) -> None:
    topic = session.create_topic()
    describe_producers(session, (topic, [0]))
    fill(session, topic, batch(session))
    describe_producers(session, (topic, [0]))
    describe_producers(session, (topic, []))
    describe_producers(session)


@case(DescribeProducersRequest)
def test_idempotent_producers(session: Session, version: int) -> None:
    topic = session.create_topic()
    for number in range(3):
        producer_id = new_producer(session)
        for sequence in range(number + 1):
            data = batch(
                session,
                [b"a"],
                producer_id=producer_id,
                producer_epoch=number,
                base_sequence=sequence,
            )
            produce(session, 9, topic, data)
    describe_producers(session, (topic, [0]))


@case(DescribeProducersRequest)
def test_transactions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer, other = Transactional(session), Transactional(session, "other")
    for committed in (COMMIT, ABORT):
        producer.add({topic: [0, 1]})
        producer.produce(topic, b"a", b"b")
        describe_producers(session, (topic, [0, 1]))
        other.add({topic: [0]})
        other.produce(topic)
        describe_producers(session, (topic, [0, 1]))
        producer.end(committed)
        describe_producers(session, (topic, [1, 0]))
        other.end(not committed)
        describe_producers(session, (topic, [0, 1]))


@case(DescribeProducersRequest)
def test_transactions_of_the_second_version(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.produce(topic, version=12)
        describe_producers(session, (topic, [0]))
        producer.end(committed, 5)
        describe_producers(session, (topic, [0]))


@case(DescribeProducersRequest)
def test_unknown_partitions(session: Session, version: int) -> None:
    topic = session.create_topic()
    describe_producers(session, (topic, [0, 1, -1]), (session.name("unknown"), [0, 1]))


@case(DescribeProducersRequest)
def test_odd_names(session: Session, version: int) -> None:
    for name in ("", "a/b", ".", "..", "x" * 300, "é"):
        describe_producers(session, (name, [0]))


@case(DescribeProducersRequest)
def test_partitions_named_twice(session: Session, version: int) -> None:
    topic = session.create_topic()
    describe_producers(session, (topic, [0, 0]))


@case(DescribeProducersRequest)
def test_after_records_were_deleted(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.transact(topic, COMMIT, b"a", b"b")
    producer.add({topic: [0]})
    producer.produce(topic)
    session.delete_records(topic, 3)
    describe_producers(session, (topic, [0]))
