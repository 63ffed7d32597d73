"""ListOffsets: offsets by time, the special times, epochs, isolation, errors."""

from compat.differential.cases import case
from compat.differential.data_plane import batch, fill, list_offsets
from compat.differential.session import Session
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

SPECIAL = (-1, -2, -3, -4, -5, -6)
FEW = (1, 4, 7, 11)


def timed(session: Session, *ahead: int, codec: Codec = Codec.NONE) -> bytes:
    """A batch of records at so many milliseconds after an hour ago."""
    sent = [Record(n, session.past_ms + each, None, b"v") for n, each in enumerate(ahead)]
    return bytes(build_batch(sent, codec=codec))


@case(ListOffsetsRequest)
def test_special_times(session: Session, version: int) -> None:
    topic = session.create_topic()
    list_offsets(session, version, topic, *SPECIAL)
    fill(session, topic, timed(session, 0, 5, 3), timed(session, 5, 1))
    list_offsets(session, version, topic, *SPECIAL)


@case(ListOffsetsRequest, versions=FEW)
def test_times_that_there_are_not(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    list_offsets(session, version, topic, -7, -8, -100, -(2**63))
    list_offsets(session, version, session.name("unknown"), -3, -4, -5, -6, -7)


@case(ListOffsetsRequest)
def test_by_time(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, timed(session, 0, 10, 20), timed(session, 30, 25), timed(session, 40))
    past = session.past_ms
    times = (0, past - 1, past, past + 1, past + 10, past + 22, past + 25, past + 26, past + 31)
    list_offsets(session, version, topic, *times, past + 40, past + 41, 2**63 - 1)


@case(ListOffsetsRequest, versions=FEW)
def test_by_time_in_compressed_batches(session: Session, version: int) -> None:
    topic = session.create_topic()
    for codec in Codec:
        fill(session, topic, timed(session, codec * 10, codec * 10 + 5, codec=codec))
    for ahead in (0, 4, 5, 6, 12, 20, 33, 45, 46):
        list_offsets(session, version, topic, session.past_ms + ahead)
    list_offsets(session, version, topic, -3)


@case(ListOffsetsRequest, versions=FEW)
def test_times_in_no_order(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, *(timed(session, ahead) for ahead in (50, 10, 30, 70, 70, 20)))
    for ahead in (0, 10, 11, 30, 51, 70, 71):
        list_offsets(session, version, topic, session.past_ms + ahead)
    list_offsets(session, version, topic, -3)


@case(ListOffsetsRequest, versions=FEW)
def test_records_without_time(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, bytes(build_batch([Record(0, -1, None, b"v")])))
    list_offsets(session, version, topic, 0, -3, session.past_ms)
    fill(session, topic, timed(session, 0), bytes(build_batch([Record(0, 0, None, b"v")])))
    list_offsets(session, version, topic, 0, 1, -3, session.past_ms)


@case(ListOffsetsRequest, versions=FEW)
def test_log_append_time(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"message.timestamp.type": "LogAppendTime"})
    fill(session, topic, batch(session), batch(session, codec=Codec.GZIP))
    list_offsets(session, version, topic, 0, session.past_ms, session.now_ms + 10**9)
    # Both batches may get the same millisecond.
    fill(session, topic, batch(session, [b"v"] * 3))
    list_offsets(session, version, topic, -1)


@case(ListOffsetsRequest, versions=FEW)
def test_across_segments(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"segment.ms": "1000", "retention.ms": "-1"})
    fill(session, topic, *(timed(session, n * 5000, n * 5000 + 7) for n in range(4)))
    for ahead in (-1, 0, 7, 8, 5000, 5007, 9999, 15_007, 15_008):
        list_offsets(session, version, topic, session.past_ms + ahead)
    list_offsets(session, version, topic, *SPECIAL)


@case(ListOffsetsRequest)
def test_unknown_topic_and_partition(session: Session, version: int) -> None:
    list_offsets(session, version, session.name("unknown"), -1, 0)
    topic = session.create_topic()
    for partition in (1, -1, 2**31 - 1):
        list_offsets(session, version, topic, -1, partition=partition)


@case(ListOffsetsRequest, versions=(1, 7))
def test_odd_topic_names(session: Session, version: int) -> None:
    for name in ("", ".", "ü", "x" * 250):
        list_offsets(session, version, name, -1)


@case(ListOffsetsRequest, versions=range(4, 12))
def test_leader_epochs(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    for epoch in (-2, -1, 0, 1, 7):
        list_offsets(session, version, topic, -1, 0, -3, current_leader_epoch=epoch)


@case(ListOffsetsRequest, versions=(2, 4, 7, 11))
def test_isolation_levels(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    for level in (0, 1, 2, -1):
        list_offsets(session, version, topic, -1, -2, 0, isolation_level=level)


@case(ListOffsetsRequest, versions=FEW)
def test_replica_ids(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    for replica in (-1, -2, -3, 1, 2, 100):
        list_offsets(session, version, topic, -1, -2, 0, replica_id=replica)


@case(ListOffsetsRequest, versions=FEW)
def test_nothing_asked(session: Session, version: int) -> None:
    session.send(ListOffsetsRequest(replica_id=-1), version)
    topic = ListOffsetsTopic(name=session.create_topic())
    session.send(ListOffsetsRequest(replica_id=-1, topics=[topic]), version)


@case(ListOffsetsRequest, versions=FEW)
def test_partitions_named_twice(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=3)
    asked = [ListOffsetsPartition(partition_index=n, timestamp=-1) for n in (0, 1, 0, 2, 2, 2)]
    for topics in (
        [ListOffsetsTopic(name=topic, partitions=asked)],
        [ListOffsetsTopic(name=topic, partitions=asked[:1]) for _ in range(2)],
        [ListOffsetsTopic(name=session.name("unknown"), partitions=asked[:3])],
    ):
        session.send(
            ListOffsetsRequest(replica_id=-1, topics=topics),
            version,
            sort={"topics": "name", "partitions": "partition_index"},
        )


@case(ListOffsetsRequest, versions=FEW)
def test_several_topics(session: Session, version: int) -> None:
    names = [session.create_topic(label, partitions=2) for label in ("a", "b")]
    fill(session, names[0], batch(session), partition=1)
    topics = [
        ListOffsetsTopic(
            name=name,
            partitions=[
                ListOffsetsPartition(partition_index=index, timestamp=timestamp)
                for index, timestamp in ((1, -1), (0, -2), (5, -1))
            ],
        )
        for name in (*names, session.name("unknown"))
    ]
    session.send(
        ListOffsetsRequest(replica_id=-1, topics=topics),
        version,
        sort={"topics": "name", "partitions": "partition_index"},
    )


@case(ListOffsetsRequest, versions=(10, 11))
def test_timeouts(session: Session, version: int) -> None:
    topic = session.create_topic()
    asked = [ListOffsetsPartition(partition_index=0, timestamp=0)]
    topics = [ListOffsetsTopic(name=topic, partitions=asked)]
    for timeout_ms in (0, -1, 1):
        request = ListOffsetsRequest(replica_id=-1, topics=topics, timeout_ms=timeout_ms)
        session.send(request, version)


@case(ListOffsetsRequest, versions=(1, 7))
def test_internal_topic(session: Session, version: int) -> None:
    list_offsets(session, version, "__consumer_offsets", -2)
    list_offsets(session, version, "__consumer_offsets", -1, partition=1000)
