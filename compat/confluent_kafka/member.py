"""A group member on confluent-kafka (see compat/members.py)."""

import signal
import sys

from confluent_kafka import Consumer, TopicPartition

from compat.members import HEARTBEAT_INTERVAL_MS, SESSION_TIMEOUT_MS, say


def announce(_: Consumer, partitions: list[TopicPartition]) -> None:
    say(assigned=sorted(partition.partition for partition in partitions))


def main(address: str, group: str, topic: str) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": HEARTBEAT_INTERVAL_MS,
        }
    )
    consumer.subscribe([topic], on_assign=announce)
    while not stopping:
        record = consumer.poll(0.2)
        if record is None or record.error():
            continue
        say(record=[record.partition(), record.offset(), record.value().decode()])
        consumer.commit(message=record, asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
