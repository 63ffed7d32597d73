"""A member on librdkafka (see roster.py)."""

import json
import signal
import sys
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from compat.members import say


def telling(what: str) -> Callable[[Consumer, list[TopicPartition]], None]:
    """A callback that says which partitions were given or taken."""

    def tell(_: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [each.partition for each in partitions]
        say(**{what: numbers, "at": time.monotonic_ns()})

    return tell


def main(address: str, group: str, topic: str, settings: str) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    say(ready=True)
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
            **json.loads(settings),
        }
    )
    consumer.subscribe(
        [topic],
        on_assign=telling("assigned"),
        on_revoke=telling("revoked"),
        on_lost=telling("lost"),
    )
    while not stopping:
        records = [each for each in consumer.consume(50, 0.1) if not each.error()]
        for record in records:
            say(record=[record.partition(), record.offset()])
        if records:
            try:
                consumer.commit(asynchronous=False)
            except KafkaException:
                # Not any more, or not now: whoever is next reads them again.
                continue
    say(closing=True, at=time.monotonic_ns())
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
