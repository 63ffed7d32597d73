"""Requests of the data plane as the cases write them: by topic name, whatever the version wants."""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

from compat.differential.session import Session
from compat.differential.wire import Connection
from pykbroker.protocol import crc
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchTopic,
    ForgottenTopic,
)
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest
from pykbroker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

FIRST_WITH_IDS = 13  # Produce and Fetch
TIMEOUT_MS = 30_000
FETCH_BYTES = 1 << 20

_CRC = Struct(">I")
_CRC_POSITION = 17
_CRC_FROM = 21


def records(
    session: Session, values: Iterable[bytes | None] = (b"a", b"b"), *, key: bytes | None = None
) -> list[Record]:
    """Records a millisecond apart, an hour ago."""
    return [Record(n, session.past_ms + n, key, value) for n, value in enumerate(values)]


def batch(
    session: Session,
    values: Iterable[bytes | None] = (b"a", b"b"),
    *,
    key: bytes | None = None,
    **build: Any,
) -> bytes:
    """A record batch; `build` is for `build_batch`."""
    return bytes(build_batch(records(session, values, key=key), **build))


def patched(data: bytes, position: int, value: bytes, *, is_crc_kept: bool = False) -> bytes:
    """A batch with other bytes at a position, and the checksum that belongs to them."""
    changed = bytearray(data)
    changed[position : position + len(value)] = value
    if not is_crc_kept:
        _CRC.pack_into(changed, _CRC_POSITION, crc.crc32c(bytes(changed[_CRC_FROM:])))
    return bytes(changed)


def by(session: Session, version: int, topic: str) -> dict[str, Any]:
    """How Produce and Fetch name a topic: by its id from v13 on."""
    if version < FIRST_WITH_IDS:
        return {"name": topic}
    return {"topic_id": topic_id(session, topic)}


def topic_id(session: Session, topic: str) -> bytes:
    """The id of a topic, or one that no topic has if it does not exist."""
    if topic.endswith("unknown"):
        return b"unknown".ljust(16, b"!")
    return session.topic_id(topic)


def topic_data(
    session: Session, version: int, topic: str, *partitions: tuple[int, bytes | None]
) -> TopicProduceData:
    """What to append to partitions of a topic."""
    data = [PartitionProduceData(index=index, records=each) for index, each in partitions]
    return TopicProduceData(**by(session, version, topic), partition_data=data)


def produce(
    session: Session,
    version: int,
    topic: str,
    data: bytes | None,
    *,
    partition: int = 0,
    acks: int = -1,
    transactional_id: str | None = None,
    on: Connection | None = None,
) -> Any:
    """Append to one partition, and compare the answer."""
    request = ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=TIMEOUT_MS,
        topic_data=[topic_data(session, version, topic, (partition, data))],
    )
    return session.send(request, version, on=on)


def fill(session: Session, topic: str, *batches: bytes, partition: int = 0) -> None:
    """Append batches as a preparation."""
    for each in batches:
        request = ProduceRequest(
            acks=-1,
            timeout_ms=TIMEOUT_MS,
            topic_data=[topic_data(session, 9, topic, (partition, each))],
        )
        (answer,) = session.ask(request, 9).responses[0].partition_responses
        assert answer.error_code == 0, f"a batch for {topic} was refused: {answer}"


def fetch_topic(
    session: Session, version: int, topic: str, *partitions: FetchPartition
) -> FetchTopic:
    """Partitions of a topic to fetch."""
    if version < FIRST_WITH_IDS:
        return FetchTopic(topic=topic, partitions=list(partitions))
    return FetchTopic(topic_id=topic_id(session, topic), partitions=list(partitions))


def forgotten(session: Session, version: int, topic: str, *partitions: int) -> ForgottenTopic:
    """Partitions of a topic to forget."""
    if version < FIRST_WITH_IDS:
        return ForgottenTopic(topic=topic, partitions=list(partitions))
    return ForgottenTopic(topic_id=topic_id(session, topic), partitions=list(partitions))


def wanted(offset: int = 0, *, partition: int = 0, **fields: Any) -> FetchPartition:
    """One partition to fetch from an offset."""
    return FetchPartition(
        **{"partition_max_bytes": FETCH_BYTES, **fields},
        partition=partition,
        fetch_offset=offset,
    )


def fetch_request(topics: Sequence[FetchTopic], **fields: Any) -> FetchRequest:
    """A Fetch that does not wait, of no session."""
    return FetchRequest(
        **{"max_wait_ms": 0, "min_bytes": 0, "max_bytes": FETCH_BYTES, **fields},
        topics=list(topics),
    )


def fetch(
    session: Session,
    version: int,
    topic: str,
    *partitions: FetchPartition,
    on: Connection | None = None,
    **fields: Any,
) -> Any:
    """Fetch from one topic, from the start of partition 0 if none is named."""
    topics = [fetch_topic(session, version, topic, *(partitions or (wanted(),)))]
    return session.send(fetch_request(topics, **fields), version, on=on)


def list_offsets(
    session: Session,
    version: int,
    topic: str,
    *timestamps: int,
    replica_id: int = -1,
    isolation_level: int = 0,
    current_leader_epoch: int = -1,
    partition: int = 0,
) -> None:
    """Ask for one partition's offsets, one request for each timestamp."""
    for timestamp in timestamps:
        asked = ListOffsetsPartition(
            partition_index=partition,
            timestamp=timestamp,
            current_leader_epoch=current_leader_epoch if version >= 4 else -1,
        )
        request = ListOffsetsRequest(
            replica_id=replica_id,
            isolation_level=isolation_level,
            topics=[ListOffsetsTopic(name=topic, partitions=[asked])],
            timeout_ms=TIMEOUT_MS,
        )
        session.send(request, version)


def new_producer(session: Session) -> int:
    """A producer id that nobody has used."""
    request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
    answer = session.ask(request, 4)
    assert answer.error_code == 0, f"no producer id: {answer}"
    producer_id: int = answer.producer_id
    return producer_id


CODECS = [Codec.NONE, Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
