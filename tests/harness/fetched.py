"""Fetch requests as clients make them, and what is in the answers."""

from __future__ import annotations

from typing import Any

from pykbroker.handlers import fetch
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from pykbroker.protocol.record_batch import iter_batches
from tests.harness.broker import BrokerHarness


def a_fetch(
    *partitions: tuple[int, int] | FetchPartition,
    topic: str = "t",
    topic_id: bytes = bytes(16),
    **fields: Any,
) -> FetchRequest:
    """Return a request for (partition, offset) pairs of one topic."""
    wanted = [
        partition
        if isinstance(partition, FetchPartition)
        else FetchPartition(
            partition=partition[0], fetch_offset=partition[1], partition_max_bytes=1 << 20
        )
        for partition in partitions
    ]
    topics = [FetchTopic(topic=topic, topic_id=topic_id, partitions=wanted)] if wanted else []
    defaults = {"min_bytes": 1, "max_bytes": 50 << 20}
    return FetchRequest(topics=topics, **(defaults | fields))


def a_wish(partition: int, offset: int, **fields: Any) -> FetchPartition:
    defaults = {"partition_max_bytes": 1 << 20}
    return FetchPartition(partition=partition, fetch_offset=offset, **(defaults | fields))


def values(data: PartitionData) -> list[bytes | None]:
    """Return the values in the whole batches of an answer."""
    assert data.records is not None, "no records are an empty field, not null"
    return [
        record.value for batch in iter_batches(data.records) for record in batch.records(1 << 24)
    ]


def numbers(response: FetchResponse) -> list[tuple[str, int, int]]:
    return [
        (topic.topic, data.partition_index, data.error_code)
        for topic in response.responses
        for data in topic.partitions
    ]


async def ask(broker: BrokerHarness, request: FetchRequest, version: int = 12) -> FetchResponse:
    response = await broker.call(fetch, request, version)
    assert isinstance(response, FetchResponse)
    return response
