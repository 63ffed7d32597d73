"""Few file descriptors, little memory, little time to stop: all that a broker needs is bounded."""

import threading
import time
from collections.abc import Callable

from compat.bench import memory
from compat.bench.machine import cpu_seconds, open_descriptors
from compat.durability.load import Sender
from compat.durability.round_trip import round_trip
from compat.faults.client import create_topic, fetch, produce
from compat.single_requests import a_batch
from compat.targets import Target
from pykbroker.client import ClientError, Connection
from pykbroker.protocol.errors import ErrorCode

MAX_RSS_MB = 150
MAX_OPEN_FILES = 256
STOPS_WITHIN_S = 20.0
EXIT_DATA_IN_USE = 5


def test_500_partitions_are_served_with_256_descriptors(a_broker: Callable[..., Target]) -> None:
    broker = a_broker(max_open_files=MAX_OPEN_FILES)
    broker.start()
    for number in range(5):
        create_topic(broker, f"many-{number}", 100)
    batch = a_batch([b"value"] * 3)
    connection = Connection(broker.host, broker.port)
    for acks in (1, -1):
        for number in range(5):
            codes = produce(connection, f"many-{number}", batch, partitions=range(100), acks=acks)
            assert set(codes) == {ErrorCode.NONE}
            assert open_descriptors(broker.pid) <= MAX_OPEN_FILES
    for number in range(5):
        for partition in range(100):
            assert len(fetch(connection, f"many-{number}", 0, partition)) == 2 * len(batch)

    # More clients than there are descriptors: some have to wait, and nobody is harmed.
    crowd = []
    for _ in range(MAX_OPEN_FILES):
        try:
            crowd.append(Connection(broker.host, broker.port, timeout_s=0.2))
        except ClientError:
            break
    cpu_before = cpu_seconds(broker.pid)
    time.sleep(1.0)
    assert cpu_seconds(broker.pid) - cpu_before < 0.5, "it spins"
    assert len(crowd) < MAX_OPEN_FILES
    for each in crowd:
        each.close()
    assert set(produce(connection, "many-0", batch, partitions=range(100))) == {ErrorCode.NONE}
    connection.close()
    round_trip(broker.address, "many-1")
    assert broker.stop() == 0


def test_memory_and_descriptors_stay_flat(a_broker: Callable[..., Target]) -> None:
    broker = a_broker(settings=memory.SETTINGS, max_open_files=2 * MAX_OPEN_FILES)
    broker.start()

    usage = memory.measure(broker, partitions=200, total_bytes=300_000_000, kept_bytes=200_000_000)

    assert usage.peak_mb < MAX_RSS_MB
    # Half of what the process may have, for the logs, and some for everything else.
    assert usage.descriptors < MAX_OPEN_FILES + 50


def test_a_second_broker_keeps_off_a_directory_in_use(a_broker: Callable[..., Target]) -> None:
    first, second = a_broker(), a_broker()
    first.start()
    second.data_dir = first.data_dir

    second.begin()

    assert second.process.wait() == EXIT_DATA_IN_USE
    assert first.stop() == 0


def test_sigterm_under_load_ends_the_broker_soon(a_broker: Callable[..., Target]) -> None:
    broker = a_broker()
    broker.start()
    create_topic(broker, "busy", 3)
    senders = [
        Sender(broker.address, f"sender-{number}", "busy", 3, idempotent=number % 2 == 0)
        for number in range(4)
    ]
    while min(len(sender.confirmed) for sender in senders) < 300:
        threading.Event().wait(0.01)

    started = time.monotonic()
    assert broker.stop() == 0
    assert time.monotonic() - started < STOPS_WITHIN_S

    broker.restart()
    for sender in senders:
        sender.finish()
        assert sender.failures == []
