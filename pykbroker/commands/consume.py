"""`pykbroker consume`: print the records of a topic.

With `--group` the positions are read from and committed to a consumer group, of which this command
is no member: it reads all partitions, as Kafka's simple consumers do.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import click

from pykbroker.client import EARLIEST, LATEST, Client, check, leaders_of
from pykbroker.commands.options import bootstrap_option, connected
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from pykbroker.protocol.messages.metadata import MetadataResponseTopic
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from pykbroker.protocol.record_batch import iter_batches
from pykbroker.protocol.records import Record

FETCH_WAIT_MS: Final = 500
PARTITION_FETCH_BYTES: Final = 1024 * 1024
FETCH_BYTES: Final = 8 * 1024 * 1024
MAX_DECOMPRESSED_BYTES: Final = 256 * 1024 * 1024
ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0"}


@click.command()
@click.argument("topic", metavar="TOPIC")
@click.option("-p", "--partition", type=int, help="Only this partition.  [default: all]")
@click.option("--from-beginning", is_flag=True, help="Start at the first record there is.")
@click.option("-o", "--offset", type=int, help="Start here; negative: so many before the end.")
@click.option("-c", "--max-messages", type=click.IntRange(min=1), help="Stop after so many.")
@click.option("-e", "--exit-at-end", is_flag=True, help="Stop when all records were printed.")
@click.option("-G", "--group", help="Go on where this group has committed, and commit.")
@click.option(
    "-f",
    "--format",
    "template",
    default="%s\\n",
    show_default=True,
    help="%t topic, %p partition, %o offset, %T timestamp, %k key, %s value, %h headers; "
    "or 'json' for an object a line.",
)
@bootstrap_option
def consume(
    topic: str,
    partition: int | None,
    from_beginning: bool,
    offset: int | None,
    max_messages: int | None,
    exit_at_end: bool,
    group: str | None,
    template: str,
    bootstrap: str,
) -> None:
    """Print the records of TOPIC as they come; by default, those from now on."""
    if from_beginning and offset is not None:
        raise click.UsageError("give --from-beginning or --offset, not both")
    render = renderer(template)
    with connected(bootstrap) as client:
        found = client.topic(topic)
        partitions = list(leaders_of(found))
        if partition is not None:
            if partition not in partitions:
                raise click.ClickException(f"{topic} has no partition {partition}")
            partitions = [partition]
        reader = Reader(client, found, partitions)
        reader.start(EARLIEST if from_beginning else LATEST, offset, group)
        try:
            for index, record in reader.records(exit_at_end, max_messages):
                sys.stdout.buffer.write(render(topic, index, record))
                sys.stdout.buffer.flush()
        except KeyboardInterrupt:
            pass
        finally:
            if group is not None:
                reader.commit(group)


class Reader:
    """Reads partitions of one topic from their leaders, all in turn.

    Attributes:
        positions: The next offset to read, by partition.
    """

    def __init__(self, client: Client, topic: MetadataResponseTopic, partitions: Sequence[int]):
        self._client = client
        self._topic = topic
        self._name = topic.name or ""
        self._leaders = {index: leaders_of(topic)[index] for index in partitions}
        self.positions: dict[int, int] = {}

    def start(self, default: int, offset: int | None, group: str | None) -> None:
        """Choose the first offsets.

        Args:
            default: EARLIEST or LATEST, for partitions that nothing else is known of.
            offset: The same offset everywhere; negative = so many before the end.
            group: Whose committed offsets count more than the rest.
        """
        if offset is None:
            self.positions = self._client.offsets(self._topic, self._leaders, default)
        elif offset >= 0:
            self.positions = dict.fromkeys(self._leaders, offset)
        else:
            first = self._client.offsets(self._topic, self._leaders, EARLIEST)
            end = self._client.offsets(self._topic, self._leaders, LATEST)
            self.positions = {index: max(first[index], end[index] + offset) for index in end}
        if group is not None:
            self.positions.update(committed_offsets(self._client, group, self._name, self._leaders))

    def records(
        self, until_end: bool = False, limit: int | None = None
    ) -> Iterator[tuple[int, Record]]:
        """Yield partition and record, for ever unless there is an end or a limit."""
        ends = self._client.offsets(self._topic, self._leaders, LATEST) if until_end else {}
        count = 0
        while not until_end or any(self.positions[index] < end for index, end in ends.items()):
            for leader in dict.fromkeys(self._leaders.values()):
                for index, data in self._fetch(leader):
                    for record in self._unread(index, data):
                        if until_end and record.offset >= ends[index]:
                            break
                        self.positions[index] = record.offset + 1
                        yield index, record
                        count += 1
                        if count == limit:
                            return

    def commit(self, group: str) -> None:
        """Commit the positions for a group."""
        partitions = [
            OffsetCommitRequestPartition(partition_index=index, committed_offset=position)
            for index, position in self.positions.items()
        ]
        topic = OffsetCommitRequestTopic(name=self._name, partitions=partitions)
        request = OffsetCommitRequest(group_id=group, topics=[topic])

        def ask(coordinator: int) -> None:
            answer = self._client.call(request, OffsetCommitResponse, coordinator)
            for result in answer.topics[0].partitions:
                check(result.error_code)

        self._client.at_coordinator(group, ask)

    def _fetch(self, leader: int) -> Iterator[tuple[int, PartitionData]]:
        partitions = [
            FetchPartition(
                partition=index,
                fetch_offset=self.positions[index],
                partition_max_bytes=PARTITION_FETCH_BYTES,
            )
            for index, node in self._leaders.items()
            if node == leader
        ]
        request = FetchRequest(
            max_wait_ms=FETCH_WAIT_MS,
            min_bytes=1,
            max_bytes=FETCH_BYTES,
            topics=[FetchTopic(topic=self._name, partitions=partitions)],
        )
        answer = self._client.call(request, FetchResponse, leader)
        check(answer.error_code)
        for topic in answer.responses:
            for data in topic.partitions:
                if data.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
                    raise KafkaError(
                        ErrorCode.OFFSET_OUT_OF_RANGE,
                        f"partition {data.partition_index} has no offset "
                        f"{self.positions[data.partition_index]}; try --from-beginning",
                    )
                check(data.error_code)
                yield data.partition_index, data

    def _unread(self, index: int, data: PartitionData) -> Iterator[Record]:
        """The records of an answer from the position on; batches may begin before it."""
        for batch in iter_batches(data.records or b""):
            if batch.last_offset < self.positions[index]:
                continue
            if not batch.is_control:
                for record in batch.records(MAX_DECOMPRESSED_BYTES):
                    if record.offset >= self.positions[index]:
                        yield record
            # A compacted batch may lack its last records, and a control batch is not shown.
            self.positions[index] = max(self.positions[index], batch.last_offset + 1)


def committed_offsets(
    client: Client, group: str, topic: str, partitions: Sequence[int] | Mapping[int, int]
) -> dict[int, int]:
    """What a group has committed for partitions of a topic; those without a commit are absent."""
    asked = OffsetFetchRequestTopics(name=topic, partition_indexes=list(partitions))
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=[asked])])

    def ask(coordinator: int) -> dict[int, int]:
        (answer,) = client.call(request, OffsetFetchResponse, coordinator).groups
        check(answer.error_code)
        found = {}
        for partition in answer.topics[0].partitions:
            check(partition.error_code)
            if partition.committed_offset >= 0:
                found[partition.partition_index] = partition.committed_offset
        return found

    return client.at_coordinator(group, ask)


def renderer(template: str) -> Callable[[str, int, Record], bytes]:
    """Make the function that turns topic, partition and record into what is printed."""
    if template == "json":
        return _render_json
    parts = _parse_template(template)

    def render(topic: str, partition: int, record: Record) -> bytes:
        values: dict[str, bytes] = {
            "t": topic.encode(),
            "p": b"%d" % partition,
            "o": b"%d" % record.offset,
            "T": b"%d" % record.timestamp,
            "k": record.key or b"",
            "s": record.value or b"",
            "h": b",".join(
                key.encode(errors="surrogateescape") + b"=" + (value or b"")
                for key, value in record.headers
            ),
        }
        return b"".join(values[name] if is_field else name.encode() for name, is_field in parts)

    return render


def _parse_template(template: str) -> list[tuple[str, bool]]:
    """Cut a template into texts and fields (the second item says which)."""
    parts: list[tuple[str, bool]] = []
    characters = iter(template)
    for character in characters:
        following = next(characters, "") if character in "%\\" else ""
        if character == "\\":
            parts.append((ESCAPES.get(following, "\\" + following), False))
        elif character == "%" and following == "%":
            parts.append(("%", False))
        elif character == "%":
            if not following or following not in "tpoTksh":
                raise click.UsageError(f"--format: there is no field %{following}")
            parts.append((following, True))
        else:
            parts.append((character, False))
    return parts


def _render_json(topic: str, partition: int, record: Record) -> bytes:
    facts = {
        "topic": topic,
        "partition": partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": [
            [_text(key.encode(errors="surrogateescape")), _text(value)]
            for key, value in record.headers
        ],
    }
    return json.dumps(facts, ensure_ascii=False).encode() + b"\n"


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="backslashreplace")
