"""`python -m compat.bench`: our broker beside Apache Kafka, in one run on one machine.

The broker is pinned to one processor, the load runs on another, in a process of its own. Each
figure is the median of the runs, with the lowest and the highest of them.
"""

import argparse
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from compat.bench.machine import cpu_seconds, create_topic, describe, rss_mb, run_load, two_cpus
from compat.targets import TARGETS, KafkaTarget, Target, TargetUnavailable

DURABILITY = {
    "pykbroker": "acks=1: page cache; acks=all: answered after an fsync",
    "kafka": "acks=1 and acks=all: page cache; the 'fsync' row is a topic with flush.messages=1",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    runs: int
    small_records: int
    large_records: int
    requests: int


FULL = Plan(runs=3, small_records=3_000_000, large_records=500_000, requests=4_000)
QUICK = Plan(runs=1, small_records=500_000, large_records=100_000, requests=1_000)


@dataclass(slots=True)
class Results:
    """Figures of one broker: row -> one value of each run."""

    name: str
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, row: str, value: float) -> None:
        self.figures.setdefault(row, []).append(value)

    def text(self, row: str) -> str:
        values = self.figures.get(row)
        if not values:
            return "-"
        middle, low, high = statistics.median(values), min(values), max(values)
        return f"{_number(middle)} ({_number(low)}-{_number(high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


class Bench:
    """Measures one kind of broker."""

    def __init__(self, target_class: type[Target], plan: Plan, cpus: tuple[str, str] | None):
        self.plan = plan
        self.results = Results(target_class.name)
        self._target_class = target_class
        self._broker_cpu = cpus[0] if cpus else None
        self._cpus = cpus

    def run(self) -> Results:
        """Start the broker some times, then put each load on one of them."""
        for _ in range(self.plan.runs):
            with self._started() as target:
                self.results.add("start, s", self._start_seconds)
                self.results.add("RSS idle, MB", rss_mb(target.pid))
        with self._started() as target:
            self._latencies(target)
        with self._started() as target:
            self._throughput(target, 100, self.plan.small_records, "100 B")
            self._throughput(target, 1000, self.plan.large_records, "1 KB")
            self.results.add("RSS loaded, MB", rss_mb(target.pid))
        return self.results

    def _started(self) -> Target:
        target = self._target_class(cpus=self._broker_cpu)
        if isinstance(target, KafkaTarget):
            target.format()
        started = time.perf_counter()
        target.start()
        self._start_seconds = time.perf_counter() - started
        # `with` starts a target, and a started one stays as it is.
        return target

    def _latencies(self, target: Target) -> None:
        create_topic(target, "latency")
        create_topic(target, "latency-fsync", 1, **{"flush.messages": "1"})
        rows: Sequence[tuple[str, str, dict[str, object]]] = (
            ("sync acks=1", "latency", {"topic": "latency", "acks": 1}),
            ("sync acks=all, fsync", "latency", {"topic": "latency-fsync", "acks": -1}),
            ("sync acks=1, confluent-kafka", "latency_confluent", {"topic": "latency"}),
        )
        for row, load, settings in rows:
            for _ in range(self.plan.runs):
                size = {"size": 100, "requests": self.plan.requests}
                found = self._load(target, load, {**settings, **size})
                self.results.add(f"{row}, p50 us", found["p50_us"])
                self.results.add(f"{row}, p99 us", found["p99_us"])

    def _throughput(self, target: Target, size: int, records: int, label: str) -> None:
        topic = f"records-{size}"
        create_topic(target, topic)
        produced = {"topic": topic, "size": size, "records": records}
        # One run more than is counted: the first one warms up compilers and caches.
        for number in range(self.plan.runs + 1):
            self._measure(target, f"produce {label}", "produce", produced, size, number > 0)
        consumed = {"topic": topic, "records": records}
        loads = {
            f"consume {label}, kcat": "consume",
            f"consume {label}, confluent-kafka": "consume_confluent",
            f"fetch {label}, bare socket": "fetch",
        }
        for row, load in loads.items():
            if load == "consume" and shutil.which("kcat") is None:
                continue
            for number in range(self.plan.runs + 1):
                self._measure(target, row, load, consumed, size, number > 0)

    def _measure(
        self,
        target: Target,
        row: str,
        load: str,
        settings: Mapping[str, object],
        size: int,
        counts: bool,
    ) -> None:
        cpu_before = cpu_seconds(target.pid)
        found = self._load(target, load, settings)
        if not counts:
            return
        cpu = cpu_seconds(target.pid) - cpu_before
        gigabytes = found["records"] * size / 1e9
        self.results.add(f"{row}, records/s", found["records"] / found["seconds"])
        self.results.add(f"{row}, MB/s", gigabytes * 1000 / found["seconds"])
        self.results.add(f"{row}, CPU s/GB", cpu / gigabytes)

    def _load(self, target: Target, load: str, settings: Mapping[str, object]) -> dict[str, float]:
        return run_load(target, load, settings, self._cpus)


def print_report(all_results: Sequence[Results], write: Callable[[str], object]) -> None:
    """A Markdown table with a column for each broker."""
    rows = list(dict.fromkeys(row for results in all_results for row in results.figures))
    write("| " + " | ".join(["", *(results.name for results in all_results)]) + " |")
    write("|---" * (len(all_results) + 1) + "|")
    for row in rows:
        cells = [results.text(row) for results in all_results]
        write("| " + " | ".join([row, *cells]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compat.bench", description=__doc__)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--quick", action="store_true", help="one short run of everything")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    cpus = two_cpus()
    print(describe(cpus))
    print(f"median of {plan.runs} runs (lowest-highest)")
    all_results = []
    for name in arguments.target or list(TARGETS):
        try:
            all_results.append(Bench(TARGETS[name], plan, cpus).run())
        except TargetUnavailable as reason:
            print(f"{name}: left out, {reason}")
            continue
        print(f"{name}: {DURABILITY[name]}", flush=True)
    print()
    print_report(all_results, print)


if __name__ == "__main__":
    main()
