"""What the tests of compaction do with a broker: small segments, records, all that is left."""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from compat.processes import eventually
from compat.targets import Target

QUIET = {"log_level": 0, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100}
SEGMENT_BYTES = 20_000
PAD_BYTES = SEGMENT_BYTES - 100  # its batch just fits, and nothing with it
COMPACTED = {
    "cleanup.policy": "compact",
    "internal.segment.bytes": str(SEGMENT_BYTES),
    # The closed pads are large: what is dirty behind them must still be worth a cleaning.
    "min.cleanable.dirty.ratio": "0.0",
}
CLEANED_WITHIN_S = 60.0

_pads = itertools.count()


class Kept(NamedTuple):
    """A record as a consumer gets it.

    Attributes:
        timestamp: In milliseconds.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def is_pad(self) -> bool:
        """Whether `close_segment` wrote it."""
        return self.key is not None and self.key.startswith(b"pad-")


class Sent(NamedTuple):
    """A record to produce; a timestamp of 0 is that of the producer's clock."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0


class Log:
    """One partition of a compacted topic, and clients for it.

    Attributes:
        broker: Where it is.
        topic: Its name.
        partition: Its number.
    """

    def __init__(self, broker: Target, topic: str, partition: int = 0) -> None:
        self.broker = broker
        self.topic = topic
        self.partition = partition

    def produce(self, records: Sequence[Sent], **settings: Any) -> list[int]:
        """Produce with acks=all; returns the offsets.

        Args:
            settings: Those of librdkafka, with underscores.
        """
        configuration = {name.replace("_", "."): value for name, value in settings.items()}
        # The producer has the context of a `with` in new versions only.
        producer = Producer(
            {"bootstrap.servers": self.broker.address, "acks": "all", **configuration, **QUIET}
        )
        return send(producer, self, records)

    def close_segment(self, *, timestamp: int = 0) -> int:
        """Write a record so large that whatever was there is in closed segments; its offset."""
        value = random.Random(1).randbytes(PAD_BYTES)
        pad = Sent(b"pad-%d" % next(_pads), value, timestamp=timestamp)
        return self.produce([pad])[0]

    def read(self, offset: int = OFFSET_BEGINNING) -> list[Kept]:
        """All that is there from an offset on, up to the end."""
        with reader(self.broker) as client:
            return read(client, self, offset)

    def records(self) -> list[Kept]:
        """All that is there but the pads."""
        return [each for each in self.read() if not each.is_pad]

    def until(self, is_right: Callable[[list[Kept]], bool]) -> list[Kept]:
        """Read until what is there, pads left out, is right; returns it."""
        with reader(self.broker) as client:

            def attempt() -> list[list[Kept]] | None:
                found = [each for each in read(client, self) if not each.is_pad]
                return [found] if is_right(found) else None

            (found,) = eventually(attempt, seconds=CLEANED_WITHIN_S, what="the end of a cleaning")
            return found

    def bounds(self) -> tuple[int, int]:
        """The first offset, and the one behind the last."""
        with reader(self.broker) as client:
            asked = TopicPartition(self.topic, self.partition)
            start, end = client.get_watermark_offsets(asked, timeout=60)
            return start, end


def send(producer: Any, log: Log, records: Sequence[Sent]) -> list[int]:
    """Send with a producer that may go on afterwards, and wait for the offsets."""
    offsets: dict[int, int] = {}

    def confirm(index: int, error: Any, message: Any) -> None:
        assert error is None, error
        offsets[index] = message.offset()

    for index, record in enumerate(records):
        producer.produce(
            log.topic,
            record.value,
            record.key,
            log.partition,
            on_delivery=lambda error, message, index=index: confirm(index, error, message),
            timestamp=record.timestamp,
            headers=list(record.headers),
        )
    assert producer.flush(30) == 0
    return [offsets[index] for index in range(len(records))]


@contextmanager
def reader(broker: Target, **settings: Any) -> Iterator[Any]:
    """A consumer for `read`."""
    configuration = {name.replace("_", "."): value for name, value in settings.items()}
    client = Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "none",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            # The beginning may move between the question for it and the read.
            "auto.offset.reset": "earliest",
            # The end is told by an empty answer.
            "fetch.wait.max.ms": 20,
            **configuration,
            **QUIET,
        }
    )
    try:
        yield client
    finally:
        client.close()


def read(client: Any, log: Log, offset: int = OFFSET_BEGINNING) -> list[Kept]:
    """All that is there from an offset on, up to the end."""
    client.list_topics(log.topic, timeout=60)  # else librdkafka looks for the leader only later
    client.assign([TopicPartition(log.topic, log.partition, offset)])
    found: list[Kept] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for message in client.consume(10_000, timeout=0.05):
            error = message.error()
            if error is None:
                found.append(_kept(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                return found
            elif error.code() != KafkaError.MSG_SIZE_TOO_LARGE:  # FINDINGS.md
                assert error.retriable(), error
    raise AssertionError(f"no end of {log.topic} after {len(found)} records")


def read_first(client: Any, log: Log, offset: int) -> Kept:
    """The first record from an offset on; there is one."""
    client.assign([TopicPartition(log.topic, log.partition, offset)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = client.poll(1)
        if message is not None and message.error() is None:
            return _kept(message)
    raise AssertionError(f"no record of {log.topic} from {offset} on")


def new_topic(broker: Target, topic: str, partitions: int = 1, **configs: str) -> list[Log]:
    """Make a topic of small segments that is compacted soon, unless told otherwise."""
    settings = COMPACTED | {name.replace("_", "."): value for name, value in configs.items()}
    admin = admin_of(broker)
    admin.create_topics([NewTopic(topic, partitions, config=settings)])[topic].result(timeout=60)
    eventually(lambda: topic in admin.list_topics(timeout=60).topics, what="the topic")
    return [Log(broker, topic, number) for number in range(partitions)]


def alter(log: Log, **configs: str) -> None:
    """Change settings of the topic."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in configs.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, log.topic, incremental_configs=entries)
    admin = admin_of(log.broker)  # without a name it would be gone before the answer
    admin.incremental_alter_configs([resource])[resource].result(timeout=60)


def admin_of(broker: Target) -> Any:
    return AdminClient({"bootstrap.servers": broker.address, **QUIET})


def is_clean(found: Sequence[Kept]) -> bool:
    """Whether no key is there twice."""
    keys = [each.key for each in found]
    return len(set(keys)) == len(keys)


def _kept(message: Any) -> Kept:
    headers = tuple(message.headers() or ())
    return Kept(message.offset(), message.timestamp()[1], message.key(), message.value(), headers)
