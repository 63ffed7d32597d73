"""Copies records from one topic to another: `worker NAME.LIFE ADDRESS INPUT OUTPUT GROUP`.

Reads in a group; what was read, changed and written, and how far that is, is one transaction. Each
output value is `input-partition:input-offset:VALUE`. Printed is {"copied": count} after a commit.
"""

import signal
import sys

from confluent_kafka import Consumer, KafkaException, Producer

from compat.members import say
from compat.transactions.crew import AGAIN

AT_ONCE = 25
SECONDS = 30.0


class Worker:
    """A member of the group with a transactional producer."""

    def __init__(self, name: str, address: str, source: str, target: str, group: str) -> None:
        self.source = source
        self.target = target
        self.is_ending = False
        shared = {
            "bootstrap.servers": address,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            "log_level": 0,
            # After a re-bootstrap, its producer may wait for ever for the group coordinator that it
            # has forgotten: librdkafka issue 5511.
            "metadata.recovery.strategy": "none",
        }
        self.producer = Producer(
            {**shared, "transactional.id": name.partition(".")[0], "transaction.timeout.ms": 15_000}
        )
        self.consumer = Consumer(
            {
                **shared,
                "group.id": group,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": 3_000,
                "heartbeat.interval.ms": 300,
                "fetch.wait.max.ms": 100,
            }
        )

    def run(self) -> None:
        self.producer.init_transactions(SECONDS)
        self.consumer.subscribe([self.source])
        while not self.is_ending:
            messages = [each for each in self.consumer.consume(AT_ONCE, 0.2) if not each.error()]
            if messages:
                self.producer.begin_transaction()
                for message in messages:
                    place = b"%d:%d:" % (message.partition(), message.offset())
                    self.producer.produce(
                        self.target, place + message.value().upper(), partition=message.partition()
                    )
                places = self.consumer.position(self.consumer.assignment())
                self.producer.send_offsets_to_transaction(
                    [each for each in places if each.offset >= 0],
                    self.consumer.consumer_group_metadata(),
                    SECONDS,
                )
                self.producer.commit_transaction(SECONDS)
                say(copied=len(messages))
        self.consumer.close()


def main(*arguments: str) -> None:
    worker = Worker(*arguments)

    def stop(*_: object) -> None:
        worker.is_ending = True

    signal.signal(signal.SIGTERM, stop)
    try:
        worker.run()
    except KafkaException as failure:
        # The successor fences this one, which aborts what it has begun, and reads it again.
        say(failed=str(failure))
        worker.consumer.close()
        sys.exit(AGAIN)


if __name__ == "__main__":
    main(*sys.argv[1:])
