"""Speed of the message codec: what one request costs before and after its handler runs.

    python -m compat.bench.codec [--seconds 0.5]

Prints for each message the best of several runs in microseconds, the targets beside those that
have one, and what it costs to import the package in a fresh interpreter. All times are CPU time, so
that other work on the machine disturbs them less.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time
from timeit import Timer
from typing import Final

from pykbroker.protocol.messages import fetch, metadata, offset_commit, produce

RUNS: Final = 15
IMPORTS: Final = {
    "pykbroker": 100.0,
    "pykbroker.protocol.messages": 100.0,
    "pykbroker.protocol.messages.produce": 100.0,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure; the target is in microseconds."""

    name: str
    run: Callable[[], object]
    target_us: float | None = None


def produce_cases() -> list[Case]:
    """Produce v9 with one partition and 16 KiB of records, and its response."""
    request = produce.ProduceRequest(
        acks=-1,
        timeout_ms=30_000,
        topic_data=[
            produce.TopicProduceData(
                name="orders",
                partition_data=[produce.PartitionProduceData(records=bytes(16_384))],
            )
        ],
    )
    partition = produce.PartitionProduceResponse(base_offset=1234, log_start_offset=0)
    response = produce.ProduceResponse(
        responses=[produce.TopicProduceResponse(name="orders", partition_responses=[partition])]
    )
    frame = memoryview(b"".join(request.encode(9)))
    return [
        Case("Produce v9 request, decode", lambda: produce.ProduceRequest.decode(frame, 9), 5),
        Case("Produce v9 response, encode", lambda: response.encode(9), 4),
    ]


def fetch_cases() -> list[Case]:
    """Fetch v12 with one partition, and its response with 16 KiB of records."""
    partition = fetch.FetchPartition(partition=0, fetch_offset=1000, partition_max_bytes=1 << 20)
    request = fetch.FetchRequest(
        max_wait_ms=500,
        min_bytes=1,
        topics=[fetch.FetchTopic(topic="orders", partitions=[partition])],
    )
    data = fetch.PartitionData(high_watermark=2000, records=bytes(16_384))
    response = fetch.FetchResponse(
        responses=[fetch.FetchableTopicResponse(topic="orders", partitions=[data])]
    )
    frame = memoryview(b"".join(request.encode(12)))
    return [
        Case("Fetch v12 request, decode", lambda: fetch.FetchRequest.decode(frame, 12)),
        Case("Fetch v12 response, encode", lambda: response.encode(12)),
    ]


def other_cases() -> list[Case]:
    """OffsetCommit with ten partitions, Metadata with a hundred topics of ten partitions."""
    offsets = [
        offset_commit.OffsetCommitRequestPartition(partition_index=index, committed_offset=index)
        for index in range(10)
    ]
    commit = offset_commit.OffsetCommitRequest(
        group_id="workers",
        topics=[offset_commit.OffsetCommitRequestTopic(name="orders", partitions=offsets)],
    )
    partitions = [
        metadata.MetadataResponsePartition(
            partition_index=index, leader_id=1, replica_nodes=[1], isr_nodes=[1]
        )
        for index in range(10)
    ]
    topics = [
        metadata.MetadataResponseTopic(name=f"topic-{index}", partitions=partitions)
        for index in range(100)
    ]
    answer = metadata.MetadataResponse(topics=topics)
    frame = memoryview(b"".join(commit.encode(8)))
    return [
        Case(
            "OffsetCommit v8 request of 10 partitions, decode",
            lambda: offset_commit.OffsetCommitRequest.decode(frame, 8),
        ),
        Case("Metadata v12 response of 1000 partitions, encode", lambda: answer.encode(12)),
    ]


def best_us(run: Callable[[], object], seconds: float) -> float:
    """The best average of several runs that together take about so long, in CPU microseconds."""
    timer = Timer(run, timer=process_time)
    number, taken = timer.autorange()
    number = max(1, int(number * seconds / RUNS / taken))
    return min(timer.repeat(RUNS, number)) / number * 1e6


def import_ms(module: str) -> float:
    """What importing the module costs a fresh interpreter, in CPU milliseconds, best of five."""
    code = (
        "from time import process_time; start = process_time(); "
        f"import {module}; print(process_time() - start)"
    )
    command = [sys.executable, "-c", code]
    outputs = (subprocess.check_output(command, text=True) for _ in range(5))
    return min(float(output) for output in outputs) * 1000


def main() -> None:
    """Run all cases and print a line for each."""
    parser = argparse.ArgumentParser(description="Measure the message codec.")
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each case")
    options = parser.parse_args()
    started = perf_counter()
    for case in [*produce_cases(), *fetch_cases(), *other_cases()]:
        target = f"   target {case.target_us} us" if case.target_us else ""
        print(f"{case.name:<50}{best_us(case.run, options.seconds):9.2f} us{target}", flush=True)
    for module, target_ms in IMPORTS.items():
        print(f"{'import ' + module:<50}{import_ms(module):9.2f} ms   target {target_ms:.0f} ms")
    print(f"measured in {perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
