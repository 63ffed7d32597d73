"""Produce of producers with an id: sequences, duplicates, epochs; and of transactions."""

from compat.differential.cases import case
from compat.differential.data_plane import batch, fetch, list_offsets, new_producer, produce
from compat.differential.session import Session
from pykbroker.protocol.messages.produce import ProduceRequest

FEW = (3, 8, 13)


class Producer:
    """Sends batches under one producer id."""

    def __init__(self, session: Session, version: int, topic: str) -> None:
        self.session = session
        self.version = version
        self.topic = topic
        self.id = new_producer(session)

    def send(self, sequence: int, count: int = 1, epoch: int = 0, partition: int = 0) -> None:
        data = batch(
            self.session,
            [b"%d" % n for n in range(count)],
            producer_id=self.id,
            producer_epoch=epoch,
            base_sequence=sequence,
        )
        produce(self.session, self.version, self.topic, data, partition=partition)


@case(ProduceRequest)
def test_sequences_in_order(session: Session, version: int) -> None:
    producer = Producer(session, version, session.create_topic())
    producer.send(0, count=3)
    producer.send(3)
    producer.send(4, count=2)
    fetch(session, 12, producer.topic)


@case(ProduceRequest, versions=FEW)
def test_first_sequence_is_not_zero(session: Session, version: int) -> None:
    producer = Producer(session, version, session.create_topic())
    producer.send(7)
    producer.send(8)
    producer.send(10)
    list_offsets(session, 7, producer.topic, -1)


@case(ProduceRequest, versions=FEW)
def test_sequences_out_of_order(session: Session, version: int) -> None:
    producer = Producer(session, version, session.create_topic())
    producer.send(0, count=2)
    for sequence in (3, 5, 1, 0):
        producer.send(sequence)
    producer.send(2)
    list_offsets(session, 7, producer.topic, -1)


@case(ProduceRequest, versions=FEW)
def test_duplicates(session: Session, version: int) -> None:
    producer = Producer(session, version, session.create_topic())
    for sequence in range(7):
        producer.send(sequence)
    for sequence in (6, 5, 4, 3, 2, 1, 0):
        producer.send(sequence)
    producer.send(7)
    producer.send(5, count=2)
    producer.send(2, count=3)
    list_offsets(session, 7, producer.topic, -1)


@case(ProduceRequest, versions=FEW)
def test_a_new_epoch(session: Session, version: int) -> None:
    producer = Producer(session, version, session.create_topic())
    producer.send(0)
    producer.send(5, epoch=1)
    producer.send(0, epoch=1)
    producer.send(1, epoch=1)
    producer.send(0, epoch=1)
    producer.send(1, epoch=0)
    producer.send(0, epoch=0)
    producer.send(3, epoch=7)
    producer.send(0, epoch=7)
    list_offsets(session, 7, producer.topic, -1)


@case(ProduceRequest, versions=FEW)
def test_each_partition_counts_for_itself(session: Session, version: int) -> None:
    producer = Producer(session, version, session.create_topic(partitions=2))
    producer.send(0)
    producer.send(0, partition=1)
    producer.send(1, partition=1)
    producer.send(2)
    producer.send(1)
    for partition in (0, 1):
        list_offsets(session, 7, producer.topic, -1, partition=partition)


@case(ProduceRequest, versions=FEW)
def test_odd_producers(session: Session, version: int) -> None:
    topic = session.create_topic()
    for producer_id, epoch, sequence in (
        (123_456_789, 0, 0),
        (123_456_789, 0, 1),
        (-2, 0, 0),
        (5, -1, 0),
        (5, 0, -1),
        (-1, 0, 0),
        (-1, -1, 5),
        (6, 32767, 0),
    ):
        data = batch(session, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)
        produce(session, version, topic, data)
    list_offsets(session, 7, topic, -1)


@case(ProduceRequest, versions=FEW)
def test_sequences_wrap(session: Session, version: int) -> None:
    producer = Producer(session, version, session.create_topic())
    last = 2**31 - 1
    producer.send(last - 1)
    producer.send(last, count=3)
    producer.send(2)
    producer.send(last, count=3)
    producer.send(0)
    fetch(session, 12, producer.topic)


@case(ProduceRequest)
def test_transactional_batch_without_transactional_id(session: Session, version: int) -> None:
    topic = session.create_topic()
    data = batch(session, producer_id=5, producer_epoch=0, base_sequence=0, is_transactional=True)
    produce(session, version, topic, data)
    list_offsets(session, 7, topic, -1)


@case(ProduceRequest)
def test_transactional_batch_of_an_unknown_id(session: Session, version: int) -> None:
    topic = session.create_topic()
    data = batch(session, producer_id=5, producer_epoch=0, base_sequence=0, is_transactional=True)
    produce(session, version, topic, data, transactional_id=session.name("x"))
    list_offsets(session, 7, topic, -1)


@case(ProduceRequest, versions=FEW)
def test_transactional_id_with_plain_batch(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(session, version, topic, batch(session), transactional_id=session.name("x"))
    data = batch(session, producer_id=5, producer_epoch=0, base_sequence=0)
    produce(session, version, topic, data, transactional_id="")
    list_offsets(session, 7, topic, -1)


@case(ProduceRequest, versions=FEW)
def test_transactional_batch_without_producer(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(session, version, topic, batch(session, is_transactional=True), transactional_id="x")
    list_offsets(session, 7, topic, -1)
