"""Speed of the record walk, of reading records and of building batches.

    python -m compat.bench.records [--seconds 0.3]

Prints the best of several runs in microseconds of the processor per record. The check is what the
broker does for every record that is produced; reading and building only where a batch must be
looked into: lookups by timestamp, a change of codec, the coordinators' own records. "same size" is
what most benchmarks produce. The first line says whether compiled code checks them; Python checks
records of the same size by columns, others one by one.
"""

import argparse
from collections.abc import Callable
from functools import partial
from random import Random
from time import process_time
from timeit import Timer
from typing import Final

from pykbroker.protocol.compiled import RECORDS_CHECKED_BY
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record

RUNS: Final = 7
LIMIT_BYTES: Final = 100_000_000
NOW_MS: Final = 1_700_000_000_000


def records_of(count: int, value_bytes: tuple[int, int], headers: int) -> list[Record]:
    """Records with values of a size in the range, some of them in each millisecond."""
    random = Random(1)
    return [
        Record(
            offset=index,
            timestamp=NOW_MS + index // 5,
            key=b"key-%08d" % index,
            value=random.randbytes(random.randint(*value_bytes)),
            headers=tuple((f"header-{number}", b"value") for number in range(headers)),
        )
        for index in range(count)
    ]


def read_all(batch: RecordBatch) -> list[Record]:
    return list(batch.records(LIMIT_BYTES))


def best_us(run: Callable[[], object], seconds: float, per: int) -> float:
    """The least processor time of a call in several runs, divided by the number of records."""
    timer = Timer(run, timer=process_time)
    number, _ = timer.autorange()
    repetitions = max(1, int(seconds / RUNS / max(timer.timeit(number), 1e-9))) * number
    return min(timer.repeat(RUNS, repetitions)) / repetitions / per * 1e6


CASES: Final = {
    "16 KB batch, 150 x 100 B, same size": (150, (100, 100), 0, Codec.NONE),
    "16 KB batch, 150 x 100 B, mixed sizes": (150, (50, 150), 0, Codec.NONE),
    "1 MB batch, 9000 x 100 B, same size": (9000, (100, 100), 0, Codec.NONE),
    "1 MB batch, 9000 x 100 B, mixed sizes": (9000, (50, 150), 0, Codec.NONE),
    "1 MB batch, 1000 x 1 KB, mixed sizes": (1000, (500, 1500), 0, Codec.NONE),
    "16 KB batch, 150 x 100 B, 2 headers": (150, (100, 100), 2, Codec.NONE),
    "150 x 100 B, gzip": (150, (100, 100), 0, Codec.GZIP),
    "150 x 100 B, snappy": (150, (100, 100), 0, Codec.SNAPPY),
    "150 x 100 B, lz4": (150, (100, 100), 0, Codec.LZ4),
    "150 x 100 B, zstd": (150, (100, 100), 0, Codec.ZSTD),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=0.3, help="time for each measurement")
    seconds: float = parser.parse_args().seconds

    print(f"records checked_by={RECORDS_CHECKED_BY}")
    print(f"{'us per record':40} {'check':>8} {'read':>8} {'build':>8}")
    for name, (count, value_bytes, headers, codec) in CASES.items():
        records = records_of(count, value_bytes, headers)
        batch = RecordBatch.parse(build_batch(records, codec=codec))
        check = best_us(partial(batch.check_records, LIMIT_BYTES), seconds, count)
        read = best_us(partial(read_all, batch), seconds, count)
        build = best_us(partial(build_batch, records, codec=codec), seconds, count)
        print(f"{name:40} {check:8.3f} {read:8.2f} {build:8.2f}", flush=True)

    batch = RecordBatch.parse(build_batch(records_of(150, (100, 100), 0)))
    print(f"\n{'us per batch of 16 KB':40}")
    parse = best_us(partial(RecordBatch.parse, batch.data), seconds, 1)
    crc = best_us(batch.is_crc_valid, seconds, 1)
    assign = best_us(partial(batch.assign, 7, 3), seconds, 1)
    for name, time_us in (("parse the header", parse), ("checksum", crc), ("assign", assign)):
        print(f"{name:40} {time_us:8.2f}")


if __name__ == "__main__":
    main()
