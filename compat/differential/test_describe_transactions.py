"""DescribeTransactions: the coordinator's view of a transaction in each of its states."""

from compat.differential.cases import case
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    FIRST_END_WITH_EPOCH,
    OF_TRANSACTIONS,
    Transactional,
)
from pykbroker.protocol.messages.describe_transactions import DescribeTransactionsRequest


def describe(session: Session, version: int, *ids: str) -> None:
    request = DescribeTransactionsRequest(transactional_ids=list(ids))
    session.send(request, version, sort=OF_TRANSACTIONS)


@case(DescribeTransactionsRequest)
def test_every_state(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer = Transactional(session)
    describe(session, version, producer.id)
    for committed in (COMMIT, ABORT):
        producer.add({topic: [0, 1]})
        describe(session, version, producer.id)
        producer.end(committed)
        describe(session, version, producer.id)
    producer.init()
    describe(session, version, producer.id)


@case(DescribeTransactionsRequest)
def test_every_state_of_the_second_version(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.produce(topic, partition=1, version=12)
        describe(session, version, producer.id)
        producer.end(committed, FIRST_END_WITH_EPOCH)
        describe(session, version, producer.id)
    producer.end(ABORT, FIRST_END_WITH_EPOCH)
    describe(session, version, producer.id)


@case(DescribeTransactionsRequest)
def test_several_at_once(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    other = session.create_topic("other")
    first, second = Transactional(session, "first"), Transactional(session, "second")
    first.add({topic: [1, 0], other: [0]})
    second.add_group(session.name("group"))
    unknown = session.name("unknown")
    describe(session, version, second.id, unknown, first.id, "", first.id)


@case(DescribeTransactionsRequest)
def test_unknown_ids(session: Session, version: int) -> None:
    for name in (session.name("unknown"), "", " ", "é", "x" * 5_000):
        describe(session, version, name)


@case(DescribeTransactionsRequest)
def test_none(session: Session, version: int) -> None:
    describe(session, version)


@case(DescribeTransactionsRequest)
def test_fenced(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session, timeout_ms=12_345)
    producer.add({topic: [0]})
    other = Transactional(session, timeout_ms=54_321)
    other.settle()
    describe(session, version, producer.id)
    other.init()
    describe(session, version, producer.id)


@case(DescribeTransactionsRequest)
def test_topic_that_was_deleted(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    session.delete_topic(topic)
    describe(session, version, producer.id)
