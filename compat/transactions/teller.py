"""Transfers money between accounts: `teller NAME.LIFE ADDRESS TOPIC PARTITIONS`.

A transfer is a transaction. It takes an amount from one account and gives parts of it to up to
three others; each leg is a record `transfer:legs:account:delta` in the account's partition. Every
fifth transfer is aborted.

Printed are {"began": transfer} before, and {"committed": transfer} or {"aborted": transfer} after
the broker has said so.
"""

import signal
import sys
from collections.abc import Callable
from random import Random

from confluent_kafka import KafkaException, Producer

from compat.members import say
from compat.transactions.crew import AGAIN

ACCOUNTS = 40
LEAST_MS = 20
SECONDS = 30.0


class Teller:
    """One producer and its transfers."""

    def __init__(self, name: str, address: str, topic: str, partitions: int) -> None:
        self.name = name
        self.topic = topic
        self.partitions = partitions
        self.random = Random(name)
        self.is_ending = False
        self.producer = Producer(
            {
                "bootstrap.servers": address,
                "transactional.id": name.partition(".")[0],
                "transaction.timeout.ms": 15_000,
                "linger.ms": 1,
                "reconnect.backoff.ms": LEAST_MS,
                "reconnect.backoff.max.ms": 100,
                "log_level": 0,
            }
        )

    def run(self) -> None:
        self._until_done(lambda: self.producer.init_transactions(SECONDS))
        number = 0
        while not self.is_ending:
            self.transfer(f"{self.name}.{number}")
            number += 1

    def transfer(self, name: str) -> None:
        amounts = [self.random.randrange(1, 100) for _ in range(self.random.randrange(1, 4))]
        accounts = self.random.sample(range(ACCOUNTS), len(amounts) + 1)
        legs = zip(accounts, [-sum(amounts), *amounts], strict=True)
        say(began=name)
        self.producer.begin_transaction()
        try:
            for account, delta in legs:
                value = f"{name}:{len(accounts)}:{account}:{delta}".encode()
                self.producer.produce(self.topic, value, partition=account % self.partitions)
                if self.random.random() < 0.5:
                    # Some legs are in the log long before the others.
                    self.producer.flush(self.random.random() / 20)
            if self.random.random() < 0.2:
                self._await_answers()
                self._until_done(lambda: self.producer.abort_transaction(SECONDS))
                say(aborted=name)
                return
            self._until_done(lambda: self.producer.commit_transaction(SECONDS))
        except KafkaException as refusal:
            if not refusal.args[0].txn_requires_abort():
                raise
            self._until_done(lambda: self.producer.abort_transaction(SECONDS))
            say(aborted=name)
        else:
            say(committed=name)

    def _await_answers(self) -> None:
        """Leave nothing whose sequence numbers librdkafka would use again (FINDINGS.md)."""
        while self.producer.flush(1):
            pass

    def _until_done(self, operation: Callable[[], None]) -> None:
        """Do it again as long as the client says that this may help."""
        while True:
            try:
                operation()
                return
            except KafkaException as refusal:
                if not refusal.args[0].retriable():
                    raise


def main(name: str, address: str, topic: str, partitions: str) -> None:
    teller = Teller(name, address, topic, int(partitions))

    def stop(*_: object) -> None:
        teller.is_ending = True

    signal.signal(signal.SIGTERM, stop)
    try:
        teller.run()
    except KafkaException as failure:
        say(failed=str(failure))
        sys.exit(AGAIN)


if __name__ == "__main__":
    main(*sys.argv[1:])
