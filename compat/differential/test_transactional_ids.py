"""InitProducerId with a transactional id: epochs, fencing, and producers that come back."""

from compat.differential.cases import case
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    FIRST_END_WITH_EPOCH,
    FIRST_INIT_WITH_ID,
    FIRST_PRODUCE_THAT_ADDS,
    Transactional,
)
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest

WITH_ID = (3, 4, 5)
NO_ID = -1


@case(InitProducerIdRequest)
def test_epochs_of_one_id(session: Session, version: int) -> None:
    producer = Transactional(session, version=version)
    for _ in range(3):
        producer.init(version)
    producer.describe()


@case(InitProducerIdRequest)
def test_ids_of_their_own(session: Session, version: int) -> None:
    first = Transactional(session, "first", version=version)
    second = Transactional(session, "second", version=version)
    first.init(version)
    second.init(version)


@case(InitProducerIdRequest)
def test_odd_names(session: Session, version: int) -> None:
    for label in (" ", "/", "é", "\N{GRINNING FACE}"):
        request = InitProducerIdRequest(
            transactional_id=session.name() + label, transaction_timeout_ms=60_000
        )
        session.send(request, version)
    request = InitProducerIdRequest(
        transactional_id=session.name() + "x" * 5_000, transaction_timeout_ms=60_000
    )
    session.send(request, version)


@case(InitProducerIdRequest)
def test_timeouts(session: Session, version: int) -> None:
    for timeout_ms in (0, -1, -(2**31), 2**31 - 1, 900_001, 900_000, 1, 60_000):
        producer = Transactional(session, timeout_ms=timeout_ms, version=version)
        producer.describe()


@case(InitProducerIdRequest)
def test_no_id_to_describe(session: Session, version: int) -> None:
    Transactional(session, timeout_ms=0, version=version).describe()


@case(InitProducerIdRequest)
def test_while_a_transaction_is_open(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic)
    other = Transactional(session, version=version)
    other.settle()
    other.describe()
    producer.produce(topic)
    producer.end(COMMIT)
    other.init(version)
    other.describe()


@case(InitProducerIdRequest)
def test_while_a_transaction_without_records_is_open(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    for _ in range(2):
        producer.init(version)
        producer.settle()
        producer.describe()


@case(InitProducerIdRequest)
def test_after_transactions(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session, version=version)
    for committed in (COMMIT, ABORT):
        producer.transact(topic, committed)
        producer.init(version)
        producer.describe()


@case(InitProducerIdRequest)
def test_after_transactions_of_the_second_version(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session, version=version)
    for committed in (COMMIT, ABORT):
        producer.transact(topic, committed, version=2)
        producer.init(version)
        producer.describe()


@case(InitProducerIdRequest, versions=WITH_ID)
def test_with_the_present_epoch(session: Session, version: int) -> None:
    producer = Transactional(session)
    first = producer.epoch
    for _ in range(3):
        producer.bump(version)
    producer.init(version, producer_id=producer.producer_id, producer_epoch=first)
    producer.init(version, producer_id=producer.producer_id, producer_epoch=producer.epoch + 1)
    producer.describe()


@case(InitProducerIdRequest, versions=WITH_ID)
def test_with_the_epoch_before(session: Session, version: int) -> None:
    """A retry is told what the first try was."""
    producer = Transactional(session)
    before = producer.epoch
    producer.bump(version)
    for _ in range(2):
        producer.init(version, producer_id=producer.producer_id, producer_epoch=before)
    producer.bump(version)
    producer.init(version, producer_id=producer.producer_id, producer_epoch=before)


@case(InitProducerIdRequest, versions=WITH_ID)
def test_with_an_epoch_that_another_has_fenced(session: Session, version: int) -> None:
    old = Transactional(session)
    Transactional(session)
    old.bump(version)
    old.init(version)
    old.bump(version)


@case(InitProducerIdRequest, versions=WITH_ID)
def test_with_the_id_of_another(session: Session, version: int) -> None:
    other = Transactional(session, "other")
    producer = Transactional(session)
    for producer_id, epoch in (
        (other.producer_id, 0),
        (2**62, 0),
        (producer.producer_id, 7),
        (producer.producer_id, 32767),
        (producer.producer_id, 32766),
    ):
        producer.init(version, producer_id=producer_id, producer_epoch=epoch)
    producer.describe()


@case(InitProducerIdRequest, versions=WITH_ID)
def test_half_an_id(session: Session, version: int) -> None:
    producer = Transactional(session)
    for producer_id, epoch in ((NO_ID, 0), (producer.producer_id, -1), (-2, -1), (-2, 0)):
        producer.init(version, producer_id=producer_id, producer_epoch=epoch)


@case(InitProducerIdRequest, versions=WITH_ID)
def test_a_new_name_with_an_id(session: Session, version: int) -> None:
    """What the broker has forgotten gets another id."""
    producer = Transactional(session, "known")
    producer.id = session.name("new")
    producer.init(version, producer_id=producer.producer_id, producer_epoch=3)
    producer.describe()


@case(InitProducerIdRequest, versions=WITH_ID)
def test_own_epoch_while_a_transaction_is_open(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic)
    producer.bump(version)
    producer.settle()
    producer.describe()
    producer.bump(version)
    producer.describe()
    producer.transact(topic, COMMIT)


@case(InitProducerIdRequest, versions=WITH_ID)
def test_own_epoch_while_one_of_the_second_version_is_open(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
    producer.bump(version)
    producer.settle()
    producer.describe()
    producer.bump(version)
    producer.describe()
    producer.transact(topic, COMMIT, version=2)


@case(InitProducerIdRequest)
def test_the_timeout_of_the_last_one_counts(session: Session, version: int) -> None:
    producer = Transactional(session, version=version)
    producer.timeout_ms = 12_345
    producer.init(version)
    producer.describe()
    if version >= FIRST_INIT_WITH_ID:
        producer.timeout_ms = 23_456
        producer.bump(version)
        producer.describe()


@case(InitProducerIdRequest, versions=WITH_ID)
def test_after_an_end_with_a_new_epoch(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
    before = producer.epoch
    producer.end(COMMIT, version=FIRST_END_WITH_EPOCH)
    producer.init(version, producer_id=producer.producer_id, producer_epoch=before)
    producer.bump(version)
    producer.describe()
