"""One group with members of both protocols, that changes its own as they come and go (KIP-848).

What holds for consumer groups holds whenever it is one; in the end every partition has exactly one
consumer, whichever protocol the group has then.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.kinds import AnyGroup
from pykbroker.coordinator.group.state import GroupState
from tests.coordinator.group.test_shard_consumer_simulation import World, hard_state
from tests.harness.simulated_classic_members import SimulatedClassicMember
from tests.harness.simulated_consumers import SimulatedConsumer
from tests.harness.simulation import replayable, seeds

STEPS = 250


class MixedWorld(World):
    """Half of the clients speak the one protocol, half the other."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.clients = self.clients[:6]
        # Who is one too many cannot tell that from a group that may not change.
        consumer = replace(self.driver.settings.consumer, max_size=100)
        self.driver.settings = replace(self.driver.settings, consumer=consumer)
        is_cooperative = self.random.random() < 0.5
        self.elders = [
            SimulatedClassicMember(self, f"e{number}", is_cooperative=is_cooperative)
            for number in range(len(self.clients))
        ]
        for elder in self.elders[::2]:
            elder.start(list(self.partition_counts))
        for client in self.clients:
            client.crash()

    @property
    def everybody(self) -> list[SimulatedClassicMember | SimulatedConsumer]:
        return [*self.clients, *self.elders]

    def step(self) -> None:
        if self.random.random() < 0.4:
            super().step()
            return
        random, event = self.random, self.random.random()
        elder = random.choice(self.elders)
        if event < 0.75:
            for other in random.sample(self.elders, len(self.elders)):
                if random.random() < 0.8:
                    other.act()
        elif event < 0.84:
            if not elder.is_running:
                elder.start(list(self.partition_counts))
        elif event < 0.88:
            elder.crash()
        elif event < 0.92:
            elder.leave()
        elif event < 0.96:
            elder.is_stalled = elder.is_running and not elder.is_stalled
        else:
            elder.lose_connection()

    def change_topics(self) -> None:
        """Topics stay: a classic leader would have to look out for them."""

    def restart(self) -> None:
        super().restart()
        for elder in self.elders:
            elder.lose_connection()

    def check_group(self, group: AnyGroup | None, *, is_new: bool) -> None:
        replica = self.replica.groups.get("g")
        assert type(group) is type(replica) or isinstance(group, ClassicGroup)
        if not isinstance(group, ConsumerGroup):
            # An empty group of the other protocol gives way to a new one.
            self.epochs = {}
            return
        super().check_group(group, is_new=is_new)
        for elder in self.elders:
            member = group.members.get(elder.member_id)
            # After two changes of protocol in a row a member may have an old generation: its
            # commits and its next heartbeat are refused.
            is_current = member is not None and member.member_epoch == elder.generation_id
            if is_current and elder.may_consume:
                owners = {group.owners.get(partition) for partition in elder.owned}
                assert owners <= {elder.member_id}

    def settle(self) -> None:
        self.is_fair = True
        self.driver.failing_appends = None
        for client in self.everybody:
            client.is_stalled = False
        self.act_until_quiet(self.everybody, within_ms=200_000)

    def check_settled(self) -> None:
        running = [client for client in self.everybody if client.is_running]
        self.check_owned(running)
        group = self.driver.shard.groups.get("g")
        if isinstance(group, ConsumerGroup):
            assert set(group.members) == {client.member_id for client in running}
            assert hard_state(self.driver.restarted().consumer_group()) == hard_state(group)
        elif group is not None:
            assert not any(client.is_running for client in self.clients)
            assert group.state is (GroupState.STABLE if running else GroupState.EMPTY)


@pytest.mark.parametrize("seed", seeds(10))
def test_a_group_of_both_protocols_stays_sound_and_settles(seed: int) -> None:
    with replayable(seed, __file__):
        world = MixedWorld(seed)
        for _ in range(STEPS):
            world.step()
            world.check()
        world.settle()
        world.check_settled()
