"""Every record that acks=all has confirmed survives SIGKILL, at the offset that was confirmed."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from compat.processes import eventually
from compat.targets import Target, TargetUnavailable

confluent_kafka = pytest.importorskip("confluent_kafka")

from confluent_kafka import (  # noqa: E402 - after importorskip
    OFFSET_BEGINNING,
    Consumer,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

KILLS = 4
CONFIRMED_BETWEEN_KILLS = 2000
PARTITIONS = 3
TOPIC = "under-fire"

# The complaints about lost connections are what this test is about.
QUIET = {"log_level": 0}


@pytest.fixture
def broker(target_class: type[Target]) -> Iterator[Target]:
    """A broker of this test's own: it is killed."""
    try:
        target = target_class()
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    with target:
        yield target


class Load:
    """A producer in a thread, and what it has been told.

    Attributes:
        confirmed: (partition, offset) -> number of the record, for each acknowledgement.
        sent: How many records were given to the producer; their values are 0, 1, 2 and so on.
        failures: Errors of records, which an acks=all producer with retries must not see.
    """

    def __init__(self, address: str, *, idempotent: bool) -> None:
        self.confirmed: dict[tuple[int, int], int] = {}
        self.duplicated_offsets: list[tuple[int, int]] = []
        self.failures: list[Any] = []
        self.sent = 0
        self._stop = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": address,
                "acks": "all",
                "enable.idempotence": idempotent,
                "linger.ms": 2,
                "batch.num.messages": 100,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                "delivery.timeout.ms": 120_000,
                **QUIET,
            }
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Send no more, and wait for the last answers."""
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(60) == 0

    def _run(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            partition = number % PARTITIONS
            while True:
                try:
                    self._producer.produce(
                        TOPIC, b"%d" % number, partition=partition, on_delivery=self._delivered
                    )
                    break
                except BufferError:
                    self._producer.poll(0.05)
            self.sent = number + 1
            # Keeps some hundreds in flight, so that a kill hits requests in every state.
            self._producer.poll(0.01 if self.sent - len(self.confirmed) > 1000 else 0)

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self.failures.append(error)
            return
        place = (message.partition(), message.offset())
        if place in self.confirmed:
            self.duplicated_offsets.append(place)
        self.confirmed[place] = int(message.value())


def read_all(address: str) -> dict[tuple[int, int], int]:
    """(partition, offset) -> number of each record in the topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            **QUIET,
        }
    )
    found: dict[tuple[int, int], int] = {}
    ended: set[int] = set()
    consumer.assign(
        [TopicPartition(TOPIC, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)]
    )

    def read() -> bool:
        for message in consumer.consume(5000, timeout=0.2):
            if message.error() is None:
                found[message.partition(), message.offset()] = int(message.value())
            elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise confluent_kafka.KafkaException(message.error())
        return len(ended) == PARTITIONS

    eventually(read, seconds=60, what="the end of all partitions")
    consumer.close()
    return found


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
def test_what_was_confirmed_under_load_survives_kills(broker: Target, idempotent: bool) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address, **QUIET})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS)])[TOPIC].result(timeout=20)
    load = Load(broker.address, idempotent=idempotent)
    for _ in range(KILLS):
        goal = len(load.confirmed) + CONFIRMED_BETWEEN_KILLS
        eventually(
            lambda goal=goal: len(load.confirmed) >= goal,  # type: ignore[misc]
            seconds=60,
            what=f"confirmation {goal}",
        )
        broker.kill()
        broker.restart()
    load.finish()

    found = read_all(broker.address)

    assert load.failures == []
    assert load.duplicated_offsets == []
    lost = {place: number for place, number in load.confirmed.items() if found.get(place) != number}
    assert lost == {}, f"{len(lost)} of {len(load.confirmed)} confirmed records are not there"
    assert set(found.values()) == set(range(load.sent))
    if idempotent:
        for partition in range(PARTITIONS):
            numbers = [found[place] for place in sorted(found) if place[0] == partition]
            assert numbers == list(range(partition, load.sent, PARTITIONS))
