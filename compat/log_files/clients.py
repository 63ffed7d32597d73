"""What only a client library does: transactions and groups; and reading a topic back in full."""

import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Producer,
    TopicPartition,
)

from compat.processes import eventually
from compat.targets import Target

TRANSACTIONS = "transactions"
COMPACTED = "compacted"
GROUPS = ("readers", "gruppe-ü", "g" * 200)
_LONGEST_TRANSACTION_MS = 900_000
_COMPACTED_KEYS = 10
_COMPACTED_RECORDS = 400


class Read(NamedTuple):
    """A record as a consumer gets it."""

    offset: int
    timestamp: tuple[int, int]
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Transactions:
    """Transactional producers, one of which leaves its transaction open."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._left_open: list[Producer] = []

    def write(self) -> None:
        """Write a committed, an aborted and another committed transaction, and leave one open."""
        producer = self._new("ended")
        for number, end in enumerate(("commit", "abort", "commit", "abort")):
            producer.begin_transaction()
            self._send(producer, f"{number} {end}")
            if end == "commit":
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)
        producer = self._new("open")
        producer.begin_transaction()
        self._send(producer, "open")
        self._left_open.append(producer)
        after = Producer({"bootstrap.servers": self._target.address})
        after.produce(TRANSACTIONS, b"behind the open one", partition=0)
        assert producer.flush(30) == 0
        assert after.flush(30) == 0

    def _new(self, name: str) -> Producer:
        producer = Producer(
            {
                "bootstrap.servers": self._target.address,
                "transactional.id": name,
                "transaction.timeout.ms": _LONGEST_TRANSACTION_MS,
                "linger.ms": 0,
                "log_level": 0,  # the broker ends before an open transaction does
            }
        )
        producer.init_transactions(30)
        return producer

    @staticmethod
    def _send(producer: Producer, text: str) -> None:
        for index in range(20):
            producer.produce(TRANSACTIONS, f"{text} {index}".encode() * 20, partition=0)
            if index % 7 == 6:
                assert producer.flush(30) == 0


def fill_compacted(target: Target) -> None:
    """Overwrite a few keys many times, with tombstones among them."""
    producer = Producer({"bootstrap.servers": target.address, "enable.idempotence": True})
    for number in range(_COMPACTED_RECORDS):
        value = None if number % 17 == 0 else b"%d" % number * 50
        producer.produce(COMPACTED, value, b"key-%d" % (number % _COMPACTED_KEYS), partition=0)
        if number % 40 == 39:
            assert producer.flush(30) == 0


def commit_groups(target: Target, topic: str) -> dict[str, int]:
    """Have groups read and commit; gives what each has committed."""
    committed = {}
    for number, group in enumerate(GROUPS):
        consumer = Consumer(
            {
                "bootstrap.servers": target.address,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": 6000,
                "fetch.wait.max.ms": 100,
            }
        )
        consumer.subscribe([topic])
        eventually(partial(consumer.poll, 0.5), what="a record")
        offset = committed[group] = 100 + number
        place = TopicPartition(topic, 0, offset, metadata=f"by {group}")
        consumer.commit(offsets=[place], asynchronous=False)
        consumer.close()
    return committed


def committed_of(target: Target, group: str, topic: str) -> tuple[int, str | None]:
    """What a group has committed for partition 0: offset and metadata."""
    consumer = Consumer({"bootstrap.servers": target.address, "group.id": group})
    try:
        (place,) = consumer.committed([TopicPartition(topic, 0)], 30)
        return place.offset, place.metadata
    finally:
        consumer.close()


def newest(records: Sequence[Read]) -> dict[bytes | None, Read]:
    """The last record of each key."""
    return {record.key: record for record in records}


def read_all(target: Target, topic: str, isolation: str = "read_uncommitted") -> list[Read]:
    """Read partition 0 to its end."""
    consumer = Consumer(
        {
            "bootstrap.servers": target.address,
            "group.id": "nobody",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "check.crcs": True,
            "fetch.wait.max.ms": 20,
        }
    )
    found: list[Read] = []
    try:
        # Else it waits half a second before it asks for a topic that it does not know.
        consumer.list_topics(topic, 30)
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is None:
                continue
            error = message.error()
            if error is None:
                headers = tuple(message.headers() or ())
                found.append(
                    Read(
                        message.offset(),
                        message.timestamp(),
                        message.key(),
                        message.value(),
                        headers,
                    )
                )
            elif error.code() == KafkaError._PARTITION_EOF:
                return found
    finally:
        consumer.close()
    raise AssertionError(f"the end of {topic} did not come; {len(found)} records did")
