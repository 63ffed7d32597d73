"""Settings that are changed while a topic is in use, and what producing and fetching make of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from compat.differential.cases import case
from compat.differential.config_requests import (
    BROKER,
    DELETE,
    NEWEST_INCREMENTAL,
    SET,
    TOPIC,
    a_change,
    own_settings,
    settle,
)
from compat.differential.data_plane import batch, fetch, fill, list_offsets, produce
from compat.differential.session import HOUR_MS, Session
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from pykbroker.protocol.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

PRODUCE, FETCH = 9, 12
# A setting that nothing depends on. Kafka shows a change before it is in force; when it shows the
# next one, the one before is.
MARK = "file.delete.delay.ms"


def change(session: Session, version: int, topic: str, **settings: str | None) -> None:
    """Set settings, or delete them with None, and wait until they are in force."""
    wanted = {key.replace("_", "."): value for key, value in settings.items()}
    operations = [(key, DELETE if value is None else SET, value) for key, value in wanted.items()]
    session.send(a_change((TOPIC, topic, operations)), version)
    before = own_settings(session, TOPIC, topic)
    expected = _updated(before, wanted)
    settle(session, TOPIC, topic, expected)
    mark = str(int(before.get(MARK) or 60_000) + 1)
    session.ask(a_change((TOPIC, topic, [(MARK, SET, mark)])), NEWEST_INCREMENTAL)
    settle(session, TOPIC, topic, {**expected, MARK: mark})


def _updated(
    before: Mapping[str, str | None], wanted: Mapping[str, str | None]
) -> dict[str, str | None]:
    return {key: value for key, value in {**before, **wanted}.items() if value is not None}


@case(IncrementalAlterConfigsRequest)
def test_max_message_bytes(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(session, PRODUCE, topic, batch(session, [b"x" * 500]))
    change(session, version, topic, max_message_bytes="200")
    produce(session, PRODUCE, topic, batch(session, [b"x" * 500]))
    produce(session, PRODUCE, topic, batch(session, [b"x" * 50]))
    change(session, version, topic, max_message_bytes=None)
    produce(session, PRODUCE, topic, batch(session, [b"x" * 500]))
    fetch(session, FETCH, topic)


@case(IncrementalAlterConfigsRequest)
def test_cleanup_policy(session: Session, version: int) -> None:
    """Records without a key are refused as soon as the topic is compacted."""
    topic = session.create_topic()
    produce(session, PRODUCE, topic, batch(session))
    change(session, version, topic, cleanup_policy="compact")
    produce(session, PRODUCE, topic, batch(session))
    produce(session, PRODUCE, topic, batch(session, key=b"k"))
    asked = [DeleteRecordsPartition(partition_index=0, offset=1)]
    deletion = DeleteRecordsRequest(
        topics=[DeleteRecordsTopic(name=topic, partitions=asked)], timeout_ms=30_000
    )
    session.send(deletion, 2)
    change(session, version, topic, cleanup_policy="compact,delete")
    session.send(deletion, 2)
    change(session, version, topic, cleanup_policy=None)
    produce(session, PRODUCE, topic, batch(session))
    list_offsets(session, 7, topic, -1, -2)


@case(IncrementalAlterConfigsRequest)
def test_timestamp_type(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(session, PRODUCE, topic, batch(session))
    change(session, version, topic, message_timestamp_type="LogAppendTime")
    produce(session, PRODUCE, topic, batch(session))
    change(session, version, topic, message_timestamp_type="CreateTime")
    produce(session, PRODUCE, topic, batch(session))
    fetch(session, FETCH, topic)


@case(IncrementalAlterConfigsRequest)
def test_limits_of_timestamps(session: Session, version: int) -> None:
    topic = session.create_topic()
    old = session.now_ms - 3 * HOUR_MS
    new = session.now_ms + 2 * HOUR_MS
    records = {time: bytes(build_batch([Record(0, time, b"k", b"v")])) for time in (old, new)}

    def both() -> None:
        for time in (old, new):
            produce(session, PRODUCE, topic, records[time])

    both()
    change(session, version, topic, message_timestamp_before_max_ms=str(2 * HOUR_MS))
    both()
    change(session, version, topic, message_timestamp_after_max_ms=str(3 * HOUR_MS))
    both()


@case(IncrementalAlterConfigsRequest)
def test_compression_type(session: Session, version: int) -> None:
    topic = session.create_topic()
    for codec in ("gzip", "snappy", "lz4", "zstd", "uncompressed", "producer"):
        change(session, version, topic, compression_type=codec)
        fill(session, topic, batch(session), batch(session, codec=Codec.LZ4))
    fetch(session, FETCH, topic)


@case(IncrementalAlterConfigsRequest)
def test_min_insync_replicas(session: Session, version: int) -> None:
    topic = session.create_topic()
    change(session, version, topic, min_insync_replicas="2")
    for acks in (-1, 1):
        produce(session, PRODUCE, topic, batch(session), acks=acks)
    change(session, version, topic, min_insync_replicas="1")
    produce(session, PRODUCE, topic, batch(session))
    list_offsets(session, 7, topic, -1)


@case(IncrementalAlterConfigsRequest)
def test_segment_settings(session: Session, version: int) -> None:
    """Offsets and records are the same however the log is cut."""
    topic = session.create_topic()
    fill(session, topic, batch(session))
    change(session, version, topic, segment_ms="1", index_interval_bytes="0")
    fill(session, topic, *(batch(session) for _ in range(5)))
    change(session, version, topic, segment_bytes="1048576", segment_index_bytes="24")
    fill(session, topic, *(batch(session) for _ in range(5)))
    list_offsets(session, 7, topic, -1, -2, -3, session.past_ms, session.past_ms + 1)
    for offset in (0, 3, 10, 21, 22):
        session.note(f"at {offset}", offset)
    fetch(session, FETCH, topic)


@case(IncrementalAlterConfigsRequest)
def test_message_size_of_all_brokers(session: Session, version: int) -> None:
    """A topic without a limit of its own has the broker's, at once."""
    own = session.create_topic("own", configs={"max.message.bytes": "1000"})
    topic = session.create_topic()
    with all_brokers(session, version, "message.max.bytes", "300", topic):
        for each in (own, topic):
            produce(session, PRODUCE, each, batch(session, [b"x" * 500]))
    for each in (own, topic):
        produce(session, PRODUCE, each, batch(session, [b"x" * 500]))


@case(IncrementalAlterConfigsRequest)
def test_timestamp_type_of_all_brokers(session: Session, version: int) -> None:
    topic = session.create_topic()
    with all_brokers(session, version, "log.message.timestamp.type", "LogAppendTime", topic):
        produce(session, PRODUCE, topic, batch(session))
    produce(session, PRODUCE, topic, batch(session))
    fetch(session, FETCH, topic)


@contextmanager
def all_brokers(session: Session, version: int, key: str, value: str, topic: str) -> Iterator[None]:
    """A setting of all brokers that is in force meanwhile."""
    session.send(a_change((BROKER, "", [(key, SET, value)])), version)
    try:
        session.eventually(
            lambda: own_settings(session, BROKER, "").get(key) == value, what=f"{key}={value}"
        )
        change(session, version, topic, retention_bytes="1000000")
        yield
    finally:
        session.ask(a_change((BROKER, "", [(key, DELETE, None)])), NEWEST_INCREMENTAL)
        session.eventually(
            lambda: key not in own_settings(session, BROKER, ""), what=f"the end of {key}"
        )
        change(session, version, topic, retention_bytes=None)
