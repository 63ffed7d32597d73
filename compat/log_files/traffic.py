"""The same records for both brokers, byte by byte, sent without a client library.

A client library decides by its clock which records share a batch; here every batch is made before
and sent alone, so what the two brokers write may be compared.
"""

import time
from collections.abc import Iterator, Mapping
from random import Random
from typing import NamedTuple

from compat.processes import eventually
from compat.targets import Target
from pykbroker.client import Connection, check
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record

PLAIN = "same.plain"
PRODUCERS = "same.producers"
SMALL_SEGMENTS: Mapping[str, str] = {
    "internal.segment.bytes": "20000",
    "index.interval.bytes": "500",
    "retention.ms": "-1",
}
_BATCHES = 160
_FIRST_PRODUCER_ID = 900_000


class Sent(NamedTuple):
    """A batch for partition 0 of a topic."""

    topic: str
    batch: bytes


def batches(now_ms: int) -> Iterator[Sent]:
    """Batches of every codec, with all that a record may have, in the order to send them."""
    random = Random(4)
    codecs = list(Codec)
    sequences: dict[int, int] = {}
    for number in range(_BATCHES):
        # Out of order at times, so that the largest timestamp is not always the last.
        start_ms = now_ms - 600_000 + number * 1000 - random.choice((0, 0, 5000))
        records = [_record(random, index, start_ms) for index in range(random.randrange(1, 9))]
        codec = codecs[number % len(codecs)]
        yield Sent(PLAIN, bytes(build_batch(records, codec=codec)))
        producer = _FIRST_PRODUCER_ID + number % 3
        sequence = sequences.get(producer, 0)
        sequences[producer] = sequence + len(records)
        yield Sent(
            PRODUCERS,
            bytes(
                build_batch(
                    records,
                    codec=codec,
                    producer_id=producer,
                    producer_epoch=2,
                    base_sequence=sequence,
                )
            ),
        )


def _record(random: Random, index: int, start_ms: int) -> Record:
    key = random.choice((None, b"", b"key-%d" % index))
    value = random.choice((None, b"", random.randbytes(random.randrange(1, 200))))
    headers = tuple((f"h{n}", random.choice((None, b"", b"v"))) for n in range(random.randrange(3)))
    return Record(index, start_ms + random.randrange(100), key, value, headers)


def create_topics(connection: Connection, topics: Mapping[str, Mapping[str, str]]) -> None:
    """Make topics of one partition with the given settings."""
    request = CreateTopicsRequest(
        topics=[
            CreatableTopic(
                name=name,
                num_partitions=1,
                replication_factor=1,
                configs=[CreatableTopicConfig(name=key, value=v) for key, v in settings.items()],
            )
            for name, settings in topics.items()
        ],
        timeout_ms=30_000,
    )
    for result in connection.call(request, CreateTopicsResponse).topics:
        check(result.error_code, result.error_message)


def produce(connection: Connection, sent: Sent) -> int:
    """Send a batch; gives its base offset.

    Raises:
        KafkaError: The broker refused it.
    """
    request = ProduceRequest(
        acks=-1,
        timeout_ms=30_000,
        topic_data=[
            TopicProduceData(
                name=sent.topic, partition_data=[PartitionProduceData(index=0, records=sent.batch)]
            )
        ],
    )
    (topic,) = connection.call(request, ProduceResponse).responses
    (partition,) = topic.partition_responses
    check(partition.error_code, partition.error_message)
    return partition.base_offset


def produce_again(connection: Connection, topic: str, written: RecordBatch) -> int:
    """Send a batch of the log as its producer did; as `produce`."""
    batch = RecordBatch.parse(bytearray(written.data))
    batch.assign(0, -1)
    return produce(connection, Sent(topic, bytes(batch.data)))


def send_all(target: Target, now_ms: int) -> dict[str, list[RecordBatch]]:
    """Make the topics and send all batches; gives them as they are in the log."""
    connection = Connection(target.host, target.port)
    logs: dict[str, list[RecordBatch]] = {PLAIN: [], PRODUCERS: []}
    try:
        create_topics(connection, dict.fromkeys(logs, SMALL_SEGMENTS))
        for sent in batches(now_ms):
            batch = RecordBatch.parse(bytearray(sent.batch))
            batch.assign(eventually_produced(connection, sent), 0)
            logs[sent.topic].append(batch)
    finally:
        connection.close()
    return logs


def eventually_produced(connection: Connection, sent: Sent) -> int:
    """As `produce`, while a new topic may not be known yet."""

    def attempt() -> tuple[int] | None:
        try:
            return (produce(connection, sent),)
        except KafkaError as error:
            if error.code in (
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                ErrorCode.NOT_LEADER_OR_FOLLOWER,
            ):
                return None
            raise

    (base_offset,) = eventually(attempt, what=f"a leader of {sent.topic}")
    return base_offset


def now_ms() -> int:
    return time.time_ns() // 1_000_000
