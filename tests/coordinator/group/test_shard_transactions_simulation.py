"""Offsets that are committed in transactions and outside of them, deleted, and outlived.

Groups come and go with their offsets. At every step a coordinator that knows only the log has the
same state, and no offset is seen that is not committed.
"""

from __future__ import annotations

import contextlib
from random import Random

import pytest

from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from tests.harness.consumer_groups import topic_id, topics
from tests.harness.groups import ShardDriver, replay
from tests.harness.simulated_transactions import Key, SimulatedTransactions
from tests.harness.simulation import replayable, seeds

STEPS = 300
RETENTION_MS = 20_000


class World:
    """A coordinator of simple groups, whoever commits to them, and a replica that only replays."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.driver = ShardDriver(GroupSettings(offsets_retention_ms=RETENTION_MS))
        self.driver.topics = topics(t=3, u=3)
        self.transactions = SimulatedTransactions(self)
        self.replica = ShardDriver().shard
        self.replayed = 0

    def step(self) -> None:
        random, event = self.random, self.random.random()
        group_id, topic, partition = random.choice("gh"), random.choice("tu"), random.randrange(3)
        if event < 0.35:
            self.transactions.commit(topic, partition, group_id=group_id)
        elif event < 0.50:
            self.transactions.commit_plainly(topic, partition, group_id=group_id)
        elif event < 0.75:
            self.transactions.end()
        elif event < 0.80:
            self.delete_offset((group_id, topic, partition))
        elif event < 0.83:
            self.driver.run(lambda step: self.driver.shard.delete_groups(step, [group_id]))
            self.transactions.forget_all(group_id=group_id)
        elif event < 0.86:
            deleted = [(topic, topic_id(topic))]
            self.driver.run(lambda step: self.driver.shard.forget_topics(step, deleted))
            self.transactions.forget_all(topic=topic)
        elif event < 0.92:
            self.driver.advance(random.choice([100, 5_000, RETENTION_MS]))
            self.driver.run(self.driver.shard.expire_offsets)
            self.transactions.notice_expiry()
        elif event < 0.96:
            self.driver.failing_appends = ErrorCode.NOT_COORDINATOR
        else:
            self.driver = self.driver.restarted()

    def delete_offset(self, key: Key) -> None:
        group_id, topic, partition = key
        request = OffsetDeleteRequest(
            group_id=group_id,
            topics=[OffsetDeleteRequestTopic(topic, [OffsetDeleteRequestPartition(partition)])],
        )
        try:
            self.driver.run(lambda step: self.driver.shard.delete_offsets(step, request))
        except KafkaError as error:
            if error.code is not ErrorCode.GROUP_ID_NOT_FOUND:
                raise
        else:
            self.transactions.forget(key)

    def check(self) -> None:
        self.transactions.check()
        shard = self.driver.shard
        replay(self.replica, self.driver.log[self.replayed :], self.driver.now_ms, self.replayed)
        self.replayed = len(self.driver.log)
        assert self.replica.offsets == shard.offsets
        assert self.replica.groups.keys() == shard.groups.keys()
        assert {key[0] for key in self.transactions.visible} <= shard.groups.keys()


@pytest.mark.parametrize("seed", seeds(12))
def test_only_what_is_committed_is_seen_and_a_restart_sees_the_same(seed: int) -> None:
    with replayable(seed, __file__):
        world = World(seed)
        for _ in range(STEPS):
            with contextlib.suppress(KafkaError):  # the append that was to fail
                world.step()
            world.check()
        assert world.driver.restarted().shard.offsets == world.driver.shard.offsets
        for _ in range(60):
            world.transactions.end()
            world.check()
        assert world.driver.shard.offsets.pending == {}
        assert world.driver.shard.offsets.pending_producers == {}
