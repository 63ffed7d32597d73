"""Where the broker's microseconds go under one load: `python -m compat.bench.profile produce`.

A broker of ours gets the load of one row of `compat.bench`, and py-spy looks at its stack a
thousand times a second from outside, functions in C and system calls included (--native). Printed
is the share of samples in each function itself, and with everything that it calls.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
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
    "fetch": "fetch 16 KB, hot",
    "fetch-large": "fetch 1 MB, hot",
    "fetch-cold": "fetch 16 KB, cold",
    "sync": "sync produce 100 B, acks=1",
    "sync-all": "sync produce 100 B, acks=all",
    "end-to-end": "end to end 100 B, acks=1",
    "small": "small request, Metadata of one topic",
}
SAMPLES_A_SECOND: Final = 1000
SHOWN: Final = 25
"""Functions that are printed; the rest is small."""
WAITING: Final = ("epoll_pwait (libc.so.6)", "epoll_wait (libc.so.6)")
UNNAMED: Final = re.compile(r"^0x[0-9a-f]+ \(")
"""A function of a library without symbols: all of them are one line of the table."""


def record(row: Row, spec: Spec, seconds: int) -> tuple[list[str], str]:
    """The collapsed stacks of a broker under the load of a row, and what a request has cost."""
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
        output = Path(directory) / "stacks"
        command = ["py-spy", "record", "--native", "--format", "raw", "--function"]
        command += ["--rate", str(SAMPLES_A_SECOND), "--duration", str(seconds)]
        with contestant.awake():
            runner.prepare(contestant, row, row.topic)
            watch = subprocess.Popen(
                [*command, "--output", str(output), "--pid", str(contestant.pid)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            _, before = kernel_share(contestant.pid)
            found = runner.run_once(contestant, row, row.topic)
            share, _ = kernel_share(contestant.pid, before)
            _, errors = watch.communicate()
        if watch.returncode != 0:
            sys.exit(f"py-spy: {errors}")
        cost = found["broker_cpu_s"] / found["requests"] * 1e6
        return output.read_text().splitlines(), (
            f"{cost:.0f} us of the broker's processor a request, the watching included; "
            f"{share:.0%} of it in the kernel"
        )


def table(stacks: list[str], most: int = SHOWN) -> Iterator[str]:
    """The functions with the most samples of their own, with those of what they call."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in stacks:
        stack, _, samples = line.rpartition(" ")
        functions = [UNNAMED.sub("(", function) for function in stack.split(";")]
        own[functions[-1]] += int(samples)
        for function in set(functions):
            whole[function] += int(samples)
    idle = sum(own.pop(function, 0) for function in WAITING)
    total = own.total()
    yield f"{idle * 100 / (total + idle):.0f} % of the time in epoll or idle; of the rest:"
    yield ""
    yield "| function | itself, % | with what it calls, % |"
    yield "| --- | --- | --- |"
    for function, count in own.most_common(most):
        yield f"| `{function}` | {count * 100 / total:.1f} | {whole[function] * 100 / total:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", choices=sorted(PATHS))
    parser.add_argument("--tree", type=target_spec, help="NAME=TREE for another checkout")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--lines", type=int, default=SHOWN, help="functions to print")
    parser.add_argument("--output", type=Path, help="also write the collapsed stacks there")
    options = parser.parse_args()
    if shutil.which("py-spy") is None:
        sys.exit("py-spy is not installed: pip install 'pykbroker[bench]'")
    (row,) = (row for row in all_rows(FULL) if row.name == PATHS[options.path])
    stacks, cost = record(row, options.tree or target_spec("pykbroker"), options.seconds)
    if options.output is not None:
        options.output.write_text("\n".join(stacks) + "\n")
    print(f"{row.name}: {cost}")
    print("\n".join(table(stacks, options.lines)))


if __name__ == "__main__":
    main()
