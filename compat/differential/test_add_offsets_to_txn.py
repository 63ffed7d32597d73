"""AddOffsetsToTxn: a group whose offsets a transaction commits."""

from compat.differential.cases import case
from compat.differential.session import Session
from compat.differential.transactions import ABORT, COMMIT, Transactional
from pykbroker.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest


@case(AddOffsetsToTxnRequest)
def test_a_group(session: Session, version: int) -> None:
    producer = Transactional(session)
    producer.add_group(session.name("group"), version)
    producer.describe()
    producer.end(COMMIT)
    producer.describe()


@case(AddOffsetsToTxnRequest)
def test_again_and_another(session: Session, version: int) -> None:
    producer = Transactional(session)
    for label in ("a", "a", "b", "c", "d"):
        producer.add_group(session.name(label), version)
    producer.describe()
    producer.end(ABORT)


@case(AddOffsetsToTxnRequest)
def test_with_partitions(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.add_group(session.name("group"), version)
    producer.describe()
    producer.produce(topic)
    producer.end(COMMIT)


@case(AddOffsetsToTxnRequest)
def test_odd_groups(session: Session, version: int) -> None:
    producer = Transactional(session)
    for group_id in ("", " ", "é", "x" * 5_000):
        producer.add_group(group_id, version)
    producer.describe()


@case(AddOffsetsToTxnRequest)
def test_unknown_producers(session: Session, version: int) -> None:
    producer = Transactional(session)
    for fields in (
        {"transactional_id": session.name("unknown")},
        {"transactional_id": ""},
        {"producer_id": producer.producer_id + 100_000},
        {"producer_id": -1},
    ):
        producer.add_group(session.name("group"), version, **fields)
    producer.describe()


@case(AddOffsetsToTxnRequest)
def test_other_epochs(session: Session, version: int) -> None:
    producer = Transactional(session)
    producer.init()
    for epoch in (producer.epoch - 1, producer.epoch + 1, -1):
        producer.add_group(session.name("group"), version, producer_epoch=epoch)
    producer.describe()


@case(AddOffsetsToTxnRequest)
def test_fenced(session: Session, version: int) -> None:
    old = Transactional(session)
    old.add_group(session.name("group"), version)
    new = Transactional(session)
    new.settle()
    old.add_group(session.name("group"), version)
    new.init()
    old.add_group(session.name("group"), version)
    new.add_group(session.name("group"), version)
    new.describe()


@case(AddOffsetsToTxnRequest)
def test_after_an_end(session: Session, version: int) -> None:
    producer = Transactional(session)
    producer.add_group(session.name("group"), version)
    producer.end(ABORT)
    producer.add_group(session.name("group"), version)
    producer.describe()
