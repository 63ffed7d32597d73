"""Transactions when both brokers are stopped or killed, and started again."""

from collections.abc import Callable, Iterator

import pytest

from compat.differential.cases import Pair, case
from compat.differential.data_plane import fetch, wanted
from compat.differential.pairs import running_pair
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    FIRST_END_WITH_EPOCH,
    FIRST_PRODUCE_THAT_ADDS,
    Transactional,
    describe_producers,
)
from compat.differential_restarts.coordinator_log import (
    COMPLETE_COMMIT,
    EMPTY,
    PREPARE_ABORT,
    PREPARE_COMMIT,
    Change,
    append_state,
)
from compat.differential_restarts.test_group_restarts import restart
from compat.targets import Target
from pykbroker.protocol.messages.end_txn import EndTxnRequest
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest

NEWEST_END = [EndTxnRequest.MAX_VERSION]
NEWEST_INIT = [5]
LAST_EPOCH = 32_766
"""32767 is for the broker alone."""


@pytest.fixture(scope="module")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    """Brokers that the cases may end."""
    with running_pair(target_class) as running:
        yield running


def look(session: Session, topic: str) -> None:
    """Compare the log, its markers among it, and the producers that it knows."""
    fetch(session, 12, topic, wanted(), isolation_level=1)
    describe_producers(session, (topic, [0]))


def restarted(session: Session, end: Callable[[Target], object]) -> None:
    topic = session.create_topic(partitions=2)
    empty, ongoing = Transactional(session, "empty"), Transactional(session, "ongoing")
    second = Transactional(session, "second")
    committed, aborted = Transactional(session, "committed"), Transactional(session, "aborted")
    grouped = Transactional(session, "grouped")
    committed.transact(topic, COMMIT)
    aborted.transact(topic, ABORT)
    ongoing.add({topic: [0, 1]})
    ongoing.produce(topic, b"a", b"b")
    second.transact(topic, COMMIT, version=2)
    second.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
    grouped.add_group(session.name("group"))
    everyone = (empty, ongoing, second, committed, aborted, grouped)

    restart(session, end)

    for producer in everyone:
        producer.describe()
    look(session, topic)
    ongoing.produce(topic)
    ongoing.end(COMMIT)
    second.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
    second.end(ABORT, FIRST_END_WITH_EPOCH)
    grouped.end(COMMIT)
    committed.end(COMMIT)
    aborted.bump()
    empty.init()
    for producer in everyone:
        producer.describe()
    look(session, topic)

    restart(session, end)

    look(session, topic)
    for producer in everyone:
        producer.describe()
        producer.transact(topic, COMMIT)
    look(session, topic)


@case(EndTxnRequest, versions=NEWEST_END)
def test_after_a_stop(session: Session, version: int) -> None:
    restarted(session, Target.stop)


@case(EndTxnRequest, versions=NEWEST_END)
def test_after_a_kill(session: Session, version: int) -> None:
    restarted(session, Target.kill)


def restart_with(session: Session, producer: Transactional, change: Change) -> None:
    """Kill the broker, and start it with another last state of the producer in its log."""

    def end(broker: Target) -> None:
        broker.kill()
        append_state(broker, producer.id, change)

    restart(session, end)


@case(EndTxnRequest, versions=NEWEST_END)
def test_an_end_that_was_decided_is_carried_out(session: Session, version: int) -> None:
    for status, label in ((PREPARE_COMMIT, "commit"), (PREPARE_ABORT, "abort")):
        topic = session.create_topic(label)
        producer = Transactional(session, label)
        producer.add({topic: [0]})
        producer.produce(topic)
        restart_with(session, producer, lambda _: {"transaction_status": status})  # noqa: B023
        producer.settle()
        producer.describe()
        look(session, topic)
        producer.transact(topic, COMMIT)
        look(session, topic)


@case(InitProducerIdRequest, versions=NEWEST_INIT)
def test_the_last_epoch(session: Session, version: int) -> None:
    """A producer whose epochs are used up gets another id."""
    topic = session.create_topic()
    producer = Transactional(session)
    for status in (EMPTY, COMPLETE_COMMIT):
        restart_with(
            session,
            producer,
            lambda _: {"producer_epoch": LAST_EPOCH - 2, "transaction_status": status},  # noqa: B023
        )
        producer.init(version)
        for _ in range(3):
            producer.bump(version)
            producer.describe()
        for _ in range(2):
            producer.transact(topic, COMMIT)
    look(session, topic)


@case(InitProducerIdRequest, versions=NEWEST_INIT)
def test_fencing_at_the_last_epoch(session: Session, version: int) -> None:
    """While a transaction is open, the epoch that fences its producer is the last one of all."""
    topic = session.create_topic()
    producer = Transactional(session)
    restart_with(session, producer, lambda _: {"producer_epoch": LAST_EPOCH - 1})
    producer.init(version)
    producer.add({topic: [0]})
    producer.produce(topic)
    old = producer.producer_id, producer.epoch
    producer.init(version)
    producer.settle()
    producer.describe()
    producer.init(version, producer_id=old[0], producer_epoch=old[1])
    producer.describe()
    producer.init(version)
    producer.transact(topic, COMMIT)
    look(session, topic)


@case(EndTxnRequest, versions=NEWEST_END)
def test_ends_at_the_last_epoch(session: Session, version: int) -> None:
    """In the second version of transactions an end gives the next id when epochs are used up."""
    topic = session.create_topic()
    producer = Transactional(session)
    restart_with(session, producer, lambda _: {"producer_epoch": LAST_EPOCH - 3})
    producer.init()
    for committed in (COMMIT, ABORT, COMMIT, ABORT):
        producer.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
        before = producer.producer_id, producer.epoch
        producer.end(committed, version)
        producer.end(committed, version, producer_id=before[0], producer_epoch=before[1])
        producer.describe()
    look(session, topic)
