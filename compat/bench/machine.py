"""What the benchmarks share: processors, loads in a process of their own, figures of a process."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from compat.targets import COMPAT_DIR, Target

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def two_cpus() -> tuple[str, str] | None:
    """A processor for the broker and another one for the load, where that can be had."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2 or shutil.which("taskset") is None:
        return None
    return str(cpus[0]), str(cpus[1])


def describe(cpus: tuple[str, str] | None) -> str:
    """One line about the machine."""
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    where = f"broker on {cpus[0]}, load on {cpus[1]}" if cpus else "nothing is pinned"
    return f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}; {where}"


def create_topic(target: Target, topic: str, partitions: int = 1, **configs: str) -> None:
    admin = AdminClient({"bootstrap.servers": target.address})
    wanted = NewTopic(topic, partitions, config=configs)
    admin.create_topics([wanted])[topic].result(timeout=60)


def run_load(
    target: Target, load: str, settings: Mapping[str, object], cpus: tuple[str, str] | None
) -> dict[str, float]:
    """Run one of `compat.bench.load` and give what it has printed."""
    command = ["taskset", "-c", cpus[1]] if cpus is not None else []
    command += [sys.executable, "-m", "compat.bench.load", load, target.address]
    done = subprocess.run(
        [*command, json.dumps(settings)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=COMPAT_DIR.parent,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    return _status_kb(pid, "VmRSS") / 1024


def peak_rss_mb(pid: int) -> float:
    """The most resident memory that a process has had."""
    return _status_kb(pid, "VmHWM") / 1024


def open_descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _status_kb(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1])
