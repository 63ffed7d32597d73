"""What groups cost a broker: commits, heartbeats, and the load of committed offsets at a start.

    python -m compat.bench.groups [--seconds 10] [--runs 3] [--target kafka]

- Commits of one offset each, 64 to 128 open on each of ten connections, without fsync
  (`pykbroker.fsync=never`; Kafka has none). A second of the broker's processor is what counts.
- 500 groups of four members, each with a heartbeat a second on a connection of its own.
- 100,000 offsets, of 1,000 groups and 100 partitions, committed 100 at a time or one at a time;
  the broker is stopped and started: from the start of the process until all of them can be read.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from compat.bench.machine import cpu_seconds, create_topic, describe, run_load, two_cpus
from compat.targets import MEASURED_TARGETS, Target, TargetUnavailable

TOPIC: Final = "committed"
PARTITIONS: Final = 100
GROUPS: Final = 1000
COMMITTERS: Final = 10
ALIVE: Final = {"groups": 500, "members": 4, "interval_s": 1.0}
SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "pykbroker": {"pykbroker.fsync": "never"},
    "kafka": {},
}
BARS: Final[Mapping[str, tuple[str, Callable[[float], bool]]]] = {
    "commits": (">= 5,000", lambda value: value >= 5_000),
    "heartbeats": ("< 30", lambda value: value < 30),
    "load": ("< 2", lambda value: value < 2),
}

Cpus = tuple[str, str] | None


def commits(target: Target, seconds: float, cpus: Cpus) -> float:
    """Commits for each second of the broker's processor."""
    settings = {"topic": TOPIC, "groups": COMMITTERS, "seconds": seconds, "warm_up_s": 1.0}
    found = run_load(target, "commit_offsets", settings, cpus)
    return found["requests"] / found["broker_cpu_s"]


def heartbeats(target: Target, seconds: float, cpus: Cpus) -> float:
    """Percent of a processor that the broker needs when each member has its heartbeat."""
    found = run_load(target, "heartbeats", {**ALIVE, "seconds": seconds}, cpus)
    # On a busy machine some are left out, which must not look cheaper.
    a_second = found["members"] / ALIVE["interval_s"]
    return found["broker_cpu_s"] / found["requests"] * a_second * 100


def load(target: Target, cpus: Cpus) -> tuple[float, float]:
    """Seconds until all offsets can be read, and of the broker's processor until then."""
    target.stop()
    started = time.perf_counter()
    target.restart()
    run_load(target, "await_offsets", {"topic": TOPIC, "groups": GROUPS}, cpus)
    return time.perf_counter() - started, cpu_seconds(target.pid)


def measure(name: str, options: argparse.Namespace, cpus: Cpus) -> None:
    """Print the rows of one broker."""

    def new_target() -> Target:
        return MEASURED_TARGETS[name](SETTINGS[name], cpus=cpus[0] if cpus else None)

    with new_target() as target:
        create_topic(target.address, TOPIC, PARTITIONS)
        commits(target, options.seconds, cpus)
        rates = [commits(target, options.seconds, cpus) for _ in range(options.runs)]
        _row(name, "offset commits for each second of a processor", rates, "commits")
        shares = [heartbeats(target, options.seconds, cpus) for _ in range(options.runs)]
        _row(name, "500 groups of 4, a heartbeat a second: % of a processor", shares, "heartbeats")
    for per_request in (PARTITIONS, 1):
        with new_target() as target:
            create_topic(target.address, TOPIC, PARTITIONS)
            settings = {
                "topic": TOPIC,
                "groups": GROUPS,
                "partitions": PARTITIONS,
                "per_request": per_request,
            }
            run_load(target, "fill_offsets", settings, cpus)
            found = [load(target, cpus) for _ in range(options.runs)]
            what = f"start with 100,000 offsets, {per_request} a commit: "
            _row(name, f"{what}seconds", [seconds for seconds, _ in found], "load")
            _row(name, f"{what}processor seconds", [cpu for _, cpu in found], "load")


def _row(name: str, what: str, values: Iterable[float], bar: str) -> None:
    ordered = sorted(values)
    median = statistics.median(ordered)
    limit, is_met = BARS[bar]
    verdict = "yes" if is_met(median) else "NO"
    shown = f"{median:,.4g} ({ordered[0]:,.4g}-{ordered[-1]:,.4g})"
    print(f"| {what} | {name} | {shown} | {limit} | {verdict} |", flush=True)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--target", choices=sorted(MEASURED_TARGETS), action="append")
    options = parser.parse_args()
    cpus = two_cpus()
    print(describe(cpus))
    print("| | broker | median (lowest-highest) | bar | met |")
    print("|---|---|---|---|---|")
    for name in options.target or MEASURED_TARGETS:
        try:
            measure(name, options, cpus)
        except TargetUnavailable as reason:
            print(f"{name}: left out, {reason}")


if __name__ == "__main__":
    main()
