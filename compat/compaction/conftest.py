"""A broker that compacts soon; the tests of this folder share it."""

from collections.abc import Iterator

import pytest

from compat.targets import Target, TargetUnavailable

SETTINGS = {
    "log.cleaner.backoff.ms": "50",
    "log.initial.task.delay.ms": "100",
    "log.retention.check.interval.ms": "200",
    "log.segment.delete.delay.ms": "100",
    "log.cleaner.min.cleanable.ratio": "0.01",
    "offsets.topic.num.partitions": "1",
    # The smallest that Apache Kafka makes the topic with.
    "offsets.topic.segment.bytes": "1048576",
}


@pytest.fixture(scope="package")
def compacting_broker(target_class: type[Target]) -> Iterator[Target]:
    try:
        target = target_class(SETTINGS)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    with target:
        yield target


@pytest.fixture
def broker(compacting_broker: Target) -> Iterator[Target]:
    """The broker, running; a test that ends it fails, and the next one gets it started again."""
    if not compacting_broker.is_running:
        compacting_broker.restart()
    yield compacting_broker
    running = compacting_broker.process
    assert compacting_broker.is_running, f"the broker ended: {running.describe()}"
