"""Records that flow into a topic while something else happens, and which of them were confirmed."""

import threading
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, Message, Producer

from compat.targets import Target

RECORDS_A_SECOND = 200
PAUSE_SECONDS = 0.05
FLUSH_SECONDS = 120


class Stream:
    """A producer in a thread of its own; leaving it waits until all records are confirmed.

    Attributes:
        confirmed: Partition and offset of each record that was acknowledged.
        failed: What was told of the others.
    """

    def __init__(self, broker: Target, topic: str, partitions: int) -> None:
        self.confirmed: set[tuple[int, int]] = set()
        self.failed: list[str] = []
        self._topic = topic
        self._partitions = partitions
        self._producer = Producer(
            {
                "bootstrap.servers": broker.address,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": FLUSH_SECONDS * 1000,
                "reconnect.backoff.max.ms": 500,
            }
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._ending.wait(PAUSE_SECONDS):
            for _ in range(int(RECORDS_A_SECOND * PAUSE_SECONDS)):
                self._producer.produce(
                    self._topic,
                    b"%d" % number,
                    partition=number % self._partitions,
                    on_delivery=self._delivered,
                )
                number += 1
            self._producer.poll(0)
        self._producer.flush(FLUSH_SECONDS)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failed.append(str(error))
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self.confirmed.add((partition, offset))
