"""Clients that keep a broker busy while it is killed, and remember what it has told them.

A value says who sent it and as which number: `name:number:padding`. Numbers of one sender grow
with the offsets of each partition, so a reader can tell what is lost, doubled or out of order.
"""

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from compat.processes import eventually

# The complaints about lost connections are what these tests are about.
QUIET = {"log_level": 0}
RECONNECT = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100}
VALUE_BYTES = 100
MAX_UNCONFIRMED = 1000
RECORDS_AT_ONCE = 20
PAUSE_S = 0.04
COMMIT_EVERY = 50
SILENCE_SECONDS = 60.0


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int


class Sent(NamedTuple):
    """Which record it is."""

    sender: str
    number: int


class Sender:
    """A producer in a thread, and what it has been told.

    Attributes:
        confirmed: Where each record is that was acknowledged.
        contradictions: Places that were answered for two records.
        failures: Errors of records, which a producer that may retry must not see.
        sent: How many records were given to the producer.
    """

    def __init__(
        self,
        address: str,
        name: str,
        topic: str,
        partitions: int,
        *,
        acks: str = "all",
        idempotent: bool = False,
        keys: int | None = None,
    ) -> None:
        """Args:
        keys: Record n has key n modulo this, and each key has its partition; None = no keys.
        """
        self.name = name
        self.topic = topic
        self.acks = acks
        self.idempotent = idempotent
        self.keys = keys
        self.confirmed: dict[Place, Sent] = {}
        self.contradictions: list[Place] = []
        self.failures: list[str] = []
        self.sent = 0
        self._partitions = partitions
        self._stop = threading.Event()
        settings: dict[str, Any] = {
            "bootstrap.servers": address,
            "acks": acks,
            "enable.idempotence": idempotent,
            "linger.ms": 5,
            "batch.num.messages": 50,
            "delivery.timeout.ms": 120_000,
            "retry.backoff.ms": 20,
            "retry.backoff.max.ms": 100,
            **RECONNECT,
            **QUIET,
        }
        if not idempotent:
            # What keeps the order over retries where the broker cannot.
            settings["max.in.flight"] = 1
        self._producer = Producer(settings)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def partition_of(self, number: int) -> int:
        """Where record `number` goes."""
        return (number if self.keys is None else number % self.keys) % self._partitions

    def key_of(self, number: int) -> bytes | None:
        return None if self.keys is None else b"%d" % (number % self.keys)

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()
        self._thread.join()

    def finish(self) -> None:
        """Send no more, and wait for the last answers."""
        self.stop()
        assert self._producer.flush(60) == 0, f"{self.name} has not got all answers"

    def _run(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            value = b"%s:%d:" % (self.name.encode(), number)
            while True:
                try:
                    self._producer.produce(
                        self.topic,
                        value.ljust(VALUE_BYTES, b"."),
                        self.key_of(number),
                        partition=self.partition_of(number),
                        on_delivery=self._delivered,
                    )
                    break
                except BufferError:
                    self._producer.poll(PAUSE_S)
            self.sent = number + 1
            if self.sent % RECORDS_AT_ONCE == 0:
                self._pause()

    def _pause(self) -> None:
        """Take the answers; some hundred requests stay open, so that a kill hits every state."""
        until = time.monotonic() + PAUSE_S
        while not self._stop.is_set():
            left = until - time.monotonic()
            self._producer.poll(max(left, 0.001))
            if left <= 0 and self.sent - len(self.confirmed) < MAX_UNCONFIRMED:
                return

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self.failures.append(str(error))
            return
        place = Place(message.topic(), message.partition(), message.offset())
        sent = sent_in(message.value())
        if self.confirmed.setdefault(place, sent) != sent:
            self.contradictions.append(place)


class Watcher:
    """A consumer in a thread that reads everything as it comes.

    Attributes:
        seen: What it found at each place.
        contradictions: Places at which it found two different records over time.
    """

    def __init__(self, address: str, partitions: Sequence[tuple[str, int]]) -> None:
        self.seen: dict[Place, Sent] = {}
        self.contradictions: list[Place] = []
        self._stop = threading.Event()
        self._consumer = _reader(address, {"auto.offset.reset": "earliest"})
        self._consumer.assign([TopicPartition(*each, OFFSET_BEGINNING) for each in partitions])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(500, timeout=0.05):
                if message.error() is None:
                    place = Place(message.topic(), message.partition(), message.offset())
                    sent = sent_in(message.value())
                    if self.seen.setdefault(place, sent) != sent:
                        self.contradictions.append(place)


class Committer:
    """A member of a group in a thread, which commits what it has read.

    Attributes:
        confirmed: The last offset of each partition whose commit was acknowledged.
    """

    def __init__(self, address: str, group: str, topic: str) -> None:
        self.confirmed: dict[tuple[str, int], int] = {}
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": address,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 500,
                **RECONNECT,
                **QUIET,
            }
        )
        self._consumer.subscribe([topic])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        uncommitted = 0
        while not self._stop.is_set():
            messages = self._consumer.consume(COMMIT_EVERY, timeout=0.05)
            uncommitted += sum(1 for message in messages if message.error() is None)
            if uncommitted >= COMMIT_EVERY:
                uncommitted = 0
                self._commit()

    def _commit(self) -> None:
        try:
            committed = self._consumer.commit(asynchronous=False)
        except confluent_kafka.KafkaException:
            return  # nobody was told that it has worked
        for each in committed:
            if each.error is None and each.offset >= 0:
                self.confirmed[each.topic, each.partition] = each.offset


def sent_in(value: bytes) -> Sent:
    """Read who sent a value, and as which number."""
    sender, number, _ = value.split(b":", 2)
    return Sent(sender.decode(), int(number))


def committed_offsets(
    address: str, group: str, topic: str, partitions: int
) -> dict[tuple[str, int], int]:
    """The group's committed offset of each partition that has one."""
    consumer = _reader(address, {"group.id": group})
    asked = [TopicPartition(topic, number) for number in range(partitions)]

    def ask() -> list[TopicPartition] | None:
        try:
            return list(consumer.committed(asked, timeout=60))
        except confluent_kafka.KafkaException as error:
            if error.args[0].retriable() or error.args[0].code() in _NOT_YET:
                return None
            raise

    found = eventually(ask, what="the committed offsets")
    consumer.close()
    return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}


def read_all(
    address: str, partitions: Sequence[tuple[str, int]]
) -> tuple[dict[Place, Sent], dict[tuple[str, int], tuple[int, int]]]:
    """Everything that is there, and the first and the end offset of each partition."""
    consumer = _reader(address, {"enable.partition.eof": True})
    found: dict[Place, Sent] = {}
    ranges = {
        each: consumer.get_watermark_offsets(TopicPartition(*each), timeout=60)
        for each in partitions
    }
    ended: set[tuple[str, int]] = set()
    consumer.assign([TopicPartition(*each, OFFSET_BEGINNING) for each in partitions])

    last_progress = time.monotonic()
    while len(ended) < len(partitions):
        for message in consumer.consume(5000, timeout=0.2):
            last_progress = time.monotonic()
            error = message.error()
            if error is None:
                place = Place(message.topic(), message.partition(), message.offset())
                found[place] = sent_in(message.value())
            elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                ended.add((message.topic(), message.partition()))
            elif not error.retriable():
                raise confluent_kafka.KafkaException(error)
        if time.monotonic() - last_progress > SILENCE_SECONDS:
            at = {
                (each.topic, each.partition): each.offset
                for each in consumer.position(consumer.assignment())
            }
            raise AssertionError(f"nothing comes any more, read up to {at} of {ranges}")
    consumer.close()
    return found, ranges


_NOT_YET = (
    confluent_kafka.KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    confluent_kafka.KafkaError.COORDINATOR_NOT_AVAILABLE,
    confluent_kafka.KafkaError.NOT_COORDINATOR,
    confluent_kafka.KafkaError._TIMED_OUT,
    confluent_kafka.KafkaError._TRANSPORT,
)


def _reader(address: str, settings: dict[str, Any]) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "reader",
            "enable.auto.commit": False,
            **RECONNECT,
            **QUIET,
            **settings,
        }
    )
