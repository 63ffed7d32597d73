"""Single Produce and Fetch requests, for those who want to see each answer."""

import time
from collections.abc import Sequence

from pykbroker.client import Connection
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

FETCH_BYTES = 1_000_000
WAIT_MS = 500
TIMEOUT_MS = 30_000


def a_batch(values: Sequence[bytes]) -> bytes:
    """Records without keys, of this moment."""
    now_ms = int(time.time() * 1000)
    return bytes(build_batch([Record(n, now_ms, None, each) for n, each in enumerate(values)]))


def produce(
    connection: Connection,
    topic: str,
    batch: bytes,
    *,
    partitions: Sequence[int] = (0,),
    acks: int = -1,
) -> list[PartitionProduceResponse]:
    """Send a batch to partitions of a topic; gives the answer of each."""
    data = [PartitionProduceData(index=each, records=batch) for each in partitions]
    request = ProduceRequest(
        acks=acks,
        timeout_ms=TIMEOUT_MS,
        topic_data=[TopicProduceData(name=topic, partition_data=data)],
    )
    return connection.call(request, ProduceResponse).responses[0].partition_responses


def fetch(connection: Connection, topic: str, offset: int, partition: int = 0) -> PartitionData:
    """Ask for what is there from `offset` on, up to 1 MB."""
    wanted = FetchPartition(
        partition=partition, fetch_offset=offset, partition_max_bytes=FETCH_BYTES
    )
    request = FetchRequest(
        max_wait_ms=WAIT_MS,
        min_bytes=1,
        max_bytes=FETCH_BYTES,
        topics=[FetchTopic(topic=topic, partitions=[wanted])],
    )
    return connection.call(request, FetchResponse).responses[0].partitions[0]
