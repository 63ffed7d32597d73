"""Record batches and produce requests as clients make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pykbroker.handlers import produce
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record
from tests.harness.broker import BrokerHarness

NOW_MS = 1_700_000_000_000
NEWEST_VERSION_WITH_NAMES = 12


def a_batch(
    *values: bytes, timestamp: int = NOW_MS, key: bytes | None = b"k", **options: Any
) -> bytes:
    """Return a batch with one record for each value; options as `build_batch`."""
    records = [
        Record(offset, timestamp + offset, key, value, ())
        for offset, value in enumerate(values or (b"v",))
    ]
    return bytes(build_batch(records, **options))


def a_request(
    records: bytes | None,
    *,
    topic: str = "t",
    partition: int = 0,
    acks: int = 1,
    timeout_ms: int = 5000,
    transactional_id: str | None = None,
) -> ProduceRequest:
    """Return a request with one batch."""
    return ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=timeout_ms,
        topic_data=[
            TopicProduceData(
                name=topic, partition_data=[PartitionProduceData(index=partition, records=records)]
            )
        ],
    )


async def append(
    broker: BrokerHarness, *values: bytes, topic: str = "t", partition: int = 0, **options: Any
) -> PartitionProduceResponse:
    """Produce one batch with these values."""
    request = a_request(a_batch(*values, **options), topic=topic, partition=partition)
    result = only(await broker.call(produce, request, NEWEST_VERSION_WITH_NAMES))
    assert isinstance(result, PartitionProduceResponse)
    return result


def only(response: Any) -> Any:
    """Return the result of the one partition in a response."""
    (topic,) = _first_list(response, ("responses", "topics"))
    (partition,) = _first_list(topic, ("partition_responses", "partitions"))
    return partition


def _first_list(message: object, names: Sequence[str]) -> list[Any]:
    for name in names:
        found = getattr(message, name, None)
        if found is not None:
            return list(found)
    raise AssertionError(f"{message} has none of {names}")
