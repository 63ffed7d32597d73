"""Where the broker's microseconds go under one load: `python -m compat.bench.profile produce`.

A broker of ours gets the load of one row of `compat.bench`, first unwatched, which tells what a
request costs it; then py-spy looks at its stack five hundred times a second from outside. The time
of system calls and of libraries in C counts for the Python function that has called them.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from compat.bench.contestants import Contestant, Spec, target_spec
from compat.bench.figures import Report
from compat.bench.machine import LoadProcess, describe, kernel_share, two_cpus
from compat.bench.rows import FULL, Row, all_rows
from compat.bench.runner import Runner

PATHS: Final[Mapping[str, str]] = {
    "produce": "produce 100 B in batches of 16 KB, acks=1",
    "produce-small": "produce 100 B in batches of 1 KB, acks=1",
    "produce-large": "produce 100 B in batches of 1 MB, acks=1",
    "produce-all": "produce 100 B in batches of 1 KB, acks=all",
    "produce-fifty": "produce 100 B to 50 partitions a request, 1 KB each, acks=1",
    "connections": "produce 1 KB batches, acks=1, one open on each of 100 connections",
    "many-connections": "produce 1 KB batches, acks=1, one open on each of 1,000 connections",
    "fetch": "fetch 16 KB, hot",
    "fetch-large": "fetch 1 MB, hot",
    "fetch-cold": "fetch 16 KB, cold",
    "sync": "sync produce 100 B, acks=1",
    "sync-all": "sync produce 100 B, acks=all",
    "end-to-end": "end to end 100 B, acks=1",
    "small": "small request, Metadata of one topic",
    "rebalance": "rebalance of a classic group of 50",
    "join": "join to stable, consumer group of 50",
    "transactions": "transactions of 1 x 100 B, 1 at once",
    "transactions-ten": "transactions of 100 x 100 B, 10 at once",
}
SAMPLES_A_SECOND: Final = 500
SHOWN: Final = 25
"""Functions that are printed; the rest is small."""

WAITING: Final = ("_worker (concurrent/futures/thread.py", "FlushThreads._run (")
"""Threads without work, which py-spy takes for busy ones while the broker stands still."""
WAITING_IN_C: Final = "_queue_SimpleQueue_get ("
"""What they wait in, where --native looks further."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request has cost the broker while nobody watched it."""

    us: float
    kernel_share: float


def record(row: Row, spec: Spec, seconds: int, native: bool) -> tuple[list[str], Cost]:
    """The collapsed stacks of a broker under the load of a row, and what a request costs."""
    cpus = two_cpus()
    plan = replace(FULL, runs=1, seconds=(seconds + 2.0) / row.longer, warm_up_rounds=1)
    report = Report("", "", describe(cpus), 1, [spec.broker])
    contestant = Contestant(spec, cpus[0] if cpus else None)
    with (
        closing(contestant),
        LoadProcess(cpus[1] if cpus else None) as load,
        tempfile.TemporaryDirectory(prefix="profile-") as directory,
    ):
        contestant.start()
        runner = Runner(plan, [contestant], report, load, print)
        runner.warm_up()
        with contestant.awake():
            runner.prepare(contestant, row, row.topic)
            _, before = kernel_share(contestant.pid)
            found = runner.run_once(contestant, row, row.topic)
            share, _ = kernel_share(contestant.pid, before)
            output = Path(directory) / "stacks"
            watch = _watch(contestant.pid, seconds, output, native)
            runner.run_once(contestant, row, row.topic)
            _, errors = watch.communicate()
        if watch.returncode != 0:
            sys.exit(f"py-spy: {errors}")
        cost = Cost(found["broker_cpu_s"] / found["requests"] * 1e6, share)
        return output.read_text().splitlines(), cost


def _watch(pid: int, seconds: int, output: Path, native: bool) -> "subprocess.Popen[str]":
    command = ["py-spy", "record", "--format", "raw", "--function", "--output", str(output)]
    command += ["--rate", str(SAMPLES_A_SECOND), "--duration", str(seconds), "--pid", str(pid)]
    # The broker stands still for each look: without that py-spy sees stacks that never were.
    command += ["--native"] if native else []
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def table(stacks: list[str], cost_us: float, most: int = SHOWN) -> Iterator[str]:
    """The functions that take longest themselves, and what they take with all that they call."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in stacks:
        stack, _, samples = line.rpartition(" ")
        functions = stack.split(";")
        if functions[-1].startswith(WAITING) or f";{WAITING_IN_C}" in stack:
            continue
        own[functions[-1]] += int(samples)
        for function in set(functions):
            whole[function] += int(samples)
    scale = cost_us / own.total()
    yield "| function | itself, us | with what it calls, us |"
    yield "| --- | --- | --- |"
    for function, count in own.most_common(most):
        yield f"| `{function}` | {count * scale:.1f} | {whole[function] * scale:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", choices=sorted(PATHS))
    parser.add_argument("--tree", type=target_spec, help="NAME=TREE for another checkout")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--lines", type=int, default=SHOWN, help="functions to print")
    parser.add_argument("--native", action="store_true", help="functions of libraries in C too")
    parser.add_argument("--output", type=Path, help="also write the collapsed stacks there")
    options = parser.parse_args()
    if shutil.which("py-spy") is None:
        sys.exit("py-spy is not installed: pip install 'pykbroker[bench]'")
    (row,) = (row for row in all_rows(FULL) if row.name == PATHS[options.path])
    spec = options.tree or target_spec("pykbroker")
    stacks, cost = record(row, spec, options.seconds, options.native)
    if options.output is not None:
        options.output.write_text("\n".join(stacks) + "\n")
    print(
        f"{row.name}: {cost.us:.0f} us of the broker's processor a request, "
        f"{cost.kernel_share:.0%} of them in the kernel\n"
    )
    print("\n".join(table(stacks, cost.us, options.lines)))


if __name__ == "__main__":
    main()
