"""A group member on kafka-python (see compat/members.py)."""

import signal
import sys
from collections.abc import Sequence

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition

from compat.members import HEARTBEAT_INTERVAL_MS, SESSION_TIMEOUT_MS, say


class Announcer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Says each assignment."""

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        pass

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        say(assigned=sorted(partition.partition for partition in assigned))


def main(address: str, group: str, topic: str) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    consumer = KafkaConsumer(
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
    )
    consumer.subscribe([topic], listener=Announcer())
    # kafka-python 3.0.12 forgets, against Apache Kafka too, that it was about to rejoin for new
    # metadata when that takes longer than one poll; it sends no heartbeat after that. What is
    # known of the topic after `subscribe` and before the first join is no news to it.
    consumer.topics()
    while not stopping:
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                say(record=[record.partition, record.offset, record.value.decode()])
            consumer.commit()
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
