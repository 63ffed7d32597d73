"""Group commit at work: acks=all with more and more producers, and the fsyncs that it takes.

    python -m compat.bench.group_commit [--seconds 5] [--runs 3]

Each producer has a socket and one request of one record open at a time. The broker and the load
have a processor each; each row is the median of the runs, after one that does not count.
"""

import argparse
import os
import statistics
import time

from compat.bench.counted import CountedTarget
from compat.bench.machine import create_topic, describe, run_load, two_cpus

RECORD_BYTES = 100
# (producers, partitions that they share)
ROWS = ((1, 1), (10, 1), (100, 1), (10, 10), (100, 10))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each run")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    cpus = two_cpus()
    print(describe(cpus))
    print("acks=all, answered after an fsync; one record of 100 B in each request")
    print(f"median of {options.runs} runs")
    with CountedTarget(cpus=cpus[0] if cpus else None) as target:
        print(f"a bare fsync of 100 B more in a file there: {_bare_fsync_us(target):,.0f} us\n")
        print(
            "| producers | partitions | records/s | fsyncs/s | records an fsync | p50 ms | p99 ms |"
        )
        print("|---|---|---|---|---|---|---|")
        for producers, partitions in ROWS:
            topic = f"commits-{producers}-{partitions}"
            create_topic(target.address, topic, partitions)
            rows = []
            for number in range(options.runs + 1):
                row = _measure(target, topic, producers, partitions, options.seconds, cpus)
                if number:
                    rows.append(row)
            records, fsyncs, p50, p99 = map(statistics.median, zip(*rows, strict=True))
            print(
                f"| {producers} | {partitions} | {records:,.0f} | {fsyncs:,.0f} "
                f"| {records / fsyncs:.1f} | {p50 / 1000:.2f} | {p99 / 1000:.2f} |",
                flush=True,
            )


def _measure(
    target: CountedTarget,
    topic: str,
    producers: int,
    partitions: int,
    seconds: float,
    cpus: tuple[str, str] | None,
) -> tuple[float, float, float, float]:
    """Records and fsyncs a second, p50 and p99 in microseconds."""
    before = target.fsyncs
    settings = {
        "topic": topic,
        "record_bytes": RECORD_BYTES,
        "batch_bytes": 1,
        "acks": -1,
        "connections": producers,
        "partitions": partitions,
        "seconds": seconds,
    }
    found = run_load(target, "concurrent", settings, cpus)
    fsyncs = target.fsyncs - before
    elapsed = found["seconds"]
    return found["records"] / elapsed, fsyncs / elapsed, found["p50_us"], found["p99_us"]


def _bare_fsync_us(target: CountedTarget) -> float:
    """What the disk costs without a broker: the median of some fsyncs of a growing file."""
    path = target.directory / "probe"
    times = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(RECORD_BYTES))
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    main()
