"""The same batches sent to both brokers: after a cleaning both have the same records left."""

import time
from collections.abc import Iterator, Sequence
from random import Random

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import TopicPartition

from compat.compaction.client import SEGMENT_BYTES, Log, is_clean, new_topic, read_first, reader
from compat.compaction.conftest import SETTINGS
from compat.targets import KafkaTarget, PykbrokerTarget, Target, TargetUnavailable
from pykbroker.client import Connection
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

BATCHES = 150
KEYS = 30
DAY_MS = 86_400_000
PROBES = 40


@pytest.fixture
def both(broker: Target) -> Iterator[tuple[Target, Target]]:
    """The target and its rival: Apache Kafka and pykbroker, in this or the other order."""
    try:
        rival = KafkaTarget(SETTINGS) if broker.name == "pykbroker" else PykbrokerTarget(SETTINGS)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    with rival:
        yield broker, rival


def random_batches(random: Random) -> Iterator[bytes]:
    """Batches with all codecs, headers, tombstones, and timestamps in no order."""
    now_ms = int(time.time() * 1000)
    for number in range(BATCHES):
        records = []
        for place in range(random.choice([1, 2, 10, 40])):
            # Something of each batch stays, so that no segment becomes empty (FINDINGS.md).
            key = b"only-%d" % number if place == 0 else b"key-%d" % random.randrange(KEYS)
            value = None if random.random() < 0.2 else random.randbytes(random.choice([0, 9, 300]))
            headers = (("h", b"v"), ("n", None)) if random.random() < 0.2 else ()
            timestamp = now_ms - random.randrange(DAY_MS)
            records.append(Record(place, timestamp, key, value, headers))
        yield bytes(build_batch(records, codec=random.choice(list(Codec))))


def write(log: Log, batches: Sequence[bytes]) -> None:
    connection = Connection(log.broker.host, log.broker.port)
    for batch in batches:
        data = PartitionProduceData(index=log.partition, records=batch)
        topic_data = [TopicProduceData(name=log.topic, partition_data=[data])]
        request = ProduceRequest(acks=-1, timeout_ms=30_000, topic_data=topic_data)
        answer = connection.call(request, ProduceResponse).responses[0]
        assert answer.partition_responses[0].error_code == 0
    connection.close()


def test_both_keep_the_same_records(
    both: tuple[Target, Target], request: pytest.FixtureRequest
) -> None:
    random = Random(request.config.getoption("--seed"))
    batches = list(random_batches(random))
    assert sum(map(len, batches)) > 5 * SEGMENT_BYTES
    logs = [new_topic(broker, "both")[0] for broker in both]
    for log in logs:
        write(log, batches)
        log.close_segment()
    first_left, second_left = (log.until(is_clean) for log in logs)
    assert first_left == second_left

    end = logs[0].bounds()[1]
    offsets = [random.randrange(end) for _ in range(PROBES)]
    timestamps = [
        each.timestamp + random.randrange(2) for each in random.sample(first_left, PROBES)
    ]
    first, second = (_probe(log, offsets, timestamps) for log in logs)
    assert first == second


def _probe(log: Log, offsets: Sequence[int], timestamps: Sequence[int]) -> list[int]:
    """The offset of the first record from an offset on, or of a timestamp."""
    with reader(log.broker) as client:
        found = [read_first(client, log, offset).offset for offset in offsets]
        for timestamp in timestamps:
            asked = TopicPartition(log.topic, log.partition, timestamp)
            (answer,) = client.offsets_for_times([asked], timeout=60)
            found.append(answer.offset)
    return found
