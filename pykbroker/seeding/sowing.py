"""Gives a broker the topics and records of a seed, without a connection."""

import logging
from collections.abc import Mapping
from inspect import isawaitable
from typing import Final

from pykbroker.broker import Broker
from pykbroker.client import partition_of_key
from pykbroker.handlers import produce
from pykbroker.metadata.topics import NewTopic, TopicToDelete
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from pykbroker.protocol.produce_layout import ProduceLayout
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record
from pykbroker.request_context import RequestContext
from pykbroker.seeding.lines import Seed, SeedError, SeedRecord, SeedTopic, batches

log = logging.getLogger(__name__)

PRODUCE_VERSION: Final = 12
TIMEOUT_MS: Final = 30_000
ACKS_ALL: Final = -1
BATCH_BYTES: Final = 512 * 1024
CLIENT_ID: Final = "pykbroker-seed"


class _NoConnection:
    """Where the records of a file come from; implements `ConnectionInfo`."""

    peer_host = local_host = listener_name = software_name = software_version = ""
    peer_port = local_port = 0
    produce_layout: ProduceLayout | None = None
    sends_files = False
    max_response_bytes = 0

    def response_buffer(self, size_bytes: int) -> memoryview:
        """Lend memory for an answer."""
        return memoryview(bytearray(size_bytes))


async def sow(broker: Broker, seed: Seed) -> None:
    """Create the topics that a seed names, with its records.

    A topic that exists is left as it is: a broker that starts again does not get its records twice.
    If something fails, there is none of the new ones.

    Raises:
        SeedError: A topic cannot be created, or a record not written.
    """
    existing = broker.metadata.image.topics.keys() & seed.topics.keys()
    for name in sorted(existing):
        log.info("seed left out topic=%s reason=%s", name, "it exists")
    new = [topic for name, topic in seed.topics.items() if name not in existing]
    try:
        await _create(broker, new)
        records = await _fill(broker, [each for each in seed.records if each.topic not in existing])
    except SeedError:
        # Else the next start would find them, without their records, and leave them so.
        await broker.metadata.delete_topics([TopicToDelete(name=topic.name) for topic in new])
        raise
    log.info("seeded topics=%d records=%d", len(new), records)


async def _fill(broker: Broker, records: list[SeedRecord]) -> int:
    """Write the records of new topics; returns how many there are."""
    by_partition: dict[tuple[str, int], list[Record]] = {}
    now_ms = broker.clock.now_ms()
    for record in records:
        key = record.topic, _partition(broker, record)
        by_partition.setdefault(key, []).append(_record(record, now_ms))
    await _write(broker, by_partition)
    return len(records)


async def _create(broker: Broker, topics: list[SeedTopic]) -> None:
    wanted = [
        NewTopic(topic.name, topic.partitions or -1, configs=tuple(topic.configs.items()))
        for topic in topics
    ]
    for topic, created in zip(
        topics, await broker.metadata.create_topics(wanted) if wanted else [], strict=True
    ):
        if isinstance(created, KafkaError):
            raise SeedError(f"topic {topic.name}: {created}") from created


def _partition(broker: Broker, record: SeedRecord) -> int:
    topic = broker.metadata.image.topics[record.topic]
    count = len(topic.partitions)
    if record.partition is None:
        return 0 if record.key is None else partition_of_key(record.key, count)
    if record.partition >= count:
        raise SeedError(f"topic {record.topic} has no partition {record.partition}")
    return record.partition


def _record(record: SeedRecord, now_ms: int) -> Record:
    timestamp_ms = now_ms if record.timestamp_ms is None else record.timestamp_ms
    return Record(0, timestamp_ms, record.key, record.value, record.headers)


async def _write(broker: Broker, by_partition: Mapping[tuple[str, int], list[Record]]) -> None:
    context = RequestContext(broker, PRODUCE_VERSION, CLIENT_ID, "", _NoConnection())
    for (topic, partition), records in by_partition.items():
        for batch in batches(records, BATCH_BYTES):
            data = PartitionProduceData(partition, build_batch(batch))
            request = ProduceRequest(None, ACKS_ALL, TIMEOUT_MS, [TopicProduceData(topic)])
            request.topic_data[0].partition_data = [data]
            response = produce.handle(context, request)
            if isawaitable(response):
                response = await response
            assert response is not None, "acks=all is answered"
            (result,) = response.responses[0].partition_responses
            if result.error_code:
                code = ErrorCode(result.error_code)
                raise SeedError(f"records of {topic}-{partition}: {KafkaError(code)}")
