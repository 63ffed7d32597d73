"""AddPartitionsToTxn: of a producer up to v3, of brokers for many transactions from v4 on."""

from compat.differential.cases import case
from compat.differential.session import Session
from compat.differential.transactions import (
    COMMIT,
    FIRST_BATCHED_ADD,
    OF_PARTITIONS,
    Places,
    Transactional,
    add_request,
)
from pykbroker.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTransaction,
)

BATCHED = (4, 5)


def transaction(
    producer: Transactional, places: Places, *, verify_only: bool = False, **fields: object
) -> AddPartitionsToTxnTransaction:
    """One of several in a request."""
    request = add_request(
        FIRST_BATCHED_ADD, producer.named(**fields), places, verify_only=verify_only
    )
    return request.transactions[0]


def add_batched(
    session: Session, version: int, *transactions: AddPartitionsToTxnTransaction
) -> None:
    request = AddPartitionsToTxnRequest(transactions=list(transactions))
    session.send(request, version, sort=OF_PARTITIONS)


@case(AddPartitionsToTxnRequest)
def test_some(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=3)
    other = session.create_topic("other")
    producer = Transactional(session)
    producer.add({topic: [0, 2], other: [0]}, version)
    producer.describe()
    producer.add({topic: [1]}, version)
    producer.describe()


@case(AddPartitionsToTxnRequest)
def test_again(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer = Transactional(session)
    for _ in range(2):
        producer.add({topic: [0]}, version)
    producer.add({topic: [0, 1]}, version)
    producer.add({topic: [1, 1, 0]}, version)
    producer.describe()


@case(AddPartitionsToTxnRequest)
def test_none(session: Session, version: int) -> None:
    producer = Transactional(session)
    producer.add({}, version)
    producer.describe()
    topic = session.create_topic()
    producer.add({topic: []}, version)
    producer.describe()
    producer.end(COMMIT)


@case(AddPartitionsToTxnRequest)
def test_unknown_topics_and_partitions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer = Transactional(session)
    producer.add({session.name("unknown"): [0]}, version)
    producer.add({topic: [2]}, version)
    producer.add({topic: [0, 7, -1]}, version)
    producer.add({topic: [0], session.name("unknown"): [0, 1]}, version)
    producer.add({"": [0], "a/b": [0]}, version)
    producer.describe()


@case(AddPartitionsToTxnRequest)
def test_internal_topics(session: Session, version: int) -> None:
    producer = Transactional(session)
    producer.add({"__consumer_offsets": [0]}, version)
    producer.add({"__transaction_state": [0]}, version)
    producer.describe()


@case(AddPartitionsToTxnRequest)
def test_unknown_producers(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for fields in (
        {"transactional_id": session.name("unknown")},
        {"transactional_id": ""},
        {"producer_id": producer.producer_id + 100_000},
        {"producer_id": -1},
    ):
        producer.add({topic: [0]}, version, **fields)
    producer.describe()


@case(AddPartitionsToTxnRequest)
def test_other_epochs(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.init()
    for epoch in (producer.epoch - 1, producer.epoch + 1, -1, 32767):
        producer.add({topic: [0]}, version, producer_epoch=epoch)
    producer.describe()


@case(AddPartitionsToTxnRequest)
def test_fenced(session: Session, version: int) -> None:
    topic = session.create_topic()
    old = Transactional(session)
    old.add({topic: [0]}, version)
    new = Transactional(session)
    new.settle()
    old.add({topic: [0]}, version)
    new.init()
    old.add({topic: [0]}, version)
    new.add({topic: [0]}, version)


@case(AddPartitionsToTxnRequest)
def test_both_wrong(session: Session, version: int) -> None:
    """Which of several mistakes is told."""
    topic = session.create_topic()
    producer = Transactional(session)
    wrong = {"producer_id": producer.producer_id + 100_000, "producer_epoch": 9}
    producer.add({topic: [0]}, version, **wrong)
    producer.add({topic: [0], session.name("unknown"): [0]}, version, **wrong)
    producer.add({session.name("unknown"): [0]}, version, transactional_id="")


@case(AddPartitionsToTxnRequest)
def test_after_an_end(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer = Transactional(session)
    producer.add({topic: [0]}, version)
    producer.end(COMMIT)
    producer.describe()
    producer.add({topic: [1]}, version)
    producer.describe()


@case(AddPartitionsToTxnRequest)
def test_many(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=50)
    producer = Transactional(session)
    producer.add({topic: range(50)}, version)
    producer.describe()
    producer.end(COMMIT)


@case(AddPartitionsToTxnRequest, versions=BATCHED)
def test_several_transactions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    first, second = Transactional(session, "first"), Transactional(session, "second")
    add_batched(
        session,
        version,
        transaction(first, {topic: [0, 1]}),
        transaction(second, {topic: [1]}, producer_epoch=5),
        transaction(first, {topic: [0]}, transactional_id=session.name("unknown")),
    )
    first.describe()
    second.describe()


@case(AddPartitionsToTxnRequest, versions=BATCHED)
def test_no_transactions(session: Session, version: int) -> None:
    session.attempt(AddPartitionsToTxnRequest(transactions=[]), version)


@case(AddPartitionsToTxnRequest, versions=BATCHED)
def test_one_bad_partition_among_several_transactions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    first, second = Transactional(session, "first"), Transactional(session, "second")
    add_batched(
        session,
        version,
        transaction(first, {topic: [0], session.name("unknown"): [0]}),
        transaction(second, {topic: [1]}),
    )
    first.describe()
    second.describe()


@case(AddPartitionsToTxnRequest, versions=BATCHED)
def test_verification(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=3)
    producer = Transactional(session)

    def verify(places: Places, **fields: object) -> None:
        add_batched(session, version, transaction(producer, places, verify_only=True, **fields))

    verify({topic: [0]})
    producer.add({topic: [0, 1]})
    verify({topic: [0]})
    verify({topic: [0, 2]})
    verify({topic: [0, 9]})
    verify({session.name("unknown"): [0]})
    verify({topic: [0]}, producer_epoch=producer.epoch + 1)
    verify({topic: [0]}, producer_id=producer.producer_id + 100_000)
    verify({topic: [0]}, transactional_id=session.name("unknown"))
    verify({topic: [0]}, transactional_id="")
    producer.describe()
    producer.end(COMMIT)
    verify({topic: [0]})


@case(AddPartitionsToTxnRequest, versions=BATCHED)
def test_verification_and_adding_in_one_request(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    adding, verifying = Transactional(session, "adding"), Transactional(session, "verifying")
    verifying.add({topic: [1]})
    add_batched(
        session,
        version,
        transaction(adding, {topic: [0]}),
        transaction(verifying, {topic: [0, 1]}, verify_only=True),
    )
    adding.describe()
    verifying.describe()
