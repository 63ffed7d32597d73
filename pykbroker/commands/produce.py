"""`pykbroker produce`: lines of standard input become records.

Records with a key go to the partition that Kafka's own clients choose for it (murmur2 of the key);
those without go round by batches. A batch is sent when the input pauses, or is full.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedIOBase
from typing import Final, cast

import click

from pykbroker.client import Client, check, leaders_of, partition_of_key
from pykbroker.commands.options import BATCH_TIMEOUT_MS, bootstrap_option, connected
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.messages.metadata import MetadataResponseTopic
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

BATCH_RECORDS: Final = 1000
BATCH_BYTES: Final = 512 * 1024
READ_BYTES: Final = 256 * 1024
ACKS: Final = {"0": 0, "1": 1, "all": -1}
CODECS: Final = tuple(codec.name.lower() for codec in Codec)


@click.command()
@click.argument("topic", metavar="TOPIC")
@click.option("-p", "--partition", type=int, help="The partition.  [default: chosen by key]")
@click.option("-K", "--key-separator", metavar="TEXT", help="What divides key and value in a line.")
@click.option("-H", "--header", "headers", metavar="KEY=VALUE", multiple=True, help="A header.")
@click.option("-z", "--codec", type=click.Choice(CODECS), default="none", show_default=True)
@click.option("-a", "--acks", type=click.Choice(list(ACKS)), default="all", show_default=True)
@bootstrap_option
def produce(
    topic: str,
    partition: int | None,
    key_separator: str | None,
    headers: Sequence[str],
    codec: str,
    acks: str,
    bootstrap: str,
) -> None:
    """Write each line of standard input as a record of TOPIC."""
    pairs = tuple(_header(text) for text in headers)
    with connected(bootstrap) as client:
        found = client.topic(topic, may_create=True)
        if partition is not None and partition not in leaders_of(found):
            raise click.ClickException(f"{topic} has no partition {partition}")
        writer = Writer(client, found, Codec[codec.upper()], ACKS[acks])
        for lines in read_batches(cast(BufferedIOBase, sys.stdin.buffer)):
            records = [make_record(line, key_separator, pairs) for line in lines]
            writer.write(records, partition)


class Writer:
    """Sends batches of records to the leaders of a topic's partitions."""

    def __init__(self, client: Client, topic: MetadataResponseTopic, codec: Codec, acks: int):
        self._client = client
        self._topic = topic.name or ""
        self._leaders = leaders_of(topic)
        self._codec = codec
        self._acks = acks
        self._next_without_key = 0

    def write(self, records: Sequence[Record], partition: int | None) -> None:
        """Send records, and wait for the answers unless acks is 0.

        Raises:
            KafkaError: A partition has refused its batch.
        """
        for index, chosen in self._by_partition(records, partition).items():
            batch = build_batch(chosen, codec=self._codec)
            data = TopicProduceData(
                name=self._topic,
                partition_data=[PartitionProduceData(index=index, records=batch)],
            )
            request = ProduceRequest(
                acks=self._acks, timeout_ms=BATCH_TIMEOUT_MS, topic_data=[data]
            )
            leader = self._leaders[index]
            if self._acks == 0:
                self._client.connection(leader).send(request)
                continue
            answer = self._client.call(request, ProduceResponse, leader)
            (result,) = answer.responses[0].partition_responses
            check(result.error_code, result.error_message)

    def _by_partition(
        self, records: Sequence[Record], partition: int | None
    ) -> Mapping[int, list[Record]]:
        if partition is not None:
            return {partition: list(records)}
        without_key = self._next_without_key % len(self._leaders)
        self._next_without_key += 1
        found: dict[int, list[Record]] = {}
        for record in records:
            chosen = without_key
            if record.key is not None:
                chosen = partition_of_key(record.key, len(self._leaders))
            found.setdefault(chosen, []).append(record)
        return found


def read_batches(stream: BufferedIOBase) -> Iterator[list[bytes]]:
    """Read lines; a batch ends when it is full or when no more input waits."""
    rest = b""
    lines: list[bytes] = []
    size = 0
    while chunk := stream.read1(READ_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if lines and (len(lines) == BATCH_RECORDS or size + len(line) > BATCH_BYTES):
                yield lines
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        # A short read means that there was no more of it: a person waits for an answer.
        if lines and len(chunk) < READ_BYTES:
            yield lines
            lines, size = [], 0
    if rest:
        lines.append(rest)
    if lines:
        yield lines


def make_record(
    line: bytes, key_separator: str | None, headers: tuple[tuple[str, bytes], ...]
) -> Record:
    """Make a record of a line; without the separator in it, there is no key."""
    key: bytes | None = None
    value = line
    if key_separator:
        before, found, after = line.partition(key_separator.encode())
        if found:
            key, value = before, after
    return Record(
        offset=0, timestamp=time.time_ns() // 1_000_000, key=key, value=value, headers=headers
    )


def _header(text: str) -> tuple[str, bytes]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--header {text}: expected KEY=VALUE")
    return key, value.encode()
