"""Produce of transactional producers: what must be added before, by whom, and what comes late."""

from compat.differential.cases import case
from compat.differential.data_plane import (
    TIMEOUT_MS,
    batch,
    fetch,
    list_offsets,
    produce,
    topic_data,
    wanted,
)
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    FIRST_END_WITH_EPOCH,
    FIRST_PRODUCE_THAT_ADDS,
    PRODUCE,
    Transactional,
    describe_producers,
)
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.messages.produce import ProduceRequest

FEW = (3, 9, 11, 12, 13)
THAT_ADD = (12, 13)
THAT_DO_NOT_ADD = (3, 7, 11)


def end_version(version: int) -> int:
    """What a client ends a transaction with that produces in this version."""
    return FIRST_END_WITH_EPOCH if version >= FIRST_PRODUCE_THAT_ADDS else 4


def look(session: Session, topic: str, partition: int = 0) -> None:
    """Compare the log and the producers that it knows."""
    fetch(session, 12, topic, wanted(partition=partition), isolation_level=1)
    describe_producers(session, (topic, [partition]))


def several(
    producer: Transactional, version: int, *places: tuple[str, int], acks: int = -1
) -> None:
    """One request with a batch for each partition."""
    session = producer.session
    data = [
        topic_data(session, version, topic, (partition, producer.batch(topic, b"v")))
        for topic, partition in places
    ]
    request = ProduceRequest(
        transactional_id=producer.id, acks=acks, timeout_ms=TIMEOUT_MS, topic_data=data
    )
    # In which order the added ones are answered follows a hash map.
    session.send(request, version, sort={"responses": "name" if version < 13 else "topic_id"})


@case(ProduceRequest)
def test_added_before(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.add({topic: [0]})
        producer.produce(topic, b"a", b"b", version=version)
        producer.produce(topic, version=version)
        producer.end(committed)
    producer.describe()
    look(session, topic)


@case(ProduceRequest)
def test_not_added(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer = Transactional(session)
    producer.produce(topic, version=version)
    producer.describe()
    producer.produce(topic, partition=1, version=version)
    producer.describe()
    producer.end(COMMIT, end_version(version))
    look(session, topic)
    look(session, topic, 1)


@case(ProduceRequest)
def test_another_partition_added(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    producer = Transactional(session)
    producer.add({topic: [1]})
    producer.produce(topic, version=version)
    producer.describe()
    look(session, topic)


@case(ProduceRequest)
def test_after_an_end(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.add({topic: [0]})
        producer.produce(topic, version=version)
        producer.end(committed)
        producer.produce(topic, version=version)
        producer.describe()
        producer.end(ABORT)
    look(session, topic)


@case(ProduceRequest, versions=THAT_ADD)
def test_late_after_an_end_with_a_new_epoch(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.produce(topic, version=version)
    before = producer.epoch
    producer.end(COMMIT, FIRST_END_WITH_EPOCH)
    producer.produce(topic, version=version, producer_epoch=before, base_sequence=1)
    producer.describe()
    producer.produce(topic, version=version)
    producer.produce(topic, version=version, producer_epoch=before, base_sequence=1)
    producer.end(COMMIT, FIRST_END_WITH_EPOCH)
    look(session, topic)


@case(ProduceRequest)
def test_fenced(session: Session, version: int) -> None:
    topic = session.create_topic()
    old = Transactional(session)
    old.add({topic: [0]})
    old.produce(topic, version=version)
    new = Transactional(session)
    new.settle()
    old.produce(topic, version=version)
    new.init()
    old.produce(topic, version=version)
    new.add({topic: [0]})
    new.produce(topic, version=version)
    old.produce(topic, version=version)
    new.end(COMMIT)
    look(session, topic)


@case(ProduceRequest)
def test_fenced_before_it_has_written(session: Session, version: int) -> None:
    topic = session.create_topic()
    old = Transactional(session)
    Transactional(session)
    old.produce(topic, version=version)
    old.describe()
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_other_ids_and_epochs(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic, version=version, producer_id=producer.producer_id + 100_000)
    producer.produce(topic, version=version, producer_epoch=producer.epoch + 1)
    producer.produce(topic, version=version, transactional_id=session.name("unknown"))
    producer.produce(topic, version=version, transactional_id="")
    other = Transactional(session, "other")
    producer.produce(topic, version=version, transactional_id=other.id)
    producer.describe()
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_sequences(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    for sequence in (3, 0, 2, 1, 1, 0, 2):
        producer.produce(topic, version=version, base_sequence=sequence)
    producer.end(COMMIT)
    producer.add({topic: [0]})
    for sequence in (0, 4, 3, 3):
        producer.produce(topic, version=version, base_sequence=sequence)
    look(session, topic)


@case(ProduceRequest, versions=THAT_ADD)
def test_sequences_begin_anew_with_an_epoch(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for _ in range(2):
        producer.produce(topic, b"a", b"b", version=version)
        producer.produce(topic, version=version, base_sequence=5)
        producer.end(COMMIT, FIRST_END_WITH_EPOCH)
    producer.produce(topic, version=version, base_sequence=2)
    producer.produce(topic, version=version, base_sequence=0)
    look(session, topic)


@case(ProduceRequest, versions=THAT_ADD)
def test_first_sequence_is_not_zero(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.produce(topic, version=version, base_sequence=7)
    producer.describe()
    producer.produce(topic, version=version, base_sequence=0)


@case(ProduceRequest, versions=THAT_DO_NOT_ADD)
def test_first_sequence_is_not_zero_where_it_was_added(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic, version=version, base_sequence=7)
    producer.produce(topic, version=version, base_sequence=8)


@case(ProduceRequest, versions=FEW)
def test_duplicates(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    for sequence in (0, 0, 1, 0, 1):
        producer.produce(topic, version=version, base_sequence=sequence)
    producer.end(COMMIT)
    producer.produce(topic, version=version, base_sequence=1)
    producer.describe()
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_plain_batches_of_the_producer(session: Session, version: int) -> None:
    """Batches that are not transactional, of a producer that is."""
    topic = session.create_topic(partitions=2)
    producer = Transactional(session)
    producer.produce(topic, partition=1, version=version, is_transactional=False)
    producer.add({topic: [0]})
    producer.produce(topic, version=version)
    producer.produce(topic, version=version, is_transactional=False)
    data = producer.batch(topic, b"v", is_transactional=False)
    produce(session, version, topic, data)
    producer.end(COMMIT)
    look(session, topic)
    look(session, topic, 1)


@case(ProduceRequest, versions=FEW)
def test_plain_producer_with_a_transactional_id(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    produce(session, version, topic, batch(session), transactional_id=producer.id)
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_of_several_partitions(session: Session, version: int) -> None:
    topic, other = session.create_topic(partitions=2), session.create_topic("other")
    producer = Transactional(session)
    producer.add({topic: [0]})
    several(producer, version, (topic, 0))
    several(producer, version, (other, 0))
    producer.describe()
    for each in (topic, other):
        look(session, each)


@case(ProduceRequest, versions=(3, 9, 11, 12))
def test_one_good_and_one_that_was_not_added(session: Session, version: int) -> None:
    topic, other = session.create_topic(), session.create_topic("other")
    producer = Transactional(session)
    producer.add({topic: [0]})
    several(producer, version, (topic, 0), (other, 0))
    producer.describe()
    for each in (topic, other):
        look(session, each)


@case(ProduceRequest, versions=(3, 9, 11, 12))
def test_one_good_and_one_unknown(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    several(producer, version, (topic, 0), (session.name("unknown"), 0))
    producer.describe()
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_unknown_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.produce(topic, partition=5, version=version)
    producer.describe()


@case(ProduceRequest, versions=FEW)
def test_acknowledgements(session: Session, version: int) -> None:
    """The client library wants all; the broker takes one and refuses none of them."""
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic, version=version, acks=1)
    producer.produce(topic, version=version, acks=2)
    producer.end(COMMIT)
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_control_batches(session: Session, version: int) -> None:
    """A client may not write markers."""
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic, version=version, is_control=True)
    producer.produce(topic, version=version)
    producer.end(COMMIT)
    look(session, topic)


@case(ProduceRequest, versions=(3, 11, 13))
def test_codecs(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    codecs = [Codec.NONE, Codec.GZIP, Codec.SNAPPY, Codec.LZ4]
    for codec in [*codecs, Codec.ZSTD] if version > 3 else codecs:
        producer.produce(topic, b"a" * 100, b"b" * 100, version=version, codec=codec)
    producer.end(COMMIT)
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_to_a_compacted_topic(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"cleanup.policy": "compact"})
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic, version=version)
    data = batch(
        session,
        key=b"k",
        producer_id=producer.producer_id,
        producer_epoch=producer.epoch,
        base_sequence=0,
        is_transactional=True,
    )
    produce(session, version, topic, data, transactional_id=producer.id)
    producer.end(ABORT)
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_to_internal_topics(session: Session, version: int) -> None:
    producer = Transactional(session)
    if version < 13:
        producer.add({"__consumer_offsets": [0]})
        producer.produce("__consumer_offsets", version=version)
        producer.produce("__transaction_state", version=version)
    producer.describe()


@case(ProduceRequest, versions=FEW)
def test_after_a_restart_of_the_producer(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    producer.add({topic: [0]})
    producer.produce(topic, version=version)
    producer.init()
    producer.settle()
    producer.init()
    producer.add({topic: [0]})
    producer.produce(topic, version=version, base_sequence=1)
    producer.produce(topic, version=version, base_sequence=0)
    producer.end(COMMIT)
    look(session, topic)


@case(ProduceRequest, versions=FEW)
def test_mixed_with_others(session: Session, version: int) -> None:
    topic = session.create_topic()
    first, second = Transactional(session, "first"), Transactional(session, "second")
    for producer in (first, second, first):
        producer.add({topic: [0]})
        producer.produce(topic, version=version)
        produce(session, PRODUCE, topic, batch(session))
    second.end(ABORT)
    first.end(COMMIT)
    list_offsets(session, 7, topic, -1, isolation_level=1)
    look(session, topic)
