"""A consumer of committed records that reads everything as it comes."""

import threading

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from compat.transactions.committed import Read


class Auditor:
    """A librdkafka consumer in a thread.

    Attributes:
        seen: What it has read of each partition, in the order in which it came.
    """

    def __init__(self, address: str, topic: str, partitions: int) -> None:
        self.seen: dict[int, list[Read]] = {number: [] for number in range(partitions)}
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": address,
                "group.id": "auditor",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                "log_level": 0,
            }
        )
        self._consumer.assign(
            [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)]
        )
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
                    read = Read(message.offset(), message.value())
                    self.seen[message.partition()].append(read)
