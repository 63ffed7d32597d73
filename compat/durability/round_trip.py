"""A fresh producer and a fresh consumer: the question whether a broker serves."""

import time

from compat.processes import eventually
from pykbroker.client import Client, ClientError
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record

PROBE_SECONDS = 30.0
FETCH_BYTES = 1 << 20


def round_trip(address: str, topic: str) -> None:
    """Write a record with acks=all to partition 0 and read it, trying until that works."""
    eventually(lambda: _try(address, topic), seconds=PROBE_SECONDS, what="a round trip")


def _try(address: str, topic: str) -> bool:
    value = b"%d" % time.monotonic_ns()
    try:
        with Client(address, timeout_s=5.0) as client:
            offset = _produce(client, topic, value)
            return offset is not None and _fetch(client, topic, offset) == value
    except ClientError:
        return False


def _produce(client: Client, topic: str, value: bytes) -> int | None:
    batch = build_batch([Record(0, int(time.time() * 1000), None, value)])
    data = TopicProduceData(
        name=topic, partition_data=[PartitionProduceData(index=0, records=batch)]
    )
    request = ProduceRequest(acks=-1, timeout_ms=5_000, topic_data=[data])
    answer = client.call(request, ProduceResponse).responses[0].partition_responses[0]
    return answer.base_offset if answer.error_code == ErrorCode.NONE else None


def _fetch(client: Client, topic: str, offset: int) -> bytes | None:
    wanted = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=FETCH_BYTES)
    request = FetchRequest(
        max_wait_ms=500,
        min_bytes=1,
        max_bytes=FETCH_BYTES,
        topics=[FetchTopic(topic=topic, partitions=[wanted])],
    )
    records = client.call(request, FetchResponse).responses[0].partitions[0].records
    if not records:
        return None
    return next(iter(RecordBatch.parse(bytes(records)).records(FETCH_BYTES))).value
