"""A power cut on a real file system: what acks=all has confirmed is on the disk.

At random moments the broker stands still and the image of its file system is copied as the device
has it (`loop_disk`). The copy is mounted, and another broker starts on it.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from compat.durability.loop_disk import DiskUnavailable, LoopDisk
from compat.targets import PykbrokerTarget, Target

pytest.importorskip("confluent_kafka")

from confluent_kafka.admin import AdminClient, NewTopic

from compat.durability import oracle
from compat.durability.load import (
    QUIET,
    Committer,
    Place,
    Sender,
    Sent,
    committed_offsets,
    read_all,
)
from compat.durability.round_trip import round_trip

CUTS = 6
LONGEST_LIFE_S = 1.5
PARTITIONS = 3
GROUP = "committers"
DURABLE_LOG, CACHED_LOG, PROBE = "durable", "cached", "probe"
SMALL_SEGMENTS = {"internal.segment.bytes": "20000"}
SETTINGS = {
    "offsets.topic.num.partitions": "3",
    "log.flush.offset.checkpoint.interval.ms": "700",
}
DURABLE = [(DURABLE_LOG, number) for number in range(PARTITIONS)]
CACHED = [(CACHED_LOG, number) for number in range(PARTITIONS)]


@pytest.fixture
def resources(target_class: type[Target]) -> Iterator[ExitStack]:
    """Undoes everything, brokers before the disks that they are on."""
    if target_class is not PykbrokerTarget:
        pytest.skip("Apache Kafka does not promise that acks=all is on the disk")
    with ExitStack() as stack:
        yield stack


class Machine:
    """A broker on a disk of its own, the clients that write to it, and what they were promised."""

    def __init__(self, resources: ExitStack, directory: Path, fsync: str) -> None:
        self._resources = resources
        self._directory = directory
        self._settings = {**SETTINGS, "pykbroker.fsync": fsync}
        self.disk = LoopDisk(directory, "disk")
        resources.callback(self.disk.close)
        try:
            self.disk.format()
            self.disk.mount()
        except DiskUnavailable as reason:
            pytest.skip(str(reason))
        self.broker = self._broker_on(self.disk, resources)
        self.admin = AdminClient({"bootstrap.servers": self.broker.address, **QUIET})
        self.topics: list[str] = []
        for topic in (DURABLE_LOG, CACHED_LOG, PROBE):
            self.create(topic)
        self.disk.sync()
        address = self.broker.address
        self.durable = [
            Sender(address, "once", DURABLE_LOG, PARTITIONS, idempotent=True),
            Sender(address, "all", DURABLE_LOG, PARTITIONS),
        ]
        self.cached = Sender(address, "leader", CACHED_LOG, PARTITIONS, acks="1")
        self.committer = Committer(address, GROUP, DURABLE_LOG)

    def create(self, topic: str) -> None:
        """Create a topic, of which the broker may not lose the name nor a setting."""
        new = NewTopic(topic, PARTITIONS, config=SMALL_SEGMENTS)
        self.admin.create_topics([new])[topic].result(timeout=60)
        self.topics.append(topic)

    def stand_still(self) -> None:
        """SIGSTOP, and wait until no thread is in the middle of a system call."""
        os.kill(self.broker.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while any(state != "T" for state in _thread_states(self.broker.pid)):
            assert time.monotonic() < deadline, "the broker does not stand still"
            time.sleep(0.005)
        # What it had sent is still on its way to the clients.
        time.sleep(0.1)

    def go_on(self) -> None:
        os.kill(self.broker.pid, signal.SIGCONT)

    def after_power_cut(self, number: int, stack: ExitStack) -> Target:
        """Another broker, on what a power cut would have left at this moment."""
        disk = LoopDisk(self._directory, f"copy-{number}")
        stack.callback(disk.close)
        self.disk.copy(disk)
        disk.mount()
        return self._broker_on(disk, stack)

    def finish(self) -> None:
        for sender in (*self.durable, self.cached):
            sender.finish()
        self.committer.finish()

    def _broker_on(self, disk: LoopDisk, stack: ExitStack) -> Target:
        broker = PykbrokerTarget(self._settings)
        broker.data_dir = disk.mount_point / "data"
        return stack.enter_context(broker)


def test_what_acks_all_has_confirmed_survives_a_power_cut(
    resources: ExitStack, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    random = Random(request.config.getoption("--seed"))
    machine = Machine(resources, tmp_path, "always")
    lost_of_cache = []
    cuts = request.config.getoption("--rounds") or CUTS
    for number in range(cuts):
        time.sleep(random.uniform(0.1, LONGEST_LIFE_S))
        machine.create(f"made-{number}")
        time.sleep(random.uniform(0.0, 0.1))
        machine.stand_still()
        with ExitStack() as stack:
            lost_of_cache.append(_check(machine, machine.after_power_cut(number, stack)))
        machine.go_on()
    machine.finish()

    print(
        f"{cuts} power cuts; of {sum(len(each.confirmed) for each in machine.durable)} records "
        f"with acks=all none was lost; of those with acks=1 each cut took {lost_of_cache}"
    )


def test_without_fsync_a_power_cut_takes_what_was_confirmed(
    resources: ExitStack, tmp_path: Path
) -> None:
    """The proof that this set-up can see a loss."""
    machine = Machine(resources, tmp_path, "never")
    time.sleep(1.0)
    machine.stand_still()
    with ExitStack() as stack:
        copy = machine.after_power_cut(0, stack)
        found, ranges = read_all(copy.address, DURABLE)
        confirmed = _confirmed(machine.durable)
        lost = list(oracle.lost(confirmed, found, {each: low for each, (low, _) in ranges.items()}))
    machine.go_on()
    machine.finish()

    print(f"without fsync a power cut takes {len(lost)} of {len(confirmed)} records")
    assert lost


def _check(machine: Machine, copy: Target) -> int:
    """Hold the broker on a copy to what the other one has promised.

    Returns:
        How many records that acks=1 has confirmed are lost.
    """
    confirmed = _confirmed(machine.durable)
    cached = _confirmed([machine.cached])
    found, ranges = read_all(copy.address, [*DURABLE, *CACHED])
    starts = {partition: start for partition, (start, _) in ranges.items()}
    wrong = list(oracle.lost(confirmed, found, starts))
    wrong += oracle.gaps(found, ranges)
    wrong += [f"{partition} starts at {start}" for partition, start in starts.items() if start]
    for sender in (*machine.durable, machine.cached):
        wrong += sender.failures
        wrong += oracle.disorder(found, sender)
    # acks=1 may lose the end, but nothing in the middle, and nothing may come in its place.
    wrong += oracle.changed(cached, found)
    committed = committed_offsets(copy.address, GROUP, DURABLE_LOG, PARTITIONS)
    for partition, offset in machine.committer.confirmed.items():
        if committed.get(partition, -1) < offset:
            wrong.append(f"{partition} has committed {committed.get(partition)}, not {offset}")
    topics = (
        AdminClient({"bootstrap.servers": copy.address, **QUIET}).list_topics(timeout=60).topics
    )
    wrong += [f"there is no topic {name}" for name in machine.topics if name not in topics]
    assert not wrong, f"{len(wrong)} broken promises:\n" + "\n".join(wrong[:20])
    round_trip(copy.address, PROBE)
    return sum(place not in found for place in cached)


def _confirmed(senders: list[Sender]) -> dict[Place, Sent]:
    return {place: sent for sender in senders for place, sent in sender.confirmed.copy().items()}


def _thread_states(pid: int) -> list[str]:
    """The state of each thread of a process, a letter each."""
    paths = Path(f"/proc/{pid}/task").glob("*/stat")
    return [path.read_text().rpartition(")")[2].split()[0] for path in paths]
