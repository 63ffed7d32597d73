"""From nothing to the first consumed record: a broker for one test, by each way to have one.

    python -m compat.bench.first_record [--runs 5] [--way WAY]... [--image IMAGE]

The clock starts when a program that has its client loaded asks for a broker, and ends when a record
that it produced has been consumed; what the broker imports, starts and creates is in between. Each
run is a process of its own. The client is librdkafka, and no group is joined. Apache Kafka's
storage is formatted before, as the image of the container is built before.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from compat.bench.machine import describe
from compat.processes import DEADLINE_SECONDS
from compat.targets import KafkaTarget

TOPIC: Final = "first"
RUN_SECONDS: Final = 180

Start = Callable[[], AbstractContextManager[str]]
"""Starts a broker and gives its address; what comes before the clock has been done."""


def in_process(image: str) -> Start:
    """`Broker()`: a thread of the program."""

    @contextmanager
    def start() -> Iterator[str]:
        from pykbroker.testing import Broker

        with Broker() as broker:
            yield broker.bootstrap_servers

    return start


def as_subprocess(image: str) -> Start:
    """`Broker(process=True)`: a process."""

    @contextmanager
    def start() -> Iterator[str]:
        from pykbroker.testing import Broker

        with Broker(process=True) as broker:
            yield broker.bootstrap_servers

    return start


def in_container(image: str) -> Start:
    """`PykbrokerContainer()`: a container of an image that is there."""
    # A program that uses testcontainers has it loaded, as it has its client.
    from pykbroker.testing.containers import PykbrokerContainer

    @contextmanager
    def start() -> Iterator[str]:
        with PykbrokerContainer(image) as container:
            yield container.bootstrap_servers

    return start


def apache_kafka(image: str) -> Start:
    """Apache Kafka on a JVM of this machine."""
    target = KafkaTarget()
    target.format()

    @contextmanager
    def start() -> Iterator[str]:
        with target:
            yield target.address

    return start


WAYS: Final[Mapping[str, Callable[[str], Start]]] = {
    "in process": in_process,
    "subprocess": as_subprocess,
    "container": in_container,
    "Apache Kafka": apache_kafka,
}


def main() -> None:
    """Measure and print a table, or one run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each way")
    parser.add_argument("--way", action="append", choices=WAYS, help="by default, all")
    parser.add_argument("--image", default="pykbroker", help="of the container")
    parser.add_argument("--once", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(*measure(WAYS[options.once](options.image)))
        return
    print(describe(None))
    print(f"median of {options.runs} runs (lowest-highest), seconds\n")
    print("| broker | ready | first record consumed |")
    print("|---|---|---|")
    # The ways alternate, so that a noisy minute hits all of them.
    figures: dict[str, list[tuple[float, float]]] = {way: [] for way in options.way or WAYS}
    for _ in range(options.runs):
        for way, found in figures.items():
            found.append(_in_a_process_of_its_own(way, options.image))
    for way, found in figures.items():
        print(f"| {way} | {' | '.join(_shown(column) for column in zip(*found, strict=True))} |")


def measure(start: Start) -> tuple[float, float]:
    """The seconds until a broker is ready, and until a first record has been consumed."""
    begun = time.perf_counter()
    with start() as address:
        ready = time.perf_counter() - begun
        producer = Producer({"bootstrap.servers": address, "log_level": 0})
        producer.produce(TOPIC, b"value", partition=0)
        assert producer.flush(DEADLINE_SECONDS) == 0, f"nothing was confirmed by {address}"
        consumer = Consumer({"bootstrap.servers": address, "group.id": "unused", "log_level": 0})
        consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
        message = consumer.poll(DEADLINE_SECONDS)
        consumed = time.perf_counter() - begun
        assert message is not None, f"no record at {address}"
        assert message.error() is None, message.error()
        consumer.close()
        return ready, consumed


def _in_a_process_of_its_own(way: str, image: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "compat.bench.first_record", "--once", way, "--image", image]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS, check=True
    )
    ready, consumed = map(float, done.stdout.split())
    return ready, consumed


def _shown(seconds: tuple[float, ...]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f}-{max(seconds):.3f})"


if __name__ == "__main__":
    main()
