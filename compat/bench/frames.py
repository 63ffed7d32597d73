"""Requests as bytes, built before the clock starts, for loads that cost far less than the broker.

The versions are the newest that name topics and that every broker of the last years knows.
"""

import time
from collections.abc import Sequence
from functools import cache
from random import Random
from struct import Struct
from typing import Final

from pykbroker.client import Request
from pykbroker.protocol.headers import RequestHeader, encode_request_header
from pykbroker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

PRODUCE_VERSION: Final = 9
FETCH_VERSION: Final = 12
CLIENT_ID: Final = "bench"

BATCH_LIMIT_BYTES: Final = 1_048_588
"""Kafka's default of max.message.bytes: a batch of "1 MB" is the largest one below it."""

_CORRELATION_ID: Final = Struct(">i")
_CORRELATION_ID_AT: Final = 8


def frame(request: Request, version: int) -> bytes:
    """A whole request as it goes over the socket."""
    header = RequestHeader(request.API_KEY, version, 1, CLIENT_ID)
    body = b"".join([encode_request_header(header), *request.encode(version)])
    return len(body).to_bytes(4, "big") + body


def numbered(frames: Sequence[bytes], first: int = 0) -> bytes:
    """The frames in one piece, each with another correlation id, as a client numbers them."""
    parts = []
    for number, data in enumerate(frames, first):
        correlation_id = _CORRELATION_ID.pack(number & 0x7FFFFFFF)
        parts += [data[:_CORRELATION_ID_AT], correlation_id, data[_CORRELATION_ID_AT + 4 :]]
    return b"".join(parts)


@cache
def batch_of(
    record_bytes: int, batch_bytes: int, *, mixed: bool = False, most: int | None = None
) -> tuple[bytes, int]:
    """The largest batch of so many bytes at most, at least one record, and its record count.

    Args:
        record_bytes: Size of each value; there are no keys, as in Kafka's own perf tool.
        mixed: The values have half to one and a half times that size.
        most: Not more records than this.
    """
    limit = min(batch_bytes, BATCH_LIMIT_BYTES)
    random = Random(1)
    now_ms = int(time.time() * 1000)
    # A record has some bytes of its own besides its value, so this is enough.
    values = [
        random.randbytes(
            random.randint(record_bytes // 2, record_bytes * 3 // 2) if mixed else record_bytes
        )
        for _ in range(max(1, limit // record_bytes + (limit // record_bytes if mixed else 0)))
    ][:most]
    records = [Record(offset, now_ms, None, value) for offset, value in enumerate(values)]
    fits, too_many = 1, len(records) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if len(build_batch(records[:middle])) <= limit:
            fits = middle
        else:
            too_many = middle
    return bytes(build_batch(records[:fits])), fits


def produce_frame(topic: str, partitions: Sequence[int], batch: bytes, acks: int) -> bytes:
    """One request with the same batch for each of the partitions."""
    data = [PartitionProduceData(index=number, records=batch) for number in partitions]
    request = ProduceRequest(
        acks=acks,
        timeout_ms=30_000,
        topic_data=[TopicProduceData(name=topic, partition_data=data)],
    )
    return frame(request, PRODUCE_VERSION)


def fetch_frame(topic: str, offset: int, max_bytes: int, max_wait_ms: int = 1000) -> bytes:
    """A fetch of partition 0 that is answered as soon as there is anything."""
    partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes)
    request = FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=1,
        max_bytes=max_bytes,
        topics=[FetchTopic(topic=topic, partitions=[partition])],
    )
    return frame(request, FETCH_VERSION)
