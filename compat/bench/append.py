"""Speed of the log: what validating, appending and reading one batch costs.

    python -m compat.bench.append [--directory DIR] [--seconds 0.5]

Prints the best of several runs in microseconds of CPU time: user time alone (our own code) and with
the system calls (the copy into and out of the page cache). Nothing is synced.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from pykbroker.clock import SystemClock
from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.validation import validate_batch

NOW_MS = 1_700_000_000_000
ROUND = 200
READ_BYTES = 1 << 20


def batch_data(count: int, value_bytes: int, codec: Codec = Codec.NONE) -> bytearray:
    """A batch as a producer sends it, of records of slightly different sizes."""
    records = [
        Record(n, NOW_MS + n // 7, b"%d" % n, b"%0*d" % (value_bytes - n % 5, n))
        for n in range(count)
    ]
    return build_batch(records, codec=codec)


def measure(name: str, round_of: Callable[[], int], seconds: float) -> None:
    """Print the cheapest round; `round_of` does one and returns how many operations it was."""
    best_user = best_both = float("inf")
    deadline = perf_counter() + seconds
    while perf_counter() < deadline:
        before = os.times()
        start = perf_counter()
        count = round_of()
        elapsed = perf_counter() - start
        after = os.times()
        best_user = min(best_user, (elapsed - (after.system - before.system)) / count)
        best_both = min(best_both, elapsed / count)
    print(f"{name:<52} {best_user * 1e6:>9.1f} {best_both * 1e6:>9.1f}")


def appends(log: PartitionLog, data: bytearray) -> Callable[[], int]:
    """A round of appends of validated batches."""

    def run() -> int:
        batch = RecordBatch.parse(data)
        for _ in range(ROUND):
            log.append(batch, NOW_MS)
        return ROUND

    return run


def validations(data: bytearray, config: TopicConfig) -> Callable[[], int]:
    """A round of validations of the same request."""
    view = memoryview(data)

    def run() -> int:
        for _ in range(ROUND):
            validate_batch(view, config, now_ms=NOW_MS, api_version=9)
        return ROUND

    return run


def tail_reads(log: PartitionLog, data: bytearray, buffer: memoryview) -> Callable[[], int]:
    """A round of reads of what was just appended, as a consumer that keeps up does."""

    def run() -> int:
        result = log.append(RecordBatch.parse(data), NOW_MS)
        for _ in range(ROUND):
            found = log.read(
                result.base_offset, READ_BYTES, up_to=log.high_watermark, at_least_one_batch=True
            )
            assert found.slice is not None
            found.slice.read_cached(buffer)
        return ROUND

    return run


def reads(log: PartitionLog, max_bytes: int, buffer: memoryview) -> Callable[[], int]:
    """A round of reads anywhere in the log."""
    step = max((log.high_watermark - log.log_start_offset) // ROUND, 1)

    def run() -> int:
        for offset in range(log.log_start_offset, log.log_start_offset + step * ROUND, step):
            found = log.read(offset, max_bytes, up_to=log.high_watermark, at_least_one_batch=True)
            assert found.slice is not None
            found.slice.read_cached(buffer)
        return ROUND

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", type=Path, help="where to write; default: temporary files")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="bench-append-") as directory:
        manager = LogManager([Path(directory)], clock=SystemClock(), node_id=1, fsync_enabled=False)
        config = TopicConfig(segment_bytes=256 << 20, retention_bytes=256 << 20)
        manager.open("bench-cluster-idAAAAAA", lambda _: config)
        print(f"{'microseconds for each':<52} {'user':>9} {'all':>9}")
        logs = iter(range(1000))

        def new_log() -> PartitionLog:
            return manager.create("bench", bytes(range(16)), next(logs), config)

        buffer = memoryview(bytearray(READ_BYTES))
        for name, data in {
            "1 KiB, 10 records": batch_data(10, 90),
            "16 KiB, 150 records": batch_data(150, 100),
            "16 KiB, 16 records": batch_data(16, 1010),
            "150 records, lz4": batch_data(150, 100, Codec.LZ4),
        }.items():
            measure(f"validate, {name}", validations(data, config), options.seconds)
            log = new_log()
            measure(f"append, {name}", appends(log, data), options.seconds)
            measure(f"read the tail, {name}", tail_reads(log, data, buffer), options.seconds)
            for max_bytes in (16 << 10, READ_BYTES):
                label = f"read {max_bytes >> 10} KiB anywhere, {name}"
                measure(label, reads(log, max_bytes, buffer), options.seconds)
            manager.delete("bench", log.partition)
            manager.write_checkpoints(NOW_MS * 2)
        manager.close()


if __name__ == "__main__":
    main()
