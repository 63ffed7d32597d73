"""`python -m compat.bench`: our broker beside Apache Kafka, in one run on one machine.

The brokers share one processor, of which each has all while it is measured: the others are stopped
(SIGSTOP). The load has another processor. The runs of a row alternate between the brokers.
"""

import argparse
import os
import re
import shlex
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from compat.bench.contestants import Contestant, Spec, other_spec, target_spec
from compat.bench.figures import Report
from compat.bench.machine import LoadError, LoadProcess, describe, two_cpus
from compat.bench.rows import FULL, QUICK, Plan, Row, all_rows
from compat.bench.runner import Runner
from compat.bench.table import bars_table, figures_table, head
from compat.targets import MEASURED_TARGETS, TREE_ENV, TargetUnavailable
from pykbroker.client import ClientError
from pykbroker.protocol.errors import KafkaError


def main() -> None:
    options = _parser().parse_args()
    plan = QUICK if options.quick else FULL
    plan = replace(plan, runs=options.runs) if options.runs else plan
    rows = [
        row
        for row in all_rows(plan)
        if not options.only or any(re.search(only, row.name) for only in options.only)
    ]
    if options.list:
        print("\n".join(row.name for row in rows))
        return
    specs = [*(options.target or map(target_spec, MEASURED_TARGETS)), *options.other]
    started = time.monotonic()
    report = measure(plan, specs, rows)
    print(f"measured in {(time.monotonic() - started) / 60:.1f} minutes")
    if options.json is not None:
        report.write(options.json)
    print()
    print("\n".join(head(report)), end="\n\n")
    print("\n".join(figures_table(report)))
    if report.has_bars:
        print("\n" + "\n".join(bars_table(report)))
    if report.failed:
        sys.exit(f"failed: {', '.join(report.failed)}")


def measure(plan: Plan, specs: list[Spec], rows: list[Row]) -> Report:
    """Start the brokers and measure all rows."""
    cpus = two_cpus()
    command = shlex.join(["python", "-m", "compat.bench", *sys.argv[1:]])
    if tree := os.environ.get(TREE_ENV):
        command = f"{TREE_ENV}={shlex.quote(tree)} {command}"
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    report = Report(command, date, describe(cpus), plan.runs, [])
    with ExitStack() as stack:
        contestants = []
        for spec in specs:
            contestant = Contestant(spec, cpus[0] if cpus else None)
            stack.callback(contestant.close)
            try:
                contestant.start()
            except TargetUnavailable as reason:
                print(f"{spec.name}: left out, {reason}")
                continue
            contestants.append(contestant)
            report.brokers.append(spec.broker)
        load = stack.enter_context(LoadProcess(cpus[1] if cpus else None))
        runner = Runner(plan, contestants, report, load, lambda line: print(line, flush=True))
        runner.warm_up()
        for row in rows:
            try:
                runner.measure(row)
            except (LoadError, KafkaError, ClientError) as error:
                # The other rows are worth their time all the same.
                print(f"{row.name}: FAILED, {error}", flush=True)
                report.failed.append(row.name)
    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compat.bench", description=__doc__)
    parser.add_argument(
        *("--target", "-t"),
        action="append",
        type=target_spec,
        metavar="NAME[=TREE]",
        help="pykbroker, kafka, or NAME=TREE for another checkout of pykbroker; the first one "
        "is compared with kafka, or else with the second",
    )
    parser.add_argument(
        "--other",
        action="append",
        default=[],
        type=other_spec,
        metavar="NAME=HOST:PORT,PID",
        help="a broker that runs already; it is pinned as ours is",
    )
    parser.add_argument("--only", action="append", metavar="PATTERN", help="rows by name")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--runs", type=int, help="of each row")
    parser.add_argument("--quick", action="store_true", help="one short run of everything")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


if __name__ == "__main__":
    main()
