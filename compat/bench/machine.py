"""What the benchmarks share: processors, loads in a process of their own, figures of a process."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from compat.targets import COMPAT_DIR, Target
from pykbroker.client import LATEST, Client, check
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from pykbroker.protocol.messages.delete_topics import (
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)

TOPIC_TIMEOUT_MS = 60_000
NOT_READY_YET = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NOT_LEADER_OR_FOLLOWER)

_SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED of Linux


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
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} processors ({_cpu_model()}), "
        f"{memory:.0f} GB, load {load}; {where}"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def create_topic(address: str, topic: str, partitions: int = 1, **configs: str) -> None:
    """Create a topic and return when its partitions can be used."""
    wanted = CreatableTopic(
        name=topic,
        num_partitions=partitions,
        replication_factor=1,
        configs=[CreatableTopicConfig(name=name, value=value) for name, value in configs.items()],
    )
    request = CreateTopicsRequest(topics=[wanted], timeout_ms=TOPIC_TIMEOUT_MS)
    with Client(address, TOPIC_TIMEOUT_MS / 1000) as client:
        (created,) = client.call(request, CreateTopicsResponse).topics
        check(created.error_code, created.error_message)
        deadline = time.monotonic() + TOPIC_TIMEOUT_MS / 1000
        while True:
            try:
                # A topic is named, and its leader, a little before the leader knows of it.
                client.offsets(client.topic(topic), range(partitions), LATEST)
            except KafkaError as error:
                if error.code not in NOT_READY_YET or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return


def delete_topic(address: str, topic: str) -> None:
    """Delete a topic; its files go later."""
    request = DeleteTopicsRequest(
        topics=[DeleteTopicState(name=topic)], timeout_ms=TOPIC_TIMEOUT_MS
    )
    with Client(address, TOPIC_TIMEOUT_MS / 1000) as client:
        (deleted,) = client.call(request, DeleteTopicsResponse).responses
        check(deleted.error_code, deleted.error_message)


class LoadProcess:
    """A process for loads alone, on a processor of its own; see `load.py`."""

    def __init__(self, cpu: str | None) -> None:
        command = ["taskset", "-c", cpu] if cpu is not None else []
        command += [sys.executable, "-m", "compat.bench.load"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=COMPAT_DIR.parent,
        )

    def run(
        self, load: str, address: str, pid: int, settings: Mapping[str, object]
    ) -> dict[str, float]:
        """Run one load and give what it has measured.

        Raises:
            LoadError: It has failed; the message has its traceback.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wanted = {"load": load, "address": address, "pid": pid, "settings": settings}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        found: dict[str, Any] = json.loads(answer) if answer else {"error": "it has ended"}
        if "error" in found:
            raise LoadError(f"{load} with {settings}: {found['error']}")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


class LoadError(Exception):
    """A load has failed."""


def run_load(
    target: Target, load: str, settings: Mapping[str, object], cpus: tuple[str, str] | None
) -> dict[str, float]:
    """Run one load in a process of its own."""
    with LoadProcess(cpus[1] if cpus is not None else None) as process:
        return process.run(load, target.address, target.pid, settings)


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
    """User and system time of all threads of a process, to the nanosecond."""
    # What clock_getcpuclockid() of the C library gives: the clock of that process.
    return time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK)


def kernel_share(pid: int, before: tuple[int, int] = (0, 0)) -> tuple[float, tuple[int, int]]:
    """The part of a process's time that it spent in the kernel since an earlier call."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    spent_user, spent_system = user - before[0], system - before[1]
    return spent_system / max(1, spent_user + spent_system), (user, system)


def disk_bytes_read(pid: int) -> int:
    """Bytes that a process has had read from disks, not from the page cache."""
    fields = Path(f"/proc/{pid}/io").read_text().split()
    return int(fields[fields.index("read_bytes:") + 1])


def drop_pages(path: Path) -> int:
    """Write a file to the disk and let the page cache forget it; gives its size."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return os.fstat(file.fileno()).st_size


def _status_kb(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1])
