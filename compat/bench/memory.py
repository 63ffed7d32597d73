"""Memory and open files stay flat: many partitions, gigabytes appended and read.

    python -m compat.bench.memory [--partitions 1000] [--gigabytes 1] [--keep-gigabytes 4]

Batches of 64 KiB go to one partition after the other and are read again in fetches of 1 MB, while
retention deletes what is above the limit. The broker's memory and descriptors are asked for all
the time. RSS is VmRSS, its peak VmHWM; both count the pages of shared libraries too.
"""

import argparse
import resource
import time
from dataclasses import dataclass

from compat.bench.machine import (
    create_topic,
    describe,
    open_descriptors,
    peak_rss_mb,
    rss_mb,
    two_cpus,
)
from compat.single_requests import FETCH_BYTES, a_batch, fetch, produce
from compat.targets import PykbrokerTarget, Target
from pykbroker.client import Connection
from pykbroker.protocol.record_batch import iter_batches

TOPIC = "flat"
BATCH_BYTES = 64 * 1024
RECORD_BYTES = 1000
RECORDS = BATCH_BYTES // RECORD_BYTES
BATCHES_PER_REQUEST = 8
SEGMENT_BYTES = 1 << 20
SETTINGS = {
    "log.retention.check.interval.ms": "2000",
    "log.flush.offset.checkpoint.interval.ms": "2000",
    "log.segment.delete.delay.ms": "0",
}


@dataclass(slots=True)
class Usage:
    """What the broker had, and the most of it."""

    idle_mb: float
    rss_mb: float
    peak_mb: float
    descriptors: int
    seconds: float


def measure(
    target: Target, *, partitions: int, total_bytes: int, kept_bytes: int, acks: int = 1
) -> Usage:
    """Append and read `total_bytes`; `kept_bytes` stay on the disk.

    Each request writes to 8 partitions, the next one to the next 8; a partition is read when there
    is 1 MB to read.
    """
    retention = max(kept_bytes // partitions, 2 * FETCH_BYTES)
    configs = {"segment.bytes": str(SEGMENT_BYTES), "retention.bytes": str(retention)}
    create_topic(target.address, TOPIC, partitions, **configs)
    usage = Usage(rss_mb(target.pid), 0.0, 0.0, 0, 0.0)
    batch = a_batch([bytes(RECORD_BYTES)] * RECORDS)
    started = time.perf_counter()
    connection = Connection(target.host, target.port)
    unread_bytes = [0] * partitions
    positions = [0] * partitions
    sent, turn = 0, 0
    while sent < total_bytes:
        first = turn * BATCHES_PER_REQUEST
        chosen = sorted({(first + index) % partitions for index in range(BATCHES_PER_REQUEST)})
        _produce(connection, chosen, batch, acks)
        for partition in chosen:
            unread_bytes[partition] += len(batch)
            if unread_bytes[partition] >= FETCH_BYTES:
                batches = _fetch(connection, partition, positions[partition])
                positions[partition] += batches * RECORDS
                unread_bytes[partition] -= batches * len(batch)
        sent += len(batch) * len(chosen)
        turn += 1
        if turn % 20 == 0:
            usage.rss_mb = max(usage.rss_mb, rss_mb(target.pid))
            usage.descriptors = max(usage.descriptors, open_descriptors(target.pid))
    usage.seconds = time.perf_counter() - started
    connection.close()
    usage.peak_mb = peak_rss_mb(target.pid)
    return usage


def _produce(connection: Connection, partitions: list[int], batch: bytes, acks: int) -> None:
    for answer in produce(connection, TOPIC, batch, partitions=partitions, acks=acks):
        assert answer.error_code == 0, f"partition {answer.index}: {answer.error_code}"


def _fetch(connection: Connection, partition: int, offset: int) -> int:
    """Read what is there from `offset` on, up to 1 MB; gives the number of batches."""
    found = fetch(connection, TOPIC, offset, partition)
    assert found.error_code == 0, f"partition {partition}: {found.error_code}"
    assert found.records
    return sum(1 for _ in iter_batches(found.records))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--partitions", type=int, default=1000)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="appended and read")
    parser.add_argument("--keep-gigabytes", type=float, default=4.0, help="on the disk at a time")
    options = parser.parse_args()
    cpus = two_cpus()
    print(describe(cpus))
    with PykbrokerTarget(SETTINGS, cpus=cpus[0] if cpus else None) as target:
        usage = measure(
            target,
            partitions=options.partitions,
            total_bytes=int(options.gigabytes * 1e9),
            kept_bytes=int(options.keep_gigabytes * 1e9),
        )
        limit, _ = resource.prlimit(target.pid, resource.RLIMIT_NOFILE)
    print(
        f"{options.partitions} partitions, {options.gigabytes} GB appended and read "
        f"in {usage.seconds:.0f} s ({options.gigabytes * 1000 / usage.seconds:.0f} MB/s each)\n"
        f"RSS: {usage.idle_mb:.0f} MB with empty partitions, {usage.rss_mb:.0f} MB at most\n"
        f"peak RSS: {usage.peak_mb:.0f} MB\n"
        f"open descriptors: {usage.descriptors} at most, of {limit} that the process may have"
    )


if __name__ == "__main__":
    main()
