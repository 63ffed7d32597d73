"""What a running compaction costs others: the latency of a sync producer with and without one.

    python -m compat.bench.compaction [--megabytes 300] [--seconds 10] [--target kafka]

A compacted topic is filled with few keys, held back by min.compaction.lag.ms. One producer (acks=1,
one record of 100 B in each request) measures on another topic, first alone, then while the log of
the first one is being cleaned. The broker with its compaction has one processor, or all of them.
"""

import argparse
import threading
import time
from pathlib import Path
from random import Random

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from compat.bench.machine import create_topic, describe, run_load, two_cpus
from compat.targets import MEASURED_TARGETS, Target, TargetUnavailable
from pykbroker.client import Connection
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

CLEANED, MEASURED = "cleaned", "measured"
KEYS = 20_000
RECORD_BYTES = 100
RECORDS = 1000
DIFFERENT_BATCHES = 100
SEGMENT_BYTES = 16 << 20
NEVER_MS = 1 << 40
SETTINGS = {"log.cleaner.backoff.ms": "200", "log.initial.task.delay.ms": "200"}


class Watch:
    """Looks at a log's directory for what a compaction leaves there while it runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.first_size = self.size
        self.seconds = 0.0
        self._thread.start()

    @property
    def size(self) -> int:
        """Bytes of all `.log` files."""
        total = 0
        for path in self._directory.glob("*.log"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total

    @property
    def is_done(self) -> bool:
        """Whether nothing but the active segment and the last value of each key is left."""
        return self.size < 2 * SEGMENT_BYTES and not list(self._directory.glob("*.cleaned"))

    def finish(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        started = time.perf_counter()
        while not self._stop.wait(0.1):
            if not self.is_done:
                self.seconds = time.perf_counter() - started


def fill(target: Target, total_bytes: int) -> None:
    """Write records of few keys, so that hardly anything of the log will be left."""
    create_topic(
        target.address,
        CLEANED,
        1,
        **{
            "cleanup.policy": "compact",
            "segment.bytes": str(SEGMENT_BYTES),
            "min.cleanable.dirty.ratio": "0.01",
            "min.compaction.lag.ms": str(NEVER_MS),
        },
    )
    random = Random(1)
    now_ms = int(time.time() * 1000)
    value = bytes(RECORD_BYTES)
    batches = [
        bytes(
            build_batch(
                [Record(n, now_ms, b"%d" % random.randrange(KEYS), value) for n in range(RECORDS)]
            )
        )
        for _ in range(DIFFERENT_BATCHES)
    ]
    connection = Connection(target.host, target.port)
    written = 0
    while written < total_bytes:
        batch = random.choice(batches)
        data = TopicProduceData(
            name=CLEANED, partition_data=[PartitionProduceData(index=0, records=batch)]
        )
        request = ProduceRequest(acks=1, timeout_ms=30_000, topic_data=[data])
        answer = connection.call(request, ProduceResponse).responses[0]
        assert answer.partition_responses[0].error_code == 0
        written += len(batch)
    connection.close()


def release(target: Target) -> None:
    """Let the compaction begin."""
    entry = ConfigEntry("min.compaction.lag.ms", "0", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, CLEANED, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": target.address})
    admin.incremental_alter_configs([resource])[resource].result(timeout=20)


def measure(target: Target, seconds: float, cpus: tuple[str, str] | None) -> dict[str, float]:
    settings = {
        "topic": MEASURED,
        "record_bytes": RECORD_BYTES,
        "batch_bytes": 1,
        "acks": 1,
        "connections": 1,
        "partitions": 1,
        "seconds": seconds,
    }
    return run_load(target, "concurrent", settings, cpus)


def compare(target: Target, options: argparse.Namespace, cpus: tuple[str, str] | None) -> None:
    """Print the two rows of one broker."""
    label = f"{target.name}, {'one processor' if target.cpus is not None else 'all processors'}"
    create_topic(target.address, MEASURED)
    measure(target, 3.0, cpus)
    fill(target, options.megabytes * 1_000_000)
    measure(target, 1.0, cpus)
    _row(f"{label}, nothing else", measure(target, options.seconds, cpus))
    watch = Watch(target.data_dir / f"{CLEANED}-0")
    release(target)
    found = measure(target, options.seconds, cpus)
    deadline = time.monotonic() + 600
    while not watch.is_done and time.monotonic() < deadline:
        time.sleep(0.2)
    watch.finish()
    _row(f"{label}, compacting", found)
    share = min(watch.seconds / found["seconds"], 1.0)
    print(
        f"  {watch.first_size / 1e6:,.0f} MB became {watch.size / 1e6:,.0f} MB in "
        f"{watch.seconds:.1f} s, {share:.0%} of the time that was measured",
        flush=True,
    )


def _row(label: str, found: dict[str, float]) -> None:
    p50, p99, most = (found[name] / 1000 for name in ("p50_us", "p99_us", "max_us"))
    rate = found["records"] / found["seconds"]
    print(f"{label:<44} {rate:>8,.0f} {p50:>8.2f} {p99:>8.2f} {most:>8.2f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=300, help="to be cleaned")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each row")
    parser.add_argument("--target", choices=sorted(MEASURED_TARGETS), action="append")
    options = parser.parse_args()
    cpus = two_cpus()
    print(describe(cpus))
    print(f"{'':<44} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for name in options.target or ["pykbroker"]:
        for pinned in [cpus[0], None] if cpus else [None]:
            try:
                target = MEASURED_TARGETS[name](SETTINGS, cpus=pinned)
            except TargetUnavailable as reason:
                print(f"{name}: left out, {reason}")
                break
            with target:
                compare(target, options, cpus)


if __name__ == "__main__":
    main()
