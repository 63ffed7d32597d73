"""The brokers that are compared: ours, Apache Kafka, other trees of ours, running strangers."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compat.bench.figures import Broker
from compat.bench.machine import rss_mb
from compat.targets import (
    KAFKA_VERSION,
    MEASURED_TARGETS,
    KafkaTarget,
    PykbrokerTarget,
    Target,
    is_compiled,
    pykbroker_tree,
)
from pykbroker import __version__

SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    # What is deleted between two rows is to be gone soon; default 60 s.
    "pykbroker": {"log.segment.delete.delay.ms": "200"},
    "kafka": {
        "log.segment.delete.delay.ms": "200",
        # A stopped broker must not be expelled by its own controller.
        "broker.session.timeout.ms": "3600000",
    },
}
OURS: Final = "acks=1 from the page cache; acks=all after an fsync"
NO_FSYNC: Final = "acks=1 and acks=all from the page cache; after an fsync with flush.messages=1"
IDLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Spec:
    """A broker as the command line names it."""

    name: str
    kind: str
    """`pykbroker`, `kafka`, or `other`."""
    tree: Path | None = None
    address: str = ""
    pid: int = 0

    @property
    def fsyncs_acks_all(self) -> bool:
        return self.kind == "pykbroker"

    @property
    def broker(self) -> Broker:
        version = {"pykbroker": __version__, "kafka": KAFKA_VERSION}.get(self.kind, "")
        version = f"of {self.tree}" if self.tree is not None else version
        if self.kind == "pykbroker" and is_compiled(self.tree or pykbroker_tree()):
            version += " as installed, compiled"
        return Broker(self.name, version, OURS if self.fsyncs_acks_all else NO_FSYNC)


def target_spec(text: str) -> Spec:
    """`pykbroker`, `kafka`, or NAME=TREE for a checkout of ours.

    Raises:
        ValueError: It is none of these.
    """
    name, equals, tree = text.partition("=")
    if not equals:
        if name not in MEASURED_TARGETS:
            raise ValueError(f"{name} is none of {', '.join(MEASURED_TARGETS)}, and has no =TREE")
        return Spec(name, name)
    path = Path(tree).resolve()
    if not (path / "pykbroker" / "cli.py").exists():
        raise ValueError(f"{tree} is no checkout of pykbroker")
    return Spec(name, "pykbroker", tree=path)


def other_spec(text: str) -> Spec:
    """NAME=HOST:PORT,PID for a broker that runs already.

    Raises:
        ValueError: It does not have this form.
    """
    name, equals, rest = text.partition("=")
    address, comma, pid = rest.rpartition(",")
    if not (name and equals and comma and ":" in address and pid.isdecimal()):
        raise ValueError(f"{text} is not NAME=HOST:PORT,PID")
    return Spec(name, "other", address=address, pid=int(pid))


class Contestant:
    """One broker in the comparison. What was started here runs only while it is measured."""

    def __init__(self, spec: Spec, cpu: str | None) -> None:
        """Args:
        cpu: The processor for the broker; None = all.
        """
        self.spec = spec
        self.name = spec.name
        self._cpu = cpu
        self._target: Target | None = None
        if spec.kind == "other" and cpu is not None:
            for thread in os.listdir(f"/proc/{spec.pid}/task"):
                os.sched_setaffinity(int(thread), {int(cpu)})

    @property
    def address(self) -> str:
        return self._target.address if self._target is not None else self.spec.address

    @property
    def pid(self) -> int:
        return self._target.pid if self._target is not None else self.spec.pid

    def start(self) -> None:
        """Start a broker of ours on an empty directory and leave it stopped."""
        if self.spec.kind != "other":
            self._target = self.new_target()
            self._target.start()
            os.kill(self.pid, signal.SIGSTOP)

    def close(self) -> None:
        if self._target is not None:
            self._target.close()

    def new_target(self) -> Target:
        """A broker of this kind that was not started."""
        settings = SETTINGS[self.spec.kind]
        if self.spec.kind == "pykbroker":
            return PykbrokerTarget(settings, cpus=self._cpu, tree=self.spec.tree)
        return MEASURED_TARGETS[self.spec.kind](settings, cpus=self._cpu)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run in this block; the others of ours are stopped (SIGSTOP) meanwhile."""
        if self._target is None:
            yield
            return
        os.kill(self.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGSTOP)

    def directory_of(self, topic: str) -> Path | None:
        """Where partition 0 of a topic lies, if that can be known."""
        return self._target.data_dir / f"{topic}-0" if self._target is not None else None

    def await_deletion(self, topic: str) -> None:
        """Return when the files of a deleted topic are gone."""
        if self._target is None:
            return
        deadline = time.monotonic() + 20
        while list(self._target.data_dir.glob(f"{topic}-*")) and time.monotonic() < deadline:
            time.sleep(0.05)


def started_once(contestant: Contestant) -> dict[str, float]:
    """Start a new broker of this kind beside the others, which are stopped, and end it."""
    target = contestant.new_target()
    if isinstance(target, KafkaTarget):
        # Its storage is formatted by another process, which is not part of a start.
        target.format()
    try:
        begun = time.perf_counter()
        target.start()
        seconds = time.perf_counter() - begun
        time.sleep(IDLE_SECONDS)
        return {"seconds": seconds, "rss_mb": rss_mb(target.pid)}
    finally:
        target.close()
