"""A disk without room: clear errors, reads go on, and all is well again when there is room."""

import contextlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import confluent_kafka
import pytest

from compat.durability.loop_disk import DiskUnavailable, mount_tmpfs
from compat.durability.round_trip import round_trip
from compat.faults.client import commit, create_topic, fetch, produce
from compat.single_requests import a_batch
from compat.targets import Target
from pykbroker.client import Connection
from pykbroker.protocol.errors import ErrorCode

TOPIC = "full"
BALLAST_BYTES = 8 << 20
LIVE_WITHIN_S = 20.0


def test_a_full_disk_refuses_writes_only_and_only_as_long_as_it_is_full(
    resources: ExitStack, a_broker: Callable[..., Target], tmp_path: Path
) -> None:
    try:
        mount_tmpfs(resources, tmp_path / "small", size_mb=48)
    except DiskUnavailable as reason:
        pytest.skip(str(reason))
    ballast = tmp_path / "small" / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    broker = a_broker()
    broker.data_dir = tmp_path / "small" / "data"
    broker.start()
    create_topic(broker, TOPIC, 1, **{"segment.bytes": str(1 << 20)})
    commit(broker, "group", TOPIC, 1)
    connection = Connection(broker.host, broker.port)
    batch = a_batch([bytes(1000)] * 100)
    written = 0
    while (code := produce(connection, TOPIC, batch)[0]) == ErrorCode.NONE:
        written += 1
        assert written < 1000, "the disk never gets full"

    assert code == ErrorCode.KAFKA_STORAGE_ERROR
    assert produce(connection, TOPIC, batch, acks=1) == [ErrorCode.KAFKA_STORAGE_ERROR]
    assert fetch(connection, TOPIC, offset=(written - 1) * 100)
    _fill(tmp_path / "small" / "filler")
    with pytest.raises(confluent_kafka.KafkaException) as refused:
        for offset in range(2, 1000):  # the last page of the file takes some
            commit(broker, "group", TOPIC, offset)
    # What Kafka makes of a group's log that takes no records: the client looks for another broker.
    assert refused.value.args[0].code() == confluent_kafka.KafkaError.NOT_COORDINATOR

    ballast.unlink()
    started = time.monotonic()
    round_trip(broker.address, TOPIC)
    commit(broker, "group", TOPIC, 3000)
    assert time.monotonic() - started < LIVE_WITHIN_S
    assert produce(connection, TOPIC, batch) == [ErrorCode.NONE]
    assert fetch(connection, TOPIC, offset=(written - 1) * 100)
    connection.close()
    assert broker.stop() == 0


def _fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
