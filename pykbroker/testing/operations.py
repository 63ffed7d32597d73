"""What tests ask of a broker beside what their clients do. Each call waits, with a deadline.

They go over the broker's port by the public protocol, so that they see what any client sees.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal

from pykbroker.client import LATEST, Client, check, leaders_of
from pykbroker.commands.group_views import GroupView, Partition, read_group, read_offsets
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from pykbroker.protocol.messages.delete_topics import (
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from pykbroker.testing.records import (
    ConsumerRecord,
    Payload,
    Reader,
    RecordMetadata,
    make_record,
    write,
)
from pykbroker.testing.settings import Settings, setting_text
from pykbroker.testing.waiting import NotYet, wait_for

TIMEOUT_S: Final = 10.0
STABLE: Final = "Stable"
EMPTY: Final = "Empty"

IsolationLevel = Literal["read_uncommitted", "read_committed"]


class Operations(ABC):
    """The operations, on the broker at `bootstrap_servers`."""

    @property
    @abstractmethod
    def bootstrap_servers(self) -> str:
        """HOST:PORT, for clients."""

    # -- topics ------------------------------------------------------------------------------

    def create_topic(
        self,
        name: str,
        *,
        partitions: int = 1,
        replication_factor: int = 1,
        configs: Settings | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Create a topic.

        Args:
            name: Its name.
            partitions: How many it has.
            replication_factor: Lowered to the one broker that there is.
            configs: Topic settings by Kafka's names.
            timeout_s: For the whole call.

        Raises:
            KafkaError: It exists already, or a setting is wrong.
        """
        self.create_topics(
            [name],
            partitions=partitions,
            replication_factor=replication_factor,
            configs=configs,
            timeout_s=timeout_s,
        )

    def create_topics(
        self,
        names: Iterable[str],
        *,
        partitions: int = 1,
        replication_factor: int = 1,
        configs: Settings | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Create topics that are alike; see `create_topic`."""
        settings = [
            CreatableTopicConfig(name=setting, value=setting_text(value))
            for setting, value in (configs or {}).items()
        ]
        topics = [
            CreatableTopic(
                name=name,
                num_partitions=partitions,
                replication_factor=replication_factor,
                configs=settings,
            )
            for name in names
        ]
        request = CreateTopicsRequest(topics=topics, timeout_ms=int(timeout_s * 1000))
        with self._client(timeout_s) as client:
            for result in client.call(request, CreateTopicsResponse).topics:
                check(result.error_code, f"topic {result.name}: {result.error_message}")

    def delete_topic(self, name: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Delete a topic and its records.

        Raises:
            KafkaError: There is no such topic.
        """
        request = DeleteTopicsRequest(
            topics=[DeleteTopicState(name=name)], timeout_ms=int(timeout_s * 1000)
        )
        with self._client(timeout_s) as client:
            for result in client.call(request, DeleteTopicsResponse).responses:
                check(result.error_code, f"topic {name}: {result.error_message}")

    # -- records -----------------------------------------------------------------------------

    def produce(
        self,
        topic: str,
        value: Payload,
        *,
        key: Payload = None,
        headers: Mapping[str, Payload] | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> RecordMetadata:
        """Append one record and return where it is; a topic that is missing is created.

        Args:
            topic: The topic.
            value: Text is written as UTF-8.
            key: Also chooses the partition, as Kafka's clients do; without a key it is 0.
            headers: Names and values.
            partition: The partition, whatever the key is.
            timestamp_ms: The record's time; now by default.
            timeout_s: For the whole call.

        Raises:
            KafkaError: The broker has refused the record.
        """
        record = make_record(value, key, headers, timestamp_ms)
        with self._client(timeout_s) as client:
            found = client.topic(topic, may_create=True)
            (written,) = write(client, found, [record], partition)
        return written

    def produce_many(
        self,
        topic: str,
        values: Iterable[Payload],
        *,
        partition: int | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> list[RecordMetadata]:
        """Append records without keys, in one batch; see `produce`."""
        records = [make_record(value, None, None, None) for value in values]
        with self._client(timeout_s) as client:
            return write(client, client.topic(topic, may_create=True), records, partition)

    def records(
        self,
        topic: str,
        count: int = 0,
        *,
        partition: int | None = None,
        isolation_level: IsolationLevel = "read_uncommitted",
        timeout_s: float = TIMEOUT_S,
    ) -> list[ConsumerRecord]:
        """Return all records of a topic, by partition and offset.

        Args:
            topic: The topic; with a count it need not be there yet.
            count: Wait until there are so many at least.
            partition: Only this one's.
            isolation_level: read_committed leaves out what transactions have not committed.
            timeout_s: For the whole call.

        Raises:
            TimeoutError: There are fewer than `count`.
            KafkaError: There is no such topic or partition.
        """
        with self._client(timeout_s) as client:
            reader: Reader | None = None
            records: list[ConsumerRecord] = []

            def attempt() -> list[ConsumerRecord] | NotYet:
                nonlocal reader
                reader = reader or _reader(client, topic, partition, isolation_level, count > 0)
                if reader is None:
                    return NotYet(f"topic {topic} is not there")
                records.extend(reader.read())
                if len(records) < count:
                    return NotYet(f"topic {topic} has {len(records)} of {count} records")
                return records

            found = wait_for(attempt, timeout_s)
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def end_offsets(self, topic: str, *, timeout_s: float = TIMEOUT_S) -> dict[int, int]:
        """Return the offset that comes next in each partition.

        Raises:
            KafkaError: There is no such topic.
        """
        with self._client(timeout_s) as client:
            found = client.topic(topic)
            return client.offsets(found, leaders_of(found), LATEST)

    # -- groups ------------------------------------------------------------------------------

    def committed(self, group_id: str, *, timeout_s: float = TIMEOUT_S) -> dict[Partition, int]:
        """Return the committed offset of each (topic, partition) that has one."""
        with self._client(timeout_s) as client:
            return client.at_coordinator(group_id, partial(read_offsets, client, group_id))

    def wait_for_group(
        self, group_id: str, *, members: int | None = None, timeout_s: float = TIMEOUT_S
    ) -> GroupView:
        """Wait until a group is stable: each member has what it is to read.

        Args:
            group_id: The group.
            members: How many there must be, also 0; None is any number but 0.
            timeout_s: For the whole call.

        Raises:
            TimeoutError: With what the group is instead.
        """

        def attempt() -> GroupView | NotYet:
            group = client.at_coordinator(group_id, partial(read_group, client, group_id))
            if group is None:
                return NotYet(f"group {group_id} does not exist")
            found = len(group.members)
            wanted = EMPTY if members == 0 else STABLE
            if group.state != wanted or (members is not None and members != found):
                return NotYet(f"group {group_id} is {group.state} with {found} members")
            return group

        with self._client(timeout_s) as client:
            return wait_for(attempt, timeout_s)

    def wait_for_committed(
        self,
        group_id: str,
        topic: str,
        offsets: int | Mapping[int, int] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> dict[Partition, int]:
        """Wait until a group has committed offsets; return all that it has.

        Args:
            group_id: The group.
            topic: The topic that it reads.
            offsets: Those to reach, by partition; a number is partition 0's; None is the end of
                every partition that has records, as it is now.
            timeout_s: For the whole call.

        Raises:
            TimeoutError: With what it has committed instead.
        """
        if offsets is None:
            ends = self.end_offsets(topic, timeout_s=timeout_s)
            offsets = {index: end for index, end in ends.items() if end > 0}
        wanted = {0: offsets} if isinstance(offsets, int) else offsets

        def attempt() -> dict[Partition, int] | NotYet:
            found = client.at_coordinator(group_id, partial(read_offsets, client, group_id))
            behind = {
                index: found.get((topic, index))
                for index, offset in wanted.items()
                if found.get((topic, index), -1) < offset
            }
            if behind:
                return NotYet(
                    f"group {group_id} has committed {behind} of {topic} instead of {dict(wanted)}"
                )
            return found

        with self._client(timeout_s) as client:
            return wait_for(attempt, timeout_s)

    @contextmanager
    def _client(self, timeout_s: float) -> Iterator[Client]:
        with Client(self.bootstrap_servers, timeout_s) as client:
            yield client


def _reader(
    client: Client,
    topic: str,
    partition: int | None,
    isolation_level: IsolationLevel,
    may_be_missing: bool,
) -> Reader | None:
    """Make a reader of a topic; None if it is missing and may be."""
    try:
        found = client.topic(topic)
    except KafkaError as error:
        if may_be_missing and error.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            return None
        raise
    existing = list(leaders_of(found))
    if partition is not None and partition not in existing:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{topic} has no partition {partition}"
        )
    chosen = existing if partition is None else [partition]
    return Reader(client, found, chosen, isolation_level == "read_committed")
