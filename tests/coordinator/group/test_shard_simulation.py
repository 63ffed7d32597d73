"""Clients that join, leave, crash, stall and lose answers, on one thread and a stepped clock.

Everything random comes from the seed, which a failure names; see tests/harness/simulation.py.
"""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import pytest

from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import SESSION, GroupSettings
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.join_group import JoinGroupResponse
from pykbroker.protocol.messages.sync_group import SyncGroupResponse
from tests.harness.groups import ShardDriver, a_join
from tests.harness.simulated_transactions import SimulatedTransactions
from tests.harness.simulation import replayable, seeds

PARTITIONS = 12
CLIENTS = 8
STEPS = 250
SESSION_MS = 10_000
REBALANCE_MS = 15_000


class Client:
    """A consumer as the protocol wants it, but for what the simulation makes it do."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.instance_id = f"i-{name}" if world.random.random() < 0.4 else None
        self.version = world.random.choice([3, 8, 9])
        self.is_running = False
        self.member_id = ""
        self.generation_id = -1
        self.token: int | None = None
        self.owned: frozenset[int] = frozenset()

    def start(self) -> None:
        self.is_running = True
        self.member_id = ""
        self.forget_generation()

    def crash(self) -> None:
        self.is_running = False
        self.token = None
        self.forget_generation()

    def forget_generation(self) -> None:
        self.generation_id = -1
        self.owned = frozenset()

    def lose_answer(self) -> None:
        """Give up waiting; what was asked for must be asked again."""
        self.token = None
        self.forget_generation()

    def act(self) -> None:
        """Do what comes next: look for an answer, join, or show that it lives."""
        if self.token is not None:
            answer = self.world.driver.answers.get(self.token)
            if answer is not None:
                self.token = None
                self.receive(answer)
        elif self.generation_id < 0:
            self.join()
        else:
            self.beat()

    def join(self) -> None:
        request = a_join(
            member_id=self.member_id,
            instance_id=self.instance_id,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
        )
        self.token = self.world.driver.send_join(request, self.name, self.version)

    def receive(self, answer: Any) -> None:
        code = ErrorCode(answer.error_code)
        if code is ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = answer.member_id
        elif code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID):
            self.member_id = ""
            self.forget_generation()
        elif code is not ErrorCode.NONE:
            self.forget_generation()
        elif isinstance(answer, JoinGroupResponse):
            self.member_id = answer.member_id
            self.generation_id = answer.generation_id
            self.sync(answer)
        else:
            assert isinstance(answer, SyncGroupResponse)
            self.owned = frozenset(answer.assignment)

    def sync(self, joined: JoinGroupResponse) -> None:
        assignment: dict[str, bytes] = {}
        is_leader = joined.leader == self.member_id and not joined.skip_assignment
        if is_leader:
            members = sorted(member.member_id for member in joined.members)
            for index, member_id in enumerate(members):
                assignment[member_id] = bytes(range(index, PARTITIONS, len(members)))
        self.token = self.world.driver.send_sync(
            self.member_id,
            self.generation_id,
            assignment,
            instance_id=self.instance_id,
        )

    def beat(self) -> None:
        driver = self.world.driver
        code = driver.heartbeat(self.member_id, self.generation_id, self.instance_id)
        if code is ErrorCode.NONE:
            if self.owned and self.world.random.random() < 0.3:
                self.commit()
            return
        if code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID):
            self.member_id = ""
        self.forget_generation()

    def commit(self) -> None:
        self.world.transactions.commit_somehow(
            "t",
            min(self.owned),
            member_id=self.member_id,
            generation_id=self.generation_id,
            instance_id=self.instance_id,
        )

    def leave(self) -> None:
        with contextlib.suppress(KafkaError):
            self.world.driver.leave((self.member_id, self.instance_id))
        self.crash()


class World:
    """A coordinator, its clients, and what must hold at any time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        delay_ms = self.random.choice([0, 0, 3_000])
        max_size = self.random.choice([CLIENTS, CLIENTS, 5])
        settings = GroupSettings(initial_rebalance_delay_ms=delay_ms, max_size=max_size)
        self.driver = ShardDriver(settings)
        self.transactions = SimulatedTransactions(self)
        self.clients = [Client(self, f"c{n}") for n in range(CLIENTS)]
        self.newest_generation = 0

    def step(self) -> None:
        if self.random.random() < 0.2:
            self.transactions.end()
        event = self.random.random()
        client = self.random.choice(self.clients)
        if event < 0.60:
            for other in self.random.sample(self.clients, CLIENTS):
                if other.is_running and self.random.random() < 0.8:
                    other.act()
        elif event < 0.80:
            self.driver.advance(self.random.choice([0, 100, 1_000, 4_000]))
        elif event < 0.88:
            if not client.is_running:
                client.start()
        elif event < 0.90:
            client.crash()
        elif event < 0.94:
            client.lose_answer()
        elif event < 0.96:
            if client.is_running and client.member_id:
                client.leave()
        elif event < 0.98:
            self.driver.failing_appends = ErrorCode.NOT_COORDINATOR
        else:
            self.restart()

    def restart(self) -> None:
        self.driver = self.driver.restarted()
        for client in self.clients:
            if client.token is not None:
                client.lose_answer()

    def settle(self) -> None:
        """Let the clients do nothing but what the protocol wants, for long enough."""
        self.driver.failing_appends = None
        for _ in range(60):
            for client in self.clients:
                if client.is_running:
                    client.act()
            self.check()
            self.driver.advance(1_000)

    def check(self) -> None:
        self.transactions.check()
        self.check_parked()
        group = self.driver.classic_groups().get("g")
        if group is None:
            return
        members = group.members
        waiting = [m for m in members.values() if m.awaiting_join is not None]
        assert group.awaiting_join_count == len(waiting)
        assert group.leader_id in members if members else group.leader_id is None
        assert group.static_members == {
            m.group_instance_id: m.member_id for m in members.values() if m.is_static
        }
        assert not group.pending_joins & members.keys()
        assert group.pending_syncs <= members.keys()
        assert (group.state is GroupState.EMPTY) <= (not members)
        self.check_sessions()
        self.check_assignment()

    def check_parked(self) -> None:
        """Whoever has no answer is waited for by a member, and nobody else is."""
        held = [
            token
            for group in self.driver.classic_groups().values()
            for member in group.members.values()
            for token in (member.awaiting_join, member.awaiting_sync)
            if token is not None
        ]
        assert len(held) == len(set(held))
        assert not set(held) & self.driver.answers.keys()
        for client in self.clients:
            if client.token is not None:
                assert client.token in self.driver.answers or client.token in held

    def check_sessions(self) -> None:
        """A timer watches every member that is not excused, and nobody who is gone."""
        group = self.driver.group()
        watched = {key[2] for key in self.driver.timers if key[0] == SESSION}
        assert watched <= group.members.keys() | group.pending_joins
        assert {m.member_id for m in group.members.values() if not m.is_excused} <= watched
        assert group.pending_joins <= watched

    def check_assignment(self) -> None:
        """In the log each partition has exactly one owner, and so it has among the clients."""
        value = self.driver.group().persisted
        assert value is not None
        assert value.generation >= self.newest_generation
        self.newest_generation = value.generation
        owned = [index for member in value.members for index in member.assignment]
        assert sorted(owned) == (list(range(PARTITIONS)) if value.members else [])
        seen: set[tuple[int, int]] = set()
        for client in self.clients:
            claims = {(client.generation_id, index) for index in client.owned}
            is_current = client.member_id in self.driver.group().members
            if is_current:
                assert not claims & seen
                seen |= claims


@pytest.mark.parametrize("seed", seeds(12))
def test_whatever_happens_the_group_stays_sound_and_recovers(seed: int) -> None:
    with replayable(seed, __file__):
        play(World(seed))


def play(world: World) -> None:
    for _ in range(STEPS):
        world.step()
        world.check()
    successor = world.driver.restarted()
    assert successor.shard.offsets == world.driver.shard.offsets
    assert {name: group.persisted for name, group in successor.classic_groups().items()} == {
        name: group.persisted for name, group in world.driver.classic_groups().items()
    }

    world.settle()

    running = [client for client in world.clients if client.is_running]
    owned = sorted(index for client in running for index in client.owned)
    assert owned == (list(range(PARTITIONS)) if running else [])
    states = {group.state for group in world.driver.classic_groups().values()}
    assert states <= {GroupState.STABLE if running else GroupState.EMPTY}
