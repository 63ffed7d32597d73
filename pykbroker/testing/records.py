"""Writing and reading records without a client library: a test says what is there, and looks."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pykbroker.client import EARLIEST, Client, check, leaders_of, partition_of_key
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from pykbroker.protocol.messages.metadata import MetadataResponseTopic
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import RecordBatch, build_batch, iter_batches
from pykbroker.protocol.records import Header, Record

PRODUCE_TIMEOUT_MS: Final = 30_000
ACKS_ALL: Final = -1
FETCH_BYTES: Final = 16 * 1024 * 1024
MAX_DECOMPRESSED_BYTES: Final = 256 * 1024 * 1024
ABORT: Final = b"\x00\x00\x00\x00"
"""The key of the control record that ends an aborted transaction: version 0, type 0."""

Payload = bytes | str | None
"""Bytes as they are, text as UTF-8, None for a null."""


class RecordMetadata(NamedTuple):
    """Where a record has gone."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class ConsumerRecord:
    """A record of a topic; the timestamp is in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


def payload_bytes(payload: Payload) -> bytes | None:
    """Return what is written for a key or value."""
    return payload.encode() if isinstance(payload, str) else payload


def make_record(
    value: Payload, key: Payload, headers: Mapping[str, Payload] | None, timestamp_ms: int | None
) -> Record:
    """Make a record; its time is now unless it has one."""
    return Record(
        offset=0,
        timestamp=time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms,
        key=payload_bytes(key),
        value=payload_bytes(value),
        headers=tuple((name, payload_bytes(of)) for name, of in (headers or {}).items()),
    )


def write(
    client: Client, topic: MetadataResponseTopic, records: Sequence[Record], partition: int | None
) -> list[RecordMetadata]:
    """Append records with acks=all; return where each of them is.

    Args:
        client: Connected.
        topic: As the client has described it.
        records: In their order.
        partition: Where to; None is where Kafka's clients send a key, and 0 without a key.

    Raises:
        KafkaError: A partition has refused; others may have taken theirs.
    """
    leaders = leaders_of(topic)
    by_partition: dict[int, list[int]] = {}
    for number, record in enumerate(records):
        chosen = partition
        if chosen is None:
            chosen = 0 if record.key is None else partition_of_key(record.key, len(leaders))
        by_partition.setdefault(chosen, []).append(number)
    name = topic.name or ""
    found: dict[int, RecordMetadata] = {}
    for chosen, numbers in by_partition.items():
        if chosen not in leaders:
            raise KafkaError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{name} has no partition {chosen}"
            )
        batch = build_batch([records[number] for number in numbers])
        data = PartitionProduceData(index=chosen, records=batch)
        request = ProduceRequest(
            acks=ACKS_ALL,
            timeout_ms=PRODUCE_TIMEOUT_MS,
            topic_data=[TopicProduceData(name=name, partition_data=[data])],
        )
        answer = client.call(request, ProduceResponse, leaders[chosen])
        (result,) = answer.responses[0].partition_responses
        check(result.error_code, result.error_message)
        for place, number in enumerate(numbers):
            found[number] = RecordMetadata(name, chosen, result.base_offset + place)
    return [found[number] for number in range(len(records))]


class Reader:
    """Reads a topic from its start, as far as it goes, again and again.

    Args:
        client: Connected.
        topic: As the client has described it.
        partitions: Those to read.
        is_committed: Leave out what transactions have not committed.
    """

    def __init__(
        self,
        client: Client,
        topic: MetadataResponseTopic,
        partitions: Sequence[int],
        is_committed: bool,
    ) -> None:
        self._client = client
        self._name = topic.name or ""
        self._is_committed = is_committed
        self._leaders = {index: leaders_of(topic)[index] for index in partitions}
        self._positions = client.offsets(topic, partitions, EARLIEST)

    def read(self) -> Iterator[ConsumerRecord]:
        """Yield what has not been read before, up to the end of each partition."""
        for index in self._leaders:
            while data := self._fetch(index):
                yield from self._records(index, data)

    def _fetch(self, index: int) -> PartitionData | None:
        """What comes next in a partition; None at its end."""
        partition = FetchPartition(
            partition=index,
            fetch_offset=self._positions[index],
            partition_max_bytes=FETCH_BYTES,
        )
        request = FetchRequest(
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=FETCH_BYTES,
            isolation_level=int(self._is_committed),
            topics=[FetchTopic(topic=self._name, partitions=[partition])],
        )
        answer = self._client.call(request, FetchResponse, self._leaders[index])
        check(answer.error_code)
        (data,) = answer.responses[0].partitions
        check(data.error_code)
        return data if data.records else None

    def _records(self, index: int, data: PartitionData) -> Iterator[ConsumerRecord]:
        for batch in _visible(data, self._is_committed):
            if not batch.is_control:
                for record in batch.records(MAX_DECOMPRESSED_BYTES):
                    if record.offset >= self._positions[index]:
                        yield ConsumerRecord(
                            self._name,
                            index,
                            record.offset,
                            record.timestamp,
                            record.key,
                            record.value,
                            record.headers,
                        )
        last_offset = max(batch.last_offset for batch in iter_batches(data.records or b""))
        self._positions[index] = max(self._positions[index], last_offset + 1)


def _visible(data: PartitionData, is_committed: bool) -> Iterator[RecordBatch]:
    """Leave out the batches of aborted transactions, of which the answer says where they begin."""
    coming = sorted(data.aborted_transactions or (), key=lambda each: -each.first_offset)
    aborting: set[int] = set()
    for batch in iter_batches(data.records or b""):
        while coming and coming[-1].first_offset <= batch.last_offset:
            aborting.add(coming.pop().producer_id)
        if is_committed and batch.is_transactional and batch.producer_id in aborting:
            if batch.is_control:
                (marker,) = batch.records(MAX_DECOMPRESSED_BYTES)
                if marker.key == ABORT:
                    aborting.discard(batch.producer_id)
            continue
        yield batch
