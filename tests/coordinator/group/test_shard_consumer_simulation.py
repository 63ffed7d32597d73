"""Consumer groups whose members join, leave, crash, stall and come back, on a stepped clock.

Requests and answers are lost or late, topics come, grow and go, appends fail, the coordinator is
restarted. After every step: no partition has two members, nobody who is a member consumes what is
not its own, epochs only grow, and who replays the log has the same group. In the end everybody
behaves, and soon every partition has exactly one consumer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random

import pytest

from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup, ConsumerGroupState
from pykbroker.coordinator.group.consumer.member import STATIC_LEAVE_EPOCH, ConsumerMember
from pykbroker.coordinator.group.consumer.settings import (
    ConsumerGroupSettings,
    ConsumerGroupTimes,
)
from pykbroker.coordinator.group.kinds import AnyGroup
from pykbroker.coordinator.group.shard import GroupShard
from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.protocol.errors import ErrorCode
from tests.harness.consumer_groups import a_driver, topic_id, topics
from tests.harness.groups import replay
from tests.harness.simulated_classic_members import SimulatedClassicMember
from tests.harness.simulated_consumers import (
    REQUEST_TIMEOUT_MS,
    Partition,
    SimulatedConsumer,
)
from tests.harness.simulated_transactions import SimulatedTransactions
from tests.harness.simulation import replayable, seeds

SESSION_MS = 45_000
HEARTBEAT_MS = 5_000
ASSIGNMENT_INTERVALS_MS = [0, 1_000, 10_000]
# A session to end, a client to find its place free, and some heartbeats until all have settled.
SETTLED_WITHIN_MS = 2 * SESSION_MS + 12 * HEARTBEAT_MS
# No timer is longer than a session, and everybody has been heard meanwhile: nothing will change.
QUIET_MS = SESSION_MS + HEARTBEAT_MS
# Who waited for an answer that was lost has asked again, and the next assignment has come.
NEARLY_QUIET_MS = max(REQUEST_TIMEOUT_MS, *ASSIGNMENT_INTERVALS_MS) + HEARTBEAT_MS


class World:
    """A coordinator, its topics, its clients, and what must hold at any time."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.is_fair = False
        self.new_ids: Iterator[int] = count(1)
        size = random.choice([2, 4, 8, 8, 8, 20, 20, 200])
        self.step_count = 60 if size == 200 else 250
        self.partition_counts = {"t1": random.randint(1, 10), "u1": random.randint(0, 3 * size)}
        self.driver = a_driver(random_settings(random, size), **self.partition_counts)
        self.transactions = SimulatedTransactions(self)
        self.clients = [SimulatedConsumer(self, f"c{number}") for number in range(size)]
        for client in self.clients[: size // 2]:
            client.start(list(self.partition_counts))
        self.replica = GroupShard(lambda: "")
        self.replayed = 0
        self.checked_operations = -1
        self.epochs: dict[str, int] = {}

    def step(self) -> None:
        random, event = self.random, self.random.random()
        client = random.choice(self.clients)
        if event < 0.55:
            for other in random.sample(self.clients, len(self.clients)):
                if random.random() < 0.8:
                    other.act()
        elif event < 0.80:
            self.driver.advance(random.choice([0, 100, 1_000, 5_000, 12_000]))
        elif event < 0.86:
            if not client.is_running:
                client.start(list(self.partition_counts))
        elif event < 0.88:
            client.crash()
        elif event < 0.90:
            client.leave()
        elif event < 0.92:
            client.is_stalled = client.is_running and not client.is_stalled
        elif event < 0.94:
            client.lose_connection()
        elif event < 0.96:
            client.subscribe(list(self.partition_counts))
        elif event < 0.975:
            self.change_topics()
        elif event < 0.99:
            self.driver.failing_appends = ErrorCode.NOT_COORDINATOR
        else:
            self.restart()
        self.commit(random.choice(self.clients))
        if random.random() < 0.2:
            self.transactions.end()

    def change_topics(self) -> None:
        random, counts = self.random, self.partition_counts
        kind = random.random()
        if kind < 0.4 or not counts:
            # A name does not come back: it makes the topic's id here.
            counts[f"{random.choice('tu')}{next(self.new_ids)}"] = random.randint(1, 6)
        elif kind < 0.8:
            counts[random.choice(sorted(counts))] += random.randint(1, 4)
        else:
            del counts[random.choice(sorted(counts))]
        self.driver.topics = topics(**counts)
        self.driver.shard.topics_changed(has_new=True)

    def restart(self) -> None:
        self.driver = self.driver.restarted()
        for client in self.clients:
            client.lose_connection()

    def commit(self, client: SimulatedConsumer) -> None:
        """A commit that is accepted is that of the partition's owner, even by one who stalled."""
        committed = client.commit()
        if committed is not None and committed[0] is ErrorCode.NONE:
            assert self.driver.consumer_group().owners[committed[1]] == client.member_id

    # What must hold

    def check(self) -> None:
        is_new = self.driver.operations != self.checked_operations
        self.checked_operations = self.driver.operations
        if is_new:
            self.replicate()
        self.check_group(self.driver.shard.groups.get("g"), is_new=is_new)

    def check_group(self, group: AnyGroup | None, *, is_new: bool) -> None:
        """Check it as a whole if an operation may have changed it, and what clients make of it."""
        if group is None:
            return
        assert isinstance(group, ConsumerGroup)
        if is_new:
            self.check_owners(group)
            self.check_epochs(group)
            self.check_replica(group)
        for client in self.clients:
            if client.owned and client.may_consume and client.member_id in group.members:
                owners = {group.owners.get(partition) for partition in client.owned}
                assert owners == {client.member_id}

    def check_owners(self, group: ConsumerGroup) -> None:
        owned = [
            (partition, member.member_id)
            for member in group.members.values()
            for partition in partitions_of(member)
        ]
        owners = dict(owned)
        assert len(owners) == len(owned), f"a partition has two owners: {sorted(owned)}"
        assert group.owners == owners

    def check_epochs(self, group: ConsumerGroup) -> None:
        assert group.assignment_epoch <= group.group_epoch
        now = {member.member_id: member.member_epoch for member in group.members.values()}
        now |= {"group": group.group_epoch, "assignment": group.assignment_epoch}
        for name, epoch in now.items():
            before = self.epochs.get(name, 0)
            assert epoch >= before or epoch == STATIC_LEAVE_EPOCH, f"{name}: {before} -> {epoch}"
        self.epochs = now

    def replicate(self) -> None:
        replay(self.replica, self.driver.log[self.replayed :], self.driver.now_ms, self.replayed)
        self.replayed = len(self.driver.log)
        assert self.replica.offsets == self.driver.shard.offsets
        self.transactions.check()

    def check_replica(self, group: ConsumerGroup) -> None:
        replica = self.replica.groups["g"]
        assert isinstance(replica, ConsumerGroup)
        assert hard_state(replica) == hard_state(group)

    # The end

    def settle(self) -> None:
        """Let everybody do what the protocol wants, for as long as it may take."""
        self.is_fair = True
        self.driver.failing_appends = None
        for client in self.clients:
            client.is_stalled = False
        self.act_until_quiet(self.clients, SETTLED_WITHIN_MS)

    def act_until_quiet(
        self, clients: Sequence[SimulatedConsumer | SimulatedClassicMember], within_ms: int
    ) -> None:
        """Let the clients act and time go by until nothing will be written any more."""
        driver = self.driver
        end_ms, written_ms, written = driver.now_ms + within_ms, driver.now_ms, len(driver.log)
        while driver.now_ms < end_ms and not self.is_quiet(driver.now_ms - written_ms):
            for client in clients:
                client.act()
            self.check()
            driver.advance(1_000)
            if len(driver.log) > written:
                written_ms, written = driver.now_ms, len(driver.log)

    def is_quiet(self, unwritten_ms: int) -> bool:
        """Whether nobody has anything to write, who has not for so long."""
        if unwritten_ms <= NEARLY_QUIET_MS:
            return False
        # Only sessions end so late, and only of those who are heard of.
        late_ms = self.driver.now_ms + SESSION_MS - 2 * HEARTBEAT_MS
        is_late = all(due_ms > late_ms for due_ms in self.driver.timers.values())
        return is_late or unwritten_ms >= QUIET_MS

    def check_owned(self, running: Sequence[SimulatedConsumer | SimulatedClassicMember]) -> None:
        """Each partition that somebody wants has exactly one consumer."""
        wanted = [
            (topic_id(name), index)
            for name, partition_count in self.partition_counts.items()
            if any(client.wants(name) for client in running)
            for index in range(partition_count)
        ]
        assert sorted(p for client in running for p in client.owned) == sorted(wanted)

    def check_settled(self) -> None:
        running = [client for client in self.clients if client.is_running]
        self.check_owned(running)
        if "g" not in self.driver.shard.groups:
            assert not running
            return
        group = self.driver.consumer_group()
        assert set(group.members) == {client.member_id for client in running}
        state = ConsumerGroupState.STABLE if running else ConsumerGroupState.EMPTY
        assert group.state is state
        assert {client.epoch for client in running} <= {group.group_epoch}
        restarted = self.driver.restarted().consumer_group()
        assert hard_state(restarted) == hard_state(group)


def random_settings(random: Random, size: int) -> GroupSettings:
    return GroupSettings(
        consumer=ConsumerGroupSettings(
            max_size=random.choice([size, size, max(1, size - 2)]),
            assignors=random.choice([("uniform", "range"), ("range",)]),
            times=ConsumerGroupTimes(
                session_timeout_ms=SESSION_MS,
                heartbeat_interval_ms=HEARTBEAT_MS,
                assignment_interval_ms=random.choice(ASSIGNMENT_INTERVALS_MS),
            ),
        )
    )


def partitions_of(member: ConsumerMember) -> list[Partition]:
    return [
        (topic, index)
        for partitions in (member.assigned, member.pending_revocation)
        for topic, indexes in partitions.items()
        for index in indexes
    ]


def hard_state(group: ConsumerGroup) -> list[object]:
    return [
        group.group_epoch,
        group.metadata_hash,
        group.assignment_epoch,
        group.assignment_timestamp_ms,
        group.members,
        group.static_members,
        group.target,
        group.owners,
        group.resolved_regexes,
    ]


@pytest.mark.parametrize("seed", seeds(10))
def test_whatever_happens_no_partition_has_two_owners_and_all_get_one(seed: int) -> None:
    with replayable(seed, __file__):
        world = World(seed)
        for _ in range(world.step_count):
            world.step()
            world.check()
        world.settle()
        world.check_settled()
