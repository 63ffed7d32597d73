"""Transactions when both brokers are stopped or killed, and started again."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from compat.differential.cases import Pair, case
from compat.differential.data_plane import fetch_request, fetch_topic, wanted
from compat.differential.pairs import RESTARTED_SETTINGS, running_pair
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    FIRST_END_WITH_EPOCH,
    FIRST_PRODUCE_THAT_ADDS,
    Transactional,
)
from compat.differential_restarts.coordinator_log import (
    COMPLETE_COMMIT,
    EMPTY,
    Change,
    append_state,
)
from compat.differential_restarts.test_group_restarts import restart
from compat.targets import Target
from pykbroker.protocol.messages.describe_producers import DescribeProducersRequest, TopicRequest
from pykbroker.protocol.messages.describe_transactions import DescribeTransactionsRequest
from pykbroker.protocol.messages.end_txn import EndTxnRequest
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest

NEWEST_END = [EndTxnRequest.MAX_VERSION]
NEWEST_INIT = [5]
FETCH = 12
CONTROL = 0x20
LAST_EPOCH = 32_766
"""32767 is for the broker alone."""


@pytest.fixture(scope="module")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    """Brokers that the cases may end."""
    with running_pair(target_class, RESTARTED_SETTINGS) as running:
        yield running


def restart_for(
    session: Session, end: Callable[[Target], object], *producers: Transactional
) -> None:
    """End the broker and start it again; returns when it knows the producers again."""
    restart(session, end)
    request = DescribeTransactionsRequest(transactional_ids=[each.id for each in producers])
    session.eventually(
        lambda: not any(state.error_code for state in session.ask(request, 0).transaction_states),
        what="the coordinator of transactions",
    )


def look(session: Session, topic: str) -> None:
    """Compare the log, its markers among it, and the producers that it knows.

    How often a partition has got a leader, by which coordinators number themselves, depends on how
    a broker starts.
    """
    topics = [fetch_topic(session, FETCH, topic, wanted())]
    fetched = session.ask(fetch_request(topics, isolation_level=1), FETCH)
    session.note("log", without_epochs(session.plain(fetched)))
    asked = DescribeProducersRequest(topics=[TopicRequest(topic, [0])])
    described = session.ask(asked, 0)
    for partition in described.topics[0].partitions:
        partition.active_producers.sort(key=lambda producer: producer.producer_id)
    session.note("producers", without_epochs(session.plain(described)))


def without_epochs(tree: Any) -> Any:
    """An answer without the epochs of leaders and coordinators; markers have one as their value."""
    if isinstance(tree, list):
        return [without_epochs(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.get("attributes", 0) & CONTROL and isinstance(tree.get("records"), list):
        keys = [record["key"] for record in tree["records"]]
        tree = {**tree, "records": keys}
    return {
        name: without_epochs(value)
        for name, value in tree.items()
        if name not in ("leader_epoch", "coordinator_epoch")
    }


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

    restart_for(session, end, *everyone)

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

    restart_for(session, end, *everyone)

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

    restart_for(session, end, producer)


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
