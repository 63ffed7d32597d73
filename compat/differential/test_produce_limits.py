"""Produce: limits of topics, several partitions in a request, internal topics."""

from compat.differential.cases import case
from compat.differential.data_plane import (
    TIMEOUT_MS,
    batch,
    fetch,
    list_offsets,
    patched,
    produce,
    topic_data,
)
from compat.differential.session import Session
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.messages.produce import ProduceRequest
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

FEW = (3, 7, 13)
WORDED = (7, 8, 13)
OFFSETS_TOPIC = "__consumer_offsets"


@case(ProduceRequest, versions=WORDED)
def test_too_large(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"max.message.bytes": "200"})
    produce(session, version, topic, batch(session, [b"x" * 200]))
    exact = 200 - len(batch(session, [b"x" * 100])) + 100
    produce(session, version, topic, batch(session, [b"x" * exact]))
    produce(session, version, topic, batch(session, [b"x" * (exact + 1)]))
    produce(session, version, topic, batch(session, [b"x" * 2000], codec=Codec.GZIP))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_too_large_when_it_is_stored(session: Session, version: int) -> None:
    configs = {"max.message.bytes": "500", "compression.type": "uncompressed"}
    topic = session.create_topic(configs=configs)
    produce(session, version, topic, batch(session, [b"x" * 2000], codec=Codec.GZIP))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_larger_than_a_segment(session: Session, version: int) -> None:
    configs = {"max.message.bytes": "3000000", "segment.bytes": "1048576"}
    topic = session.create_topic(configs=configs)
    produce(session, version, topic, batch(session, [b"x" * 1_500_000]))
    produce(session, version, topic, batch(session, [b"x" * 1_000_000]))
    list_offsets(session, 7, topic, -1)


@case(ProduceRequest, versions=WORDED)
def test_compacted_topic_without_keys(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"cleanup.policy": "compact"})
    produce(session, version, topic, batch(session))
    now = session.past_ms
    some = [Record(0, now, b"k", b"v"), Record(1, now, None, b"v"), Record(2, now, b"", None)]
    produce(session, version, topic, bytes(build_batch(some)))
    produce(session, version, topic, bytes(build_batch(some, codec=Codec.GZIP)))
    produce(session, version, topic, bytes(build_batch([some[0], some[2]])))
    produce(session, version, topic, batch(session, [None], key=b"k"))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_compacted_and_deleted_topic_without_keys(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"cleanup.policy": "compact,delete"})
    produce(session, version, topic, batch(session))


@case(ProduceRequest, versions=WORDED)
def test_errors_of_key_and_time_together(session: Session, version: int) -> None:
    configs = {"cleanup.policy": "compact", "message.timestamp.after.max.ms": "1000"}
    topic = session.create_topic(configs=configs)
    late = session.now_ms + 120_000
    some = [
        Record(0, late, None, b"v"),
        Record(1, session.now_ms, None, b"v"),
        Record(2, late, b"k", b"v"),
    ]
    produce(session, version, topic, bytes(build_batch(some)))
    produce(session, version, topic, bytes(build_batch(some[1:])))
    produce(session, version, topic, bytes(build_batch(some[:2])))


@case(ProduceRequest, versions=FEW)
def test_more_replicas_wanted_than_there_are(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"min.insync.replicas": "2"})
    for acks in (-1, 1):
        produce(session, version, topic, batch(session), acks=acks)
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_internal_topic(session: Session, version: int) -> None:
    produce(session, version, OFFSETS_TOPIC, batch(session, key=b"k"))
    produce(session, version, OFFSETS_TOPIC, batch(session, key=b"k"), partition=77)
    produce(session, version, OFFSETS_TOPIC, b"", acks=1)


@case(ProduceRequest, versions=FEW)
def test_several_partitions_of_which_some_fail(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=3)
    other = session.create_topic("other")
    good = batch(session)
    topics = [
        topic_data(session, version, topic, (2, good), (0, b""), (5, good), (1, good)),
        topic_data(session, version, session.name("unknown"), (0, good)),
        topic_data(session, version, other, (0, good)),
    ]
    session.send(
        ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=topics),
        version,
        sort={"responses": "topic_id" if version >= 13 else "name", "partition_responses": "index"},
    )
    for partition in range(3):
        list_offsets(session, 7, topic, -1, partition=partition)


@case(ProduceRequest, versions=FEW)
def test_partitions_named_twice(session: Session, version: int) -> None:
    topic = session.create_topic()
    first, second = batch(session, [b"first"]), batch(session, [b"second", b"third"])
    for topics in (
        [topic_data(session, version, topic, (0, first), (0, second))],
        [topic_data(session, version, topic, (0, first)) for _ in range(2)],
    ):
        request = ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=topics)
        session.send(request, version)
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_partitions_named_twice_once_with_nothing(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    good = batch(session)
    data = topic_data(session, version, topic, (0, good), (0, b""), (1, b""), (1, good))
    session.send(
        ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=[data]),
        version,
        sort={"partition_responses": "index"},
    )
    for partition in (0, 1):
        list_offsets(session, 7, topic, -1, partition=partition)


@case(ProduceRequest, versions=WORDED)
def test_one_partition_with_what_cannot_be_a_batch(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    good, bad = batch(session), patched(batch(session), 16, b"\x05")
    data = topic_data(session, version, topic, (0, good), (1, bad))
    session.send(
        ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=[data]),
        version,
        sort={"partition_responses": "index"},
    )
    list_offsets(session, 7, topic, -1)


@case(ProduceRequest, versions=FEW)
def test_pipelined_requests(session: Session, version: int) -> None:
    topic = session.create_topic()
    requests = []
    for value in (b"a", b"b", b"c", b"d", b"e"):
        data = topic_data(session, version, topic, (0, batch(session, [value])))
        requests.append(ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=[data]))
    pending = [session.begin(request, version) for request in requests]
    for each in pending:
        each.finish()
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_headers_and_nulls(session: Session, version: int) -> None:
    topic = session.create_topic()
    sent = [
        Record(0, session.past_ms, None, None, (("h", b"v"), ("h", None), ("", b""))),
        Record(1, session.past_ms, b"", b"", (("ü", bytes(300)),)),
    ]
    produce(session, version, topic, bytes(build_batch(sent)))
    produce(session, version, topic, bytes(build_batch(sent, codec=Codec.LZ4)))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=(3, 9))
def test_timeout_of_nothing(session: Session, version: int) -> None:
    topic = session.create_topic()
    for timeout_ms in (0, -1):
        data = topic_data(session, version, topic, (0, batch(session)))
        session.send(ProduceRequest(acks=-1, timeout_ms=timeout_ms, topic_data=[data]), version)
