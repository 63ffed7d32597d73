"""WriteTxnMarkers: what a coordinator writes, and what an administrator ends a hanging one with."""

from collections.abc import Sequence

from compat.differential.cases import case
from compat.differential.data_plane import batch, fetch, list_offsets, new_producer, produce, wanted
from compat.differential.plain import Sort
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    FIRST_PRODUCE_THAT_ADDS,
    Transactional,
    describe_producers,
)
from pykbroker.protocol.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
)

FIRST_WITH_TRANSACTION_VERSION = 2
OF_MARKERS: Sort = {"topics": "name", "partitions": "partition_index"}


def marker(
    version: int,
    producer_id: int,
    epoch: int,
    committed: bool,
    *places: tuple[str, Sequence[int]],
    coordinator_epoch: int = 0,
    transaction_version: int = 0,
) -> WritableTxnMarker:
    """One marker in the shape of a version."""
    return WritableTxnMarker(
        producer_id=producer_id,
        producer_epoch=epoch,
        transaction_result=committed,
        topics=[WritableTxnMarkerTopic(name, list(parts)) for name, parts in places],
        coordinator_epoch=coordinator_epoch,
        transaction_version=(
            transaction_version if version >= FIRST_WITH_TRANSACTION_VERSION else 0
        ),
    )


def write(session: Session, version: int, *markers: WritableTxnMarker) -> None:
    session.send(WriteTxnMarkersRequest(markers=list(markers)), version, sort=OF_MARKERS)


def look(session: Session, topic: str, *partitions: int) -> None:
    asked = [wanted(partition=partition) for partition in partitions or (0,)]
    fetch(session, 12, topic, *asked, isolation_level=1)
    describe_producers(session, (topic, list(partitions or (0,))))


@case(WriteTxnMarkersRequest)
def test_of_an_open_transaction(session: Session, version: int) -> None:
    """What an administrator does with a transaction that hangs."""
    topic = session.create_topic()
    for label, committed in (("a", ABORT), ("b", COMMIT)):
        producer = Transactional(session, label)
        producer.add({topic: [0]})
        producer.produce(topic)
        ended = marker(version, producer.producer_id, producer.epoch, committed, (topic, [0]))
        write(session, version, ended)
        look(session, topic)
        producer.describe()


@case(WriteTxnMarkersRequest)
def test_of_one_that_goes_on(session: Session, version: int) -> None:
    """After the marker its coordinator still takes it for open."""
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic)
    ended = marker(version, producer.producer_id, producer.epoch, ABORT, (topic, [0]))
    write(session, version, ended)
    producer.produce(topic)
    producer.end(COMMIT)
    look(session, topic)


@case(WriteTxnMarkersRequest)
def test_of_an_unknown_producer(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer_id = new_producer(session)
    write(session, version, marker(version, producer_id, 0, ABORT, (topic, [0])))
    look(session, topic)
    write(session, version, marker(version, producer_id, 1, COMMIT, (topic, [0])))
    look(session, topic)


@case(WriteTxnMarkersRequest)
def test_of_a_producer_without_a_transaction(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer_id = new_producer(session)
    data = batch(session, producer_id=producer_id, producer_epoch=0, base_sequence=0)
    produce(session, 9, topic, data)
    for committed in (COMMIT, ABORT):
        write(session, version, marker(version, producer_id, 0, committed, (topic, [0])))
    look(session, topic)


@case(WriteTxnMarkersRequest)
def test_epochs(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.init()
    producer.add({topic: [0]})
    producer.produce(topic)
    for epoch in (producer.epoch - 1, producer.epoch, producer.epoch + 3, producer.epoch):
        write(session, version, marker(version, producer.producer_id, epoch, ABORT, (topic, [0])))
        look(session, topic)
    producer.produce(topic)


@case(WriteTxnMarkersRequest, versions=(2,))
def test_epochs_of_the_second_version_of_transactions(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
    for epoch in (producer.epoch, producer.epoch + 1, producer.epoch + 1):
        ended = marker(
            version, producer.producer_id, epoch, ABORT, (topic, [0]), transaction_version=2
        )
        write(session, version, ended)
        look(session, topic)
    for transaction_version in (1, 3, -1):
        ended = marker(
            version,
            producer.producer_id,
            producer.epoch + 2,
            ABORT,
            (topic, [0]),
            transaction_version=transaction_version,
        )
        write(session, version, ended)
    look(session, topic)


@case(WriteTxnMarkersRequest)
def test_epochs_of_the_coordinator(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for coordinator_epoch in (5, 4, 5, -1, 6):
        producer.add({topic: [0]})
        producer.produce(topic)
        ended = marker(
            version,
            producer.producer_id,
            producer.epoch,
            ABORT,
            (topic, [0]),
            coordinator_epoch=coordinator_epoch,
        )
        write(session, version, ended)
        look(session, topic)


@case(WriteTxnMarkersRequest)
def test_unknown_partitions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer_id = new_producer(session)
    places = ((topic, [0, 1, 7, -1]), (session.name("unknown"), [0]))
    write(session, version, marker(version, producer_id, 0, COMMIT, *places))
    list_offsets(session, 7, topic, -1)
    write(session, version, marker(version, producer_id, 0, COMMIT, places[1]))


@case(WriteTxnMarkersRequest)
def test_of_several_producers(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    first, second = Transactional(session, "first"), Transactional(session, "second")
    for producer in (first, second):
        producer.add({topic: [0, 1]})
        producer.produce(topic)
        producer.produce(topic, partition=1)
    for committed in (COMMIT, ABORT):
        write(
            session,
            version,
            marker(version, first.producer_id, first.epoch, committed, (topic, [0])),
        )
        write(
            session,
            version,
            marker(version, second.producer_id, second.epoch, committed, (topic, [0, 1])),
        )
    look(session, topic, 0, 1)


@case(WriteTxnMarkersRequest)
def test_nothing_to_write(session: Session, version: int) -> None:
    topic = session.create_topic()
    write(session, version)
    write(session, version, marker(version, 5, 0, COMMIT))
    write(session, version, marker(version, 5, 0, COMMIT, (topic, [])))
    list_offsets(session, 7, topic, -1)


@case(WriteTxnMarkersRequest)
def test_odd_producers(session: Session, version: int) -> None:
    topic = session.create_topic()
    for producer_id, epoch in ((-1, 0), (-1, -1), (5_000_000, -1), (6_000_000, 32767)):
        write(session, version, marker(version, producer_id, epoch, COMMIT, (topic, [0])))
    list_offsets(session, 7, topic, -1)
