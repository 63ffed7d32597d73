"""Members of consumer groups (KIP-848) as clients implement them, on a network with faults.

What such a client does is what Kafka's Java consumer does: one heartbeat at a time, everything in
it after an answer was missed, new partitions only when those to be let go have been, and a report
of what it has whenever that has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Protocol

from pykbroker.coordinator.group.consumer.checks import check_request
from pykbroker.coordinator.group.step import Caller
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from tests.harness.groups import ShardDriver
from tests.harness.simulated_transactions import SimulatedTransactions

REBALANCE_MS = 30_000
REQUEST_TIMEOUT_MS = 15_000
NEVER_MS = 1 << 60
# How long a client needs to let partitions go; one is too slow, one never manages.
REVOCATION_MS = [0] * 6 + [500] * 4 + [6_000] * 2 + [REBALANCE_MS + 5_000, NEVER_MS]
REJOINING = {
    ErrorCode.FENCED_MEMBER_EPOCH,
    ErrorCode.UNKNOWN_MEMBER_ID,
    ErrorCode.GROUP_ID_NOT_FOUND,
}
GIVING_UP = {ErrorCode.FENCED_INSTANCE_ID, ErrorCode.GROUP_MAX_SIZE_REACHED}

Partition = tuple[bytes, int]


class World(Protocol):
    """What a client sees of the simulation."""

    random: Random
    driver: ShardDriver
    transactions: SimulatedTransactions
    is_fair: bool
    new_ids: Iterator[int]


@dataclass
class Pending:
    """A request on its way; `answer` comes at `due_ms`, or never."""

    sent_ms: int
    due_ms: int
    answer: ConsumerGroupHeartbeatResponse | KafkaError | None


def send(world: World, request: ConsumerGroupHeartbeatRequest, version: int) -> Pending:
    """Send a heartbeat; the request or its answer may be lost, and the answer may be late."""
    driver, now_ms = world.driver, world.driver.now_ms
    fate = 1.0 if world.is_fair else world.random.random()
    if fate < 0.03:
        return Pending(now_ms, NEVER_MS, None)
    answer: ConsumerGroupHeartbeatResponse | KafkaError
    try:
        check_request(request, version, driver.settings.consumer)
        caller = Caller("c", "/127.0.0.1", version)
        answer = driver.run(lambda step: driver.shard.consumer_heartbeat(step, request, caller))
    except KafkaError as error:
        answer = error
    if fate < 0.07:
        return Pending(now_ms, NEVER_MS, answer)
    late_ms = world.random.choice([100, 2_000, 10_000]) if fate < 0.2 else 0
    return Pending(now_ms, now_ms + late_ms, answer)


class SimulatedConsumer:
    """One client. `owned` is what it consumes; nothing while it stalls."""

    def __init__(self, world: World, name: str) -> None:
        self._waits_for: Pending | None = None
        self.world = world
        self.name = name
        random = world.random
        self.instance_id = f"i-{name}" if random.random() < 0.3 else None
        self.version = random.choice([0, 1, 1])
        self.is_running = False
        self.is_stalled = False
        self.names: list[str] | None = []
        self.regex: str | None = None
        self._start(())

    @property
    def may_consume(self) -> bool:
        """Whether it consumes what it has."""
        return self.is_running and not self.is_stalled

    # What happens to it

    def start(self, topics: list[str]) -> None:
        """Begin a life as a new member, with a subscription to some of the topics."""
        self._start(topics)
        self.is_running = True

    def subscribe(self, topics: list[str]) -> None:
        """Change the subscription."""
        self._choose(topics)
        self._says_all = True

    def crash(self) -> None:
        """End without a word."""
        self.is_running = self.is_stalled = False
        self._forget()
        self._waits_for = None

    def leave(self) -> None:
        """End properly: stop consuming, then say so."""
        self._forget_partitions()
        if self.epoch > 0:
            is_absent = self.instance_id is not None and self.world.random.random() < 0.7
            request = ConsumerGroupHeartbeatRequest(
                group_id="g",
                member_id=self.member_id,
                member_epoch=-2 if is_absent else -1,
                instance_id=self.instance_id,
            )
            send(self.world, request, self.version)
        self.crash()

    def lose_connection(self) -> None:
        """Give up waiting for an answer."""
        if self._waits_for is not None:
            self._waits_for = None
            self._says_all = True

    # What it does

    def act(self) -> None:
        """Look for an answer, let go and take on partitions, and send a heartbeat when due."""
        if not self.is_running or self.is_stalled:
            return
        now_ms = self.world.driver.now_ms
        pending = self._waits_for
        if pending is not None and now_ms >= pending.due_ms:
            self._waits_for = None
            assert pending.answer is not None
            self._receive(pending.answer)
        elif pending is not None and now_ms >= pending.sent_ms + REQUEST_TIMEOUT_MS:
            self.lose_connection()
        self._reconcile()
        is_due = self._has_changed or self._says_all or now_ms >= self._next_beat_ms
        if self.is_running and self._waits_for is None and is_due:
            self._beat()

    def commit(self) -> tuple[ErrorCode, Partition] | None:
        """Commit an offset of a partition that it consumes; says how it went and which."""
        if not self.owned or self.epoch <= 0:
            return None
        topic_id, index = self.world.random.choice(sorted(self.owned))
        code = self.world.transactions.commit_somehow(
            topic_id.rstrip(b"-").decode(),
            index,
            member_id=self.member_id,
            generation_id=self.epoch,
        )
        return code, (topic_id, index)

    def wants(self, topic: str) -> bool:
        """Whether its subscription has the topic."""
        if self.names is not None:
            return topic in self.names
        return self.regex is not None and topic.startswith(self.regex.removesuffix(".*"))

    def _start(self, topics: list[str] | tuple[()]) -> None:
        self.member_id = f"{self.name}-{next(self.world.new_ids)}" if self.version else ""
        self._waits_for = None
        self._choose(list(topics))
        self._forget()

    def _choose(self, topics: list[str]) -> None:
        random = self.world.random
        self.names = self.regex = None
        if self.version and random.random() < 0.2:
            self.regex = random.choice(["t.*", "t1.*", ".*"])
        else:
            self.names = sorted(random.sample(topics, random.randint(0, len(topics))))

    def _forget(self) -> None:
        """Be a member no more: let everything go at once, and join anew."""
        self.epoch = 0
        self._says_all = True
        self._forget_partitions()

    def _forget_partitions(self) -> None:
        self.owned: frozenset[Partition] = frozenset()
        self._target: frozenset[Partition] = frozenset()
        self._letting_go: frozenset[Partition] = frozenset()
        self._let_go_ms = 0
        self._has_changed = False
        self._next_beat_ms = 0

    def _receive(self, answer: ConsumerGroupHeartbeatResponse | KafkaError) -> None:
        if isinstance(answer, KafkaError):
            if answer.code in REJOINING:
                self._forget()
            elif answer.code in GIVING_UP:
                self.crash()
            else:
                # It may be tried again: UNRELEASED_INSTANCE_ID, NOT_COORDINATOR.
                self._says_all = True
                self._next_beat_ms = self.world.driver.now_ms
            return
        assert answer.member_id is not None
        self.member_id, self.epoch = answer.member_id, answer.member_epoch
        self._next_beat_ms = self.world.driver.now_ms + answer.heartbeat_interval_ms
        if answer.assignment is not None:
            self._target = frozenset(
                (topic.topic_id, index)
                for topic in answer.assignment.topic_partitions
                for index in topic.partitions
            )

    def _reconcile(self) -> None:
        now_ms = self.world.driver.now_ms
        if not self._letting_go and self.owned - self._target:
            self._letting_go = self.owned - self._target
            delay_ms = 0 if self.world.is_fair else self.world.random.choice(REVOCATION_MS)
            self._let_go_ms = now_ms + delay_ms
        if self._letting_go and now_ms >= self._let_go_ms:
            self.owned -= self._letting_go
            self._letting_go = frozenset()
            self._has_changed = True
        if not self._letting_go and self.owned != self._target:
            # What the newest answer does not have any more goes in the next round.
            self.owned |= self._target
            self._has_changed = True

    def _beat(self) -> None:
        says_all = self._says_all or self.epoch == 0
        request = ConsumerGroupHeartbeatRequest(
            group_id="g",
            member_id=self.member_id,
            member_epoch=self.epoch,
            instance_id=self.instance_id,
        )
        if says_all:
            request.rebalance_timeout_ms = REBALANCE_MS
            request.subscribed_topic_names = [] if self.names is None else self.names
            if self.version:
                request.subscribed_topic_regex = self.regex or ""
        if says_all or self._has_changed:
            request.topic_partitions = _by_topic(self.owned)
        self._says_all = self._has_changed = False
        self._next_beat_ms = NEVER_MS
        self._waits_for = send(self.world, request, self.version)


def _by_topic(partitions: frozenset[Partition]) -> list[TopicPartitions]:
    topics: dict[bytes, list[int]] = {}
    for topic_id, index in sorted(partitions):
        topics.setdefault(topic_id, []).append(index)
    return [TopicPartitions(topic_id, indexes) for topic_id, indexes in topics.items()]
