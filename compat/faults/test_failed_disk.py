"""A disk that fails for good, or is taken away: nothing is confirmed any more."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from compat.durability.loop_disk import DiskUnavailable, LoopDisk
from compat.faults.client import create_topic, produce
from compat.single_requests import a_batch
from compat.targets import Target
from pykbroker.client import Connection
from pykbroker.protocol.errors import ErrorCode

TOPIC = "unlucky"


def test_nothing_is_confirmed_by_a_disk_that_has_died(
    resources: ExitStack, a_broker: Callable[..., Target], tmp_path: Path
) -> None:
    disk = LoopDisk(tmp_path, "disk")
    resources.callback(disk.close)
    try:
        disk.format(64)
        disk.mount()
    except DiskUnavailable as reason:
        pytest.skip(str(reason))
    broker = a_broker()
    broker.data_dir = disk.mount_point / "data"
    broker.start()
    create_topic(broker, TOPIC)
    connection = Connection(broker.host, broker.port)
    batch = a_batch([b"value"] * 10)
    assert produce(connection, TOPIC, batch) == [ErrorCode.NONE]

    disk.fail()

    for acks in (-1, 1, -1):
        assert produce(connection, TOPIC, batch, acks=acks) == [ErrorCode.KAFKA_STORAGE_ERROR]
    connection.close()
    broker.stop()


def test_nothing_more_is_confirmed_when_the_directory_is_gone(
    a_broker: Callable[..., Target],
) -> None:
    """Files that are open outlive their names: it is the next roll that finds out, as in Kafka."""
    broker = a_broker()
    broker.start()
    create_topic(broker, TOPIC, 1, **{"internal.segment.bytes": "2000"})
    connection = Connection(broker.host, broker.port)
    batch = a_batch([b"value"] * 10)
    assert produce(connection, TOPIC, batch) == [ErrorCode.NONE]

    shutil.rmtree(broker.data_dir)

    codes = [produce(connection, TOPIC, batch)[0] for _ in range(30)]
    first = codes.index(ErrorCode.KAFKA_STORAGE_ERROR)
    assert set(codes[first:]) == {ErrorCode.KAFKA_STORAGE_ERROR}
    connection.close()
    broker.stop()
