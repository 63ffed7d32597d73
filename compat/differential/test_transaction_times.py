"""Transactions that take too long, and ids that nobody uses any more."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from compat.differential.cases import Pair, case
from compat.differential.data_plane import fetch, wanted
from compat.differential.pairs import SHORT_LIVED_SETTINGS, running_pair
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    FIRST_END_WITH_EPOCH,
    FIRST_PRODUCE_THAT_ADDS,
    Transactional,
    describe_producers,
)
from compat.targets import Target
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from pykbroker.protocol.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from pykbroker.protocol.messages.describe_transactions import DescribeTransactionsRequest
from pykbroker.protocol.messages.end_txn import EndTxnRequest
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest
from pykbroker.protocol.messages.list_transactions import ListTransactionsRequest
from pykbroker.protocol.messages.produce import ProduceRequest

pytestmark = pytest.mark.waits

SHORT_MS = 1_000


@pytest.fixture(scope="module")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    with running_pair(target_class, SHORT_LIVED_SETTINGS) as running:
        yield running


def timed_out(session: Session, topic: str, *, is_second_version: bool = False) -> Transactional:
    """A producer whose transaction the coordinator has aborted."""
    producer = Transactional(session, timeout_ms=SHORT_MS)
    if is_second_version:
        producer.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
    else:
        producer.add({topic: [0]})
        producer.produce(topic)
    producer.await_state("CompleteAbort")
    return producer


@case(DescribeTransactionsRequest)
def test_what_becomes_of_it(session: Session, version: int) -> None:
    for is_second_version in (False, True):
        topic = session.create_topic(f"t{is_second_version}")
        producer = timed_out(session, topic, is_second_version=is_second_version)
        producer.describe()
        fetch(session, 12, topic, wanted(), isolation_level=1)
        describe_producers(session, (topic, [0]))


@case(EndTxnRequest)
def test_its_end(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = timed_out(session, topic, is_second_version=version >= FIRST_END_WITH_EPOCH)
    producer.end(COMMIT, version)
    producer.end(ABORT, version)
    producer.describe()


@case(AddPartitionsToTxnRequest)
def test_another_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = timed_out(session, topic)
    producer.add({topic: [0]}, version)
    producer.describe()


@case(AddOffsetsToTxnRequest)
def test_a_group(session: Session, version: int) -> None:
    producer = timed_out(session, session.create_topic())
    producer.add_group(session.name("group"), version)


@case(ProduceRequest, versions=(3, 11, 12, 13))
def test_late_records(session: Session, version: int) -> None:
    topic = session.create_topic()
    is_second_version = version >= FIRST_PRODUCE_THAT_ADDS
    producer = timed_out(session, topic, is_second_version=is_second_version)
    producer.produce(topic, version=version)
    producer.describe()
    fetch(session, 12, topic, wanted(), isolation_level=1)


@case(InitProducerIdRequest)
def test_a_new_epoch(session: Session, version: int) -> None:
    """A producer may recover from the abort with the epoch that it had."""
    producer = timed_out(session, session.create_topic())
    if version >= 3:
        producer.bump(version)
        producer.bump(version)
    producer.init(version)
    producer.describe()


@case(ListTransactionsRequest, versions=(1, 2))
def test_how_long_it_runs(session: Session, version: int) -> None:
    topic = session.create_topic()
    old = Transactional(session, "old")
    old.add({topic: [0]})
    session.eventually(lambda: _runs(session, old, 300), what="a transaction of that age")
    young = Transactional(session, "young")
    young.add({topic: [0]})
    for duration_ms in (0, 300, 50_000):
        request = ListTransactionsRequest(duration_filter=duration_ms)
        answer = session.ask(request, version)
        # The young one may be of any age by now.
        found = [each for each in answer.transaction_states if each.transactional_id == old.id]
        session.note(f"{duration_ms} ms", replace(answer, transaction_states=found))


def _runs(session: Session, producer: Transactional, duration_ms: int) -> bool:
    found = session.ask(ListTransactionsRequest(duration_filter=duration_ms), 2)
    return producer.id in {each.transactional_id for each in found.transaction_states}


def is_known(session: Session, producer: Transactional) -> bool:
    request = DescribeTransactionsRequest(transactional_ids=[producer.id])
    (state,) = session.ask(request, 0).transaction_states
    code: int = state.error_code
    return code != ErrorCode.TRANSACTIONAL_ID_NOT_FOUND


@case(InitProducerIdRequest, versions=(2, 5))
def test_ids_expire(session: Session, version: int) -> None:
    topic = session.create_topic()
    empty = Transactional(session, "empty", version=version)
    committed, aborted = Transactional(session, "committed"), Transactional(session, "aborted")
    ongoing = Transactional(session, "ongoing")
    committed.transact(topic, COMMIT)
    aborted.transact(topic, ABORT)
    ongoing.add({topic: [0]})
    gone = (empty, committed, aborted)
    session.eventually(
        lambda: not any(is_known(session, each) for each in gone), what="the end of the ids"
    )
    for producer in (*gone, ongoing):
        producer.describe()
    committed.add({topic: [0]})
    committed.end(COMMIT)
    committed.produce(topic)
    committed.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
    if version >= 3:
        aborted.bump(version)
        aborted.describe()
    empty.init(version)
    ongoing.end(COMMIT)
