"""Producers that commit offsets in transactions, and what may be seen of it.

Every commit has an offset of its own, so an offset that is seen tells which commit it is of.
"""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Protocol

from pykbroker.protocol.errors import ErrorCode
from tests.harness.groups import ShardDriver, a_commit, a_txn_commit

PRODUCERS = range(1, 5)

Key = tuple[str, str, int]
"""Group, topic, partition."""


class World(Protocol):
    """What the producers see of the simulation."""

    random: Random
    driver: ShardDriver


class SimulatedTransactions:
    """A few producers, and a model of the offsets that they and others commit.

    Attributes:
        visible: What must be seen: the offset, and where in the log its record is.
        pending: The same by producer, for open transactions.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.visible: dict[Key, tuple[int, int]] = {}
        self.pending: dict[int, dict[Key, tuple[int, int]]] = {}
        self._offsets = count(1)
        self._checked_operations = -1

    def commit_plainly(
        self,
        topic: str,
        partition: int,
        *,
        group_id: str = "g",
        member_id: str = "",
        instance_id: str | None = None,
        generation_id: int = -1,
    ) -> ErrorCode:
        """Commit outside of transactions."""
        offset = next(self._offsets)
        request = a_commit(
            {(topic, partition): offset},
            group_id=group_id,
            member_id=member_id,
            instance_id=instance_id,
            generation_id=generation_id,
        )
        driver = self.world.driver
        if topic in driver.topics.topics:
            request.topics[0].topic_id = driver.topics.topics[topic].topic_id
        code = driver.commit(request)
        if code is ErrorCode.NONE:
            self.visible[group_id, topic, partition] = (offset, len(driver.log) - 1)
        return code

    def commit(
        self,
        topic: str,
        partition: int,
        *,
        group_id: str = "g",
        member_id: str = "",
        instance_id: str | None = None,
        generation_id: int = -1,
    ) -> ErrorCode:
        """Commit in the transaction of some producer."""
        offset, producer_id = next(self._offsets), self.world.random.choice(PRODUCERS)
        request = a_txn_commit(
            {(topic, partition): offset},
            producer_id=producer_id,
            group_id=group_id,
            member_id=member_id,
            instance_id=instance_id,
            generation_id=generation_id,
        )
        driver = self.world.driver
        code = driver.commit_in_transaction(request)
        if code is ErrorCode.NONE:
            pending = self.pending.setdefault(producer_id, {})
            pending[group_id, topic, partition] = (offset, len(driver.log) - 1)
        return code

    def commit_somehow(
        self,
        topic: str,
        partition: int,
        *,
        member_id: str,
        instance_id: str | None = None,
        generation_id: int,
    ) -> ErrorCode:
        """Commit for a member of group `g`, in a transaction or not."""
        commit = self.commit if self.world.random.random() < 0.5 else self.commit_plainly
        return commit(
            topic,
            partition,
            member_id=member_id,
            instance_id=instance_id,
            generation_id=generation_id,
        )

    def end(self) -> None:
        """End the transaction of some producer, who may have none, or none any more."""
        producer_id = self.world.random.choice(PRODUCERS)
        is_commit = self.world.random.random() < 0.5
        self.world.driver.end_transaction(producer_id, is_commit=is_commit)
        pending = self.pending.pop(producer_id, {})
        if is_commit:
            for key, committed in pending.items():
                if key not in self.visible or self.visible[key][1] < committed[1]:
                    self.visible[key] = committed

    def forget(self, key: Key) -> None:
        """A tombstone has been written."""
        self.visible.pop(key, None)
        for pending in self.pending.values():
            pending.pop(key, None)

    def forget_all(self, *, group_id: str | None = None, topic: str | None = None) -> None:
        """Tombstones have been written for a whole group, or topic."""
        for key in self.keys():
            if key[0] == group_id or key[1] == topic:
                self.forget(key)

    def notice_expiry(self) -> None:
        """Offsets may have gone, but none that an open transaction writes anew."""
        driver, unstable = self.world.driver, self.unstable()
        for key in self.keys() - unstable:
            if driver.shard.offsets.get(*key) is None:
                self.forget(key)

    def unstable(self) -> set[Key]:
        """What open transactions have committed for."""
        return {key for pending in self.pending.values() for key in pending}

    def keys(self) -> set[Key]:
        """Everything that has an offset, or will have if its transaction is committed."""
        return self.visible.keys() | self.unstable()

    def check(self) -> None:
        """What is seen is what was committed last, and who asks for it hears of what is pending."""
        driver = self.world.driver
        if driver.operations == self._checked_operations:
            return
        self._checked_operations = driver.operations
        unstable = self.unstable()
        seen: dict[Key, int] = {}
        asked: dict[str, dict[str, list[int]]] = {}
        for group_id, topics in driver.shard.offsets.by_group.items():
            partitions_of = asked.setdefault(group_id, {})
            for topic, partitions in topics.items():
                partitions_of[topic] = list(partitions)
                for partition, committed in partitions.items():
                    seen[group_id, topic, partition] = committed.offset
        assert seen == {key: offset for key, (offset, _) in self.visible.items()}
        for group_id, topic, partition in unstable - seen.keys():
            asked.setdefault(group_id, {}).setdefault(topic, []).append(partition)
        for group_id, partitions_of in asked.items():
            for told_topic in driver.fetch_many(partitions_of, group_id):
                for told in told_topic.partitions:
                    key = (group_id, told_topic.name, told.partition_index)
                    if key in unstable:
                        assert told.error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT
                    else:
                        assert told.error_code == ErrorCode.NONE
                        assert told.committed_offset == seen[key]
