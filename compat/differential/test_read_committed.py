"""What readers of committed records see: Fetch, ListOffsets, the aborted transactions, waiting."""

from compat.differential.cases import case
from compat.differential.data_plane import (
    batch,
    fetch,
    fetch_request,
    fetch_topic,
    fill,
    list_offsets,
    wanted,
)
from compat.differential.session import Session
from compat.differential.transactions import ABORT, COMMIT, Transactional
from pykbroker.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from pykbroker.protocol.messages.fetch import FetchRequest
from pykbroker.protocol.messages.list_offsets import ListOffsetsRequest

UNCOMMITTED, COMMITTED = 0, 1
FEW = (4, 7, 11, 13, 18)
EARLIEST, LATEST, LARGEST_TIMESTAMP = -2, -1, -3
LONG_WAIT_MS = 20_000


def both(session: Session, version: int, topic: str, offset: int = 0, **fields: int) -> None:
    """Fetch with either isolation level."""
    for level in (UNCOMMITTED, COMMITTED):
        fetch(session, version, topic, wanted(offset, **fields), isolation_level=level)


def open_one(session: Session, topic: str, label: str = "x", *values: bytes) -> Transactional:
    """A transaction with records that is not ended."""
    producer = Transactional(session, label)
    producer.add({topic: [0]})
    producer.produce(topic, *values)
    return producer


def interleaved(session: Session, topic: str) -> None:
    """Transactions that begin and end among each other, and plain records."""
    fill(session, topic, batch(session))
    first = open_one(session, topic, "first")
    second = open_one(session, topic, "second")
    fill(session, topic, batch(session))
    first.produce(topic)
    first.end(ABORT)
    third = open_one(session, topic, "third")
    second.end(ABORT)
    first.add({topic: [0]})
    first.produce(topic)
    third.produce(topic)
    third.end(COMMIT)
    first.end(ABORT)
    fill(session, topic, batch(session))


@case(FetchRequest)
def test_an_open_transaction(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    producer = open_one(session, topic)
    fill(session, topic, batch(session))
    both(session, version, topic)
    both(session, version, topic, 2)
    both(session, version, topic, 4)
    producer.end(COMMIT)
    both(session, version, topic)


@case(FetchRequest)
def test_a_committed_one(session: Session, version: int) -> None:
    topic = session.create_topic()
    Transactional(session).transact(topic, COMMIT, b"a", b"b")
    both(session, version, topic)
    both(session, version, topic, 2)


@case(FetchRequest)
def test_an_aborted_one(session: Session, version: int) -> None:
    topic = session.create_topic()
    Transactional(session).transact(topic, ABORT, b"a", b"b")
    for offset in (0, 1, 2, 3):
        both(session, version, topic, offset)


@case(FetchRequest)
def test_many_among_each_other(session: Session, version: int) -> None:
    topic = session.create_topic()
    interleaved(session, topic)
    both(session, version, topic)


@case(FetchRequest, versions=FEW)
def test_many_from_every_offset(session: Session, version: int) -> None:
    topic = session.create_topic()
    interleaved(session, topic)
    for offset in range(17):
        fetch(session, version, topic, wanted(offset), isolation_level=COMMITTED)


@case(FetchRequest, versions=FEW)
def test_many_with_little_room(session: Session, version: int) -> None:
    topic = session.create_topic()
    interleaved(session, topic)
    for room in (1, 80, 150, 200, 300, 500):
        for offset in (0, 2, 5):
            part = wanted(offset, partition_max_bytes=room)
            fetch(session, version, topic, part, isolation_level=COMMITTED)


@case(FetchRequest, versions=FEW)
def test_one_open_before_others_that_have_ended(session: Session, version: int) -> None:
    topic = session.create_topic()
    first = open_one(session, topic, "first")
    Transactional(session, "second").transact(topic, ABORT)
    Transactional(session, "third").transact(topic, COMMIT)
    both(session, version, topic)
    first.end(ABORT)
    both(session, version, topic)


@case(FetchRequest, versions=FEW)
def test_many_aborted(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for number in range(12):
        producer.transact(topic, number % 4 == 3, b"v")
    both(session, version, topic)
    fetch(session, version, topic, wanted(9), isolation_level=COMMITTED)


@case(FetchRequest, versions=FEW)
def test_second_version(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT, COMMIT, ABORT):
        producer.transact(topic, committed, b"v", version=2)
    both(session, version, topic)


@case(FetchRequest, versions=FEW)
def test_several_partitions(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=3)
    producer = Transactional(session)
    for partition in (0, 1):
        producer.add({topic: [partition]})
        producer.produce(topic, partition=partition)
    producer.end(ABORT)
    producer.add({topic: [1]})
    producer.produce(topic, partition=1)
    places = [wanted(partition=partition) for partition in (0, 1, 2)]
    fetch(session, version, topic, *places, isolation_level=COMMITTED)


@case(FetchRequest, versions=FEW)
def test_beyond_what_is_stable(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    open_one(session, topic)
    for offset in (1, 2, 3, 4, 100, -1):
        fetch(session, version, topic, wanted(offset), isolation_level=COMMITTED)


@case(FetchRequest, versions=FEW)
def test_waiting_for_a_commit(session: Session, version: int) -> None:
    wait_for_the_end(session, version, COMMIT)


@case(FetchRequest, versions=FEW)
def test_waiting_for_an_abort(session: Session, version: int) -> None:
    wait_for_the_end(session, version, ABORT)


def wait_for_the_end(session: Session, version: int, committed: bool) -> None:
    """A reader of committed records waits for the marker, not for records."""
    topic = session.create_topic()
    producer = open_one(session, topic)
    asked = fetch_topic(session, version, topic, wanted())
    request = fetch_request(
        [asked], max_wait_ms=LONG_WAIT_MS, min_bytes=1, isolation_level=COMMITTED
    )
    waiting = session.begin(request, version, on=session.connect())
    producer.produce(topic)
    producer.end(committed)
    waiting.finish()


@case(FetchRequest, versions=FEW)
def test_waiting_is_not_ended_by_open_records(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = open_one(session, topic)
    reader = session.connect()
    asked = fetch_topic(session, version, topic, wanted())
    request = fetch_request([asked], max_wait_ms=1_000, min_bytes=1, isolation_level=COMMITTED)
    waiting = session.begin(request, version, on=reader)
    producer.produce(topic, b"a" * 1000)
    waiting.finish()


@case(FetchRequest, versions=(7, 12, 13, 18))
def test_sessions(session: Session, version: int) -> None:
    """An incremental fetch tells of a partition whose end or stable end has moved."""
    topic = session.create_topic()
    producer = open_one(session, topic)
    topics = [fetch_topic(session, version, topic, wanted())]
    first = session.send(fetch_request(topics, session_epoch=0, isolation_level=COMMITTED), version)

    def again(epoch: int) -> None:
        request = fetch_request(
            [], session_id=first.session_id, session_epoch=epoch, isolation_level=COMMITTED
        )
        session.send(request, version)

    again(1)
    producer.produce(topic)
    again(2)
    producer.end(ABORT)
    again(3)
    again(4)


@case(FetchRequest, versions=FEW)
def test_deleted_into_a_transaction(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = open_one(session, topic, "x", b"a", b"b", b"c")
    session.delete_records(topic, 2)
    both(session, version, topic, 2)
    producer.end(ABORT)
    both(session, version, topic, 2)
    both(session, version, topic, 0)


@case(FetchRequest, versions=FEW)
def test_unknown_isolation_levels(session: Session, version: int) -> None:
    topic = session.create_topic()
    Transactional(session).transact(topic, ABORT)
    open_one(session, topic)
    for level in (2, -1, 127):
        request = fetch_request(
            [fetch_topic(session, version, topic, wanted())], isolation_level=level
        )
        session.attempt(request, version)
        session.reconnect()


@case(ListOffsetsRequest)
def test_offsets_while_one_is_open(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    producer = open_one(session, topic)
    fill(session, topic, batch(session))
    for level in (UNCOMMITTED, COMMITTED) if version >= 2 else (UNCOMMITTED,):
        list_offsets(session, version, topic, EARLIEST, LATEST, isolation_level=level)
    producer.end(COMMIT)
    for level in (UNCOMMITTED, COMMITTED) if version >= 2 else (UNCOMMITTED,):
        list_offsets(session, version, topic, EARLIEST, LATEST, isolation_level=level)


@case(ListOffsetsRequest, versions=(2, 4, 7, 10, 11))
def test_offsets_by_time(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    open_one(session, topic)
    fill(session, topic, batch(session))
    past_ms = session.past_ms
    times = (0, past_ms, past_ms + 1, past_ms + 2, session.now_ms + 3_600_000)
    for level in (UNCOMMITTED, COMMITTED):
        list_offsets(session, version, topic, *times, isolation_level=level)


@case(ListOffsetsRequest, versions=(2, 4, 7, 10, 11))
def test_offsets_by_time_at_markers(session: Session, version: int) -> None:
    """A marker has a timestamp as records have."""
    topic = session.create_topic()
    producer = Transactional(session)
    for committed in (COMMIT, ABORT):
        producer.transact(topic, committed)
    times = (0, session.past_ms + 1, session.now_ms - 60_000)
    for level in (UNCOMMITTED, COMMITTED):
        list_offsets(session, version, topic, *times, isolation_level=level)


@case(ListOffsetsRequest, versions=(7, 8, 11))
def test_largest_timestamp(session: Session, version: int) -> None:
    topic = session.create_topic()
    producer = open_one(session, topic, "x", b"a", b"b")
    for level in (UNCOMMITTED, COMMITTED):
        list_offsets(session, version, topic, LARGEST_TIMESTAMP, isolation_level=level)
    producer.end(COMMIT)
    for level in (UNCOMMITTED, COMMITTED):
        list_offsets(session, version, topic, LARGEST_TIMESTAMP, isolation_level=level)


@case(DeleteRecordsRequest)
def test_deletion_beyond_what_is_stable(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    producer = open_one(session, topic)
    for offset in (3, -1, 4):
        part = DeleteRecordsPartition(partition_index=0, offset=offset)
        topics = [DeleteRecordsTopic(name=topic, partitions=[part])]
        session.send(DeleteRecordsRequest(topics=topics, timeout_ms=30_000), version)
    list_offsets(session, 7, topic, EARLIEST, LATEST, isolation_level=COMMITTED)
    producer.end(COMMIT)
    list_offsets(session, 7, topic, EARLIEST, LATEST, isolation_level=COMMITTED)
