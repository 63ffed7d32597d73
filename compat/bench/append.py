"""Speed of the log: what validating, appending and reading one batch costs.

    python -m compat.bench.append [--directory DIR] [--seconds 0.5]

Prints the best of several runs in microseconds of CPU time, the copies into and out of the page
cache included; "without the write" leaves that out. Nothing is synced.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

from pykbroker.clock import SystemClock
from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.primitives import Buffer
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record
from pykbroker.storage.file_layer import FileHandle, FileLayer
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
    best = float("inf")
    deadline = perf_counter() + seconds
    while perf_counter() < deadline:
        start = process_time()
        count = round_of()
        best = min(best, (process_time() - start) / count)
    print(f"{name:<52} {best * 1e6:>9.1f}", flush=True)


class WritesNothing(FileLayer):
    """Takes every byte without writing it."""

    def pwrite(self, handle: FileHandle, data: Buffer, position: int) -> int:
        """Say that all of it was written."""
        return len(data)


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


def a_log(directory: Path, files: FileLayer) -> tuple[LogManager, PartitionLog]:
    """An empty log of segments of 256 MiB."""
    manager = LogManager([directory], clock=SystemClock(), node_id=1, files=files)
    config = TopicConfig(segment_bytes=256 << 20, retention_bytes=256 << 20)
    manager.open("bench-cluster-idAAAAAA", lambda _: config)
    return manager, manager.create("bench", bytes(range(16)), 0, config)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--directory", type=Path, help="where to write; default: temporary files")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each line")
    options = parser.parse_args()
    buffer = memoryview(bytearray(READ_BYTES))
    print(f"{'microseconds for each':<52}")
    for name, data in {
        "1 KiB, 10 records": batch_data(10, 90),
        "16 KiB, 150 records": batch_data(150, 100),
        "16 KiB, 16 records": batch_data(16, 1010),
        "150 records, lz4": batch_data(150, 100, Codec.LZ4),
    }.items():
        measure(f"validate, {name}", validations(data, TopicConfig()), options.seconds)
        with tempfile.TemporaryDirectory(dir=options.directory, prefix="bench-append-") as path:
            hollow, log = a_log(Path(path) / "hollow", WritesNothing(fsync_enabled=False))
            measure(f"append without the write, {name}", appends(log, data), options.seconds)
            log.abandon()
            manager, log = a_log(Path(path) / "data", FileLayer(fsync_enabled=False))
            measure(f"append, {name}", appends(log, data), options.seconds)
            measure(f"read the tail, {name}", tail_reads(log, data, buffer), options.seconds)
            for max_bytes in (16 << 10, READ_BYTES):
                label = f"read {max_bytes >> 10} KiB anywhere, {name}"
                measure(label, reads(log, max_bytes, buffer), options.seconds)
            manager.close()
            hollow.close()


if __name__ == "__main__":
    main()
