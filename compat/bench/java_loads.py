"""Loads by Apache Kafka's own perf tools, which report the speed that they have seen."""

import re
import subprocess
import uuid

from compat.bench.meter import Reading
from compat.targets import TargetUnavailable, kafka_libs

_PRODUCED = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec .*?, (\d+) ms 50th, .*", re.M)
HEAP = "-Xmx512m"


def java_produce(
    address: str, pid: int, *, topic: str, record_bytes: int, records: int
) -> dict[str, float]:
    """ProducerPerformance with acks=1; the tool's own seconds, without the JVM's start."""
    options = ["--topic", topic, "--num-records", str(records), "--throughput", "-1"]
    options += ["--record-size", str(record_bytes)]
    options += ["--bootstrap-server", address]
    options += ["--command-property", "acks=1", "linger.ms=5", "batch.size=65536"]
    first = Reading.now(pid)
    output = _tool("org.apache.kafka.tools.ProducerPerformance", options)
    last = Reading.now(pid)
    found = _PRODUCED.findall(output)
    assert found, output
    sent, rate, _ = found[-1]
    assert int(sent) == records, output
    usage = first.until(last)
    return {
        **usage,
        "seconds": records / float(rate),
        "records": records,
        "bytes": records * record_bytes,
    }


def java_consume(
    address: str, pid: int, *, topic: str, record_bytes: int, records: int
) -> dict[str, float]:
    """ConsumerPerformance from the beginning; the seconds of its fetches."""
    options = ["--bootstrap-server", address, "--topic", topic, "--num-records", str(records)]
    # A group of its own in each run: one that was there before reads only what it has left.
    options += ["--group", f"bench-java-{uuid.uuid4()}", "--timeout", "30000"]
    first = Reading.now(pid)
    output = _tool("org.apache.kafka.tools.ConsumerPerformance", options)
    last = Reading.now(pid)
    names, values = ([cell.strip() for cell in line.split(",")] for line in _rows(output))
    assert len(names) == len(values), output
    row = dict(zip(names, values, strict=True))
    return {
        **first.until(last),
        "seconds": float(row["fetch.time.ms"]) / 1000,
        "records": records,
        "bytes": records * record_bytes,
    }


def _rows(output: str) -> list[str]:
    """The two lines of the consumer tool: names of columns and figures."""
    lines = output.strip().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("start.time"))
    return lines[start : start + 2]


def _tool(main_class: str, options: list[str]) -> str:
    try:
        libs = kafka_libs()
    except TargetUnavailable as reason:
        raise AssertionError(reason) from reason
    command = ["java", HEAP, "-cp", f"{libs}/*", main_class, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
