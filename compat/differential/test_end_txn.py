"""EndTxn: of both versions of transactions, retried, of nothing, and by the wrong producer."""

from compat.differential.cases import case
from compat.differential.data_plane import fetch, wanted
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    FIRST_END_WITH_EPOCH,
    FIRST_PRODUCE_THAT_ADDS,
    Transactional,
    describe_producers,
)
from pykbroker.protocol.messages.end_txn import EndTxnRequest

NEWEST_FETCH = 12
WITH_EPOCH = (FIRST_END_WITH_EPOCH,)
WITHOUT_EPOCH = range(FIRST_END_WITH_EPOCH)
READ_COMMITTED = 1


def begin(producer: Transactional, topic: str, version: int, partition: int = 0) -> None:
    """Begin a transaction as a client does that ends it in this version."""
    if version >= FIRST_END_WITH_EPOCH:
        producer.produce(topic, partition=partition, version=FIRST_PRODUCE_THAT_ADDS)
    else:
        producer.add({topic: [partition]})
        producer.produce(topic, partition=partition)


def look(session: Session, topic: str, *partitions: int) -> None:
    """Compare the log, its markers among it, and the producers that it knows."""
    asked = [wanted(partition=partition) for partition in partitions or (0,)]
    fetch(session, NEWEST_FETCH, topic, *asked, isolation_level=READ_COMMITTED)
    describe_producers(session, (topic, list(partitions or (0,))))


@case(EndTxnRequest)
def test_commit(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    begin(producer, topic, version)
    producer.end(COMMIT, version)
    producer.describe()
    look(session, topic)


@case(EndTxnRequest)
def test_abort(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    begin(producer, topic, version)
    producer.end(ABORT, version)
    producer.describe()
    look(session, topic)


@case(EndTxnRequest)
def test_one_after_the_other(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT, ABORT, COMMIT):
        begin(producer, topic, version)
        producer.end(committed, version)
        producer.describe()
    look(session, topic)


@case(EndTxnRequest)
def test_of_several_partitions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=3)
    producer = Transactional(session)
    for partition in (0, 1, 2):
        begin(producer, topic, version, partition)
    producer.end(COMMIT, version)
    begin(producer, topic, version, 1)
    producer.end(ABORT, version)
    look(session, topic, 0, 1, 2)


@case(EndTxnRequest)
def test_commit_of_nothing(session: Session, version: int) -> None:
    producer = Transactional(session)
    producer.end(COMMIT, version)
    producer.describe()
    producer.end(COMMIT, version)


@case(EndTxnRequest)
def test_abort_of_nothing(session: Session, version: int) -> None:
    producer = Transactional(session)
    for _ in range(3):
        producer.end(ABORT, version)
        producer.describe()


@case(EndTxnRequest)
def test_of_a_partition_without_records(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.add({topic: [0]})
        producer.end(committed, version)
        producer.describe()
    look(session, topic)


@case(EndTxnRequest)
def test_twice(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        begin(producer, topic, version)
        producer.end(committed, version)
        producer.end(committed, version)
        producer.describe()
    look(session, topic)


@case(EndTxnRequest)
def test_the_other_end_afterwards(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        begin(producer, topic, version)
        producer.end(committed, version)
        producer.end(not committed, version)
        producer.describe()


@case(EndTxnRequest, versions=WITH_EPOCH)
def test_retry_with_the_epoch_before(session: Session, version: int) -> None:
    """What was answered is lost: the client knows only the old epoch."""
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        begin(producer, topic, version)
        before = producer.epoch
        producer.end(committed, version)
        for _ in range(2):
            producer.end(committed, version, producer_epoch=before)
        producer.describe()
    look(session, topic)


@case(EndTxnRequest, versions=WITH_EPOCH)
def test_retry_with_the_other_end(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        begin(producer, topic, version)
        before = producer.epoch
        producer.end(committed, version)
        producer.end(not committed, version, producer_epoch=before)
        producer.describe()


@case(EndTxnRequest, versions=WITH_EPOCH)
def test_retry_of_an_end_of_nothing(session: Session, version: int) -> None:
    producer = Transactional(session)
    for committed in (ABORT, COMMIT):
        before = producer.epoch
        producer.end(ABORT, version)
        producer.end(committed, version, producer_epoch=before)
        producer.describe()


@case(EndTxnRequest, versions=WITH_EPOCH)
def test_retry_after_the_next_has_begun(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    begin(producer, topic, version)
    before = producer.epoch
    producer.end(COMMIT, version)
    begin(producer, topic, version)
    for committed in (COMMIT, ABORT):
        producer.end(committed, version, producer_epoch=before)
    producer.describe()
    producer.end(COMMIT, version)
    look(session, topic)


@case(EndTxnRequest)
def test_unknown_producers(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    begin(producer, topic, version)
    for fields in (
        {"transactional_id": session.name("unknown")},
        {"transactional_id": ""},
        {"producer_id": producer.producer_id + 100_000},
        {"producer_id": -1},
    ):
        producer.end(COMMIT, version, **fields)
    producer.describe()


@case(EndTxnRequest)
def test_other_epochs(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.init()
    begin(producer, topic, version)
    for epoch in (producer.epoch - 1, producer.epoch + 1, -1, 32767):
        producer.end(COMMIT, version, producer_epoch=epoch)
        producer.end(ABORT, version, producer_epoch=epoch)
    producer.describe()
    producer.end(COMMIT, version)


@case(EndTxnRequest)
def test_fenced(session: Session, version: int) -> None:
    topic = session.create_topic()
    old = Transactional(session)
    begin(old, topic, version)
    new = Transactional(session)
    new.settle()
    old.end(COMMIT, version)
    old.end(ABORT, version)
    new.init()
    old.end(COMMIT, version)
    old.end(ABORT, version)
    new.describe()
    look(session, topic)


@case(EndTxnRequest, versions=WITHOUT_EPOCH)
def test_epochs_after_an_end_of_the_first_version(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.transact(topic, COMMIT, version=2)
    begin(producer, topic, version)
    producer.end(COMMIT, version)
    producer.describe()
    producer.end(ABORT, FIRST_END_WITH_EPOCH)
    producer.describe()


@case(EndTxnRequest, versions=WITHOUT_EPOCH)
def test_begun_in_the_second_version(session: Session, version: int) -> None:
    """A client that mixes both."""
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
        producer.end(committed, version)
        producer.describe()
    look(session, topic)


@case(EndTxnRequest, versions=WITH_EPOCH)
def test_begun_in_the_first_version(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.add({topic: [0]})
        producer.produce(topic)
        producer.end(committed, version)
        producer.describe()
    look(session, topic)


@case(EndTxnRequest)
def test_of_a_group(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.add_group(session.name("group"))
        begin(producer, topic, version)
        producer.end(committed, version)
        producer.describe()


@case(EndTxnRequest)
def test_of_a_topic_that_was_deleted(session: Session, version: int) -> None:
    topic, gone = session.create_topic(), session.create_topic("gone")
    producer = Transactional(session)
    begin(producer, topic, version)
    begin(producer, gone, version)
    session.delete_topic(gone)
    producer.end(COMMIT, version)
    producer.describe()
    look(session, topic)


@case(EndTxnRequest)
def test_right_after_the_id(session: Session, version: int) -> None:
    """An end before anything, and one of the epoch that an id had before."""
    producer = Transactional(session)
    before = producer.epoch
    producer.init()
    for committed in (COMMIT, ABORT):
        producer.end(committed, version, producer_epoch=before)
    producer.describe()
