"""Members of groups that speak the classic protocol, eager or cooperative, as clients do.

Their leader gives partitions out in turn. A cooperative one withholds what another member still
has; that member lets it go when it sees that it is not its own any more, and rejoins (KIP-429).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Protocol

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_protocol_assignment import (
    ConsumerProtocolAssignment,
)
from pykbroker.protocol.messages.consumer_protocol_assignment import (
    TopicPartition as AssignedTopic,
)
from pykbroker.protocol.messages.consumer_protocol_subscription import (
    ConsumerProtocolSubscription,
    TopicPartition,
)
from pykbroker.protocol.messages.join_group import JoinGroupResponse
from tests.harness.consumer_groups import topic_id
from tests.harness.groups import ShardDriver, a_join
from tests.harness.simulated_consumers import REBALANCE_MS, Partition

SESSION_MS = 20_000
BEAT_MS = 3_000
REQUEST_TIMEOUT_MS = REBALANCE_MS + 5_000
VERSION = 1
REJOINING = {ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.NOT_COORDINATOR}


class World(Protocol):
    """What a member sees of the simulation."""

    random: Random
    driver: ShardDriver
    partition_counts: dict[str, int]


class SimulatedClassicMember:
    """One client. `owned` is what it consumes; nothing while it stalls."""

    def __init__(self, world: World, name: str, *, is_cooperative: bool) -> None:
        self.world = world
        self.name = name
        self.is_cooperative = is_cooperative
        self.is_running = False
        self.is_stalled = False
        self.names: list[str] = []
        self.member_id = ""
        self.owned: frozenset[Partition] = frozenset()
        self._token: int | None = None
        self._sent_ms = 0
        self.generation_id = -1
        self._must_join = True
        self._next_beat_ms = 0

    @property
    def may_consume(self) -> bool:
        """Whether it consumes, and has been told that it may in this generation."""
        is_in_step = self._token is None and not self._must_join
        return self.is_running and not self.is_stalled and is_in_step

    def start(self, topics: list[str]) -> None:
        """Begin a life as a new member."""
        self._start()
        self.names = sorted(topics)
        self.is_running = True

    def crash(self) -> None:
        """End without a word."""
        self.is_running = self.is_stalled = False
        self._start()

    def leave(self) -> None:
        """End properly."""
        if self.member_id:
            with contextlib.suppress(KafkaError):
                self.world.driver.leave((self.member_id, None))
        self.crash()

    def lose_connection(self) -> None:
        """Give up waiting for an answer, and all partitions with it."""
        if self._token is not None:
            self._lose()

    def wants(self, topic: str) -> bool:
        """Whether its subscription has the topic."""
        return topic in self.names

    def act(self) -> None:
        """Do what comes next: look for an answer, join, or show that it lives."""
        if not self.is_running or self.is_stalled:
            return
        driver = self.world.driver
        if self._token is not None:
            answer = driver.answers.get(self._token)
            if answer is not None:
                self._token = None
                self._receive(answer)
            elif driver.now_ms >= self._sent_ms + REQUEST_TIMEOUT_MS:
                self._lose()
        elif self._must_join:
            self._join()
        elif driver.now_ms >= self._next_beat_ms:
            self._next_beat_ms = driver.now_ms + BEAT_MS
            try:
                self._heed(driver.heartbeat(self.member_id, self.generation_id))
            except KafkaError as error:
                self._heed(error.code)

    def _start(self) -> None:
        self.member_id = ""
        self._lose()

    def _lose(self) -> None:
        self.owned = frozenset()
        self._token = None
        self.generation_id = -1
        self._must_join = True
        self._next_beat_ms = 0

    def _heed(self, code: ErrorCode) -> None:
        if code is ErrorCode.NONE:
            return
        if code in REJOINING:
            self._rejoin()
        else:
            if code is not ErrorCode.ILLEGAL_GENERATION:
                self.member_id = ""
            self._lose()

    def _rejoin(self) -> None:
        if not self.is_cooperative:
            self.owned = frozenset()
        self._must_join = True

    def _join(self) -> None:
        subscription = ConsumerProtocolSubscription(
            topics=self.names,
            owned_partitions=[
                TopicPartition(name, partitions) for name, partitions in by_name(self.owned).items()
            ],
        )
        protocol = "cooperative-sticky" if self.is_cooperative else "range"
        request = a_join(
            member_id=self.member_id,
            protocols={protocol: _embedded(subscription.encode(VERSION))},
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
        )
        self._sent_ms = self.world.driver.now_ms
        self._token = self.world.driver.send_join(request, self.name)

    def _receive(self, answer: Any) -> None:
        code = ErrorCode(answer.error_code)
        if code is ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = answer.member_id
        elif code in (ErrorCode.INCONSISTENT_GROUP_PROTOCOL, ErrorCode.GROUP_MAX_SIZE_REACHED):
            self.crash()
        elif code is not ErrorCode.NONE:
            self._heed(code)
        elif isinstance(answer, JoinGroupResponse):
            self._must_join = False
            self.member_id, self.generation_id = answer.member_id, answer.generation_id
            assignment = self._lead(answer) if answer.leader == self.member_id else {}
            self._sent_ms = self.world.driver.now_ms
            self._token = self.world.driver.send_sync(
                self.member_id, self.generation_id, assignment
            )
        else:
            self._take_on(read(answer.assignment))

    def _take_on(self, assigned: frozenset[Partition]) -> None:
        must_tell = self.is_cooperative and bool(self.owned - assigned)
        self.owned = assigned
        self._must_join = must_tell
        self._next_beat_ms = self.world.driver.now_ms + BEAT_MS

    def _lead(self, joined: JoinGroupResponse) -> dict[str, bytes]:
        topics: dict[str, list[str]] = {}
        owners: dict[Partition, str] = {}
        for member in joined.members:
            data = memoryview(member.metadata)
            subscription = ConsumerProtocolSubscription.decode(data, VERSION, 2)
            for name in subscription.topics:
                topics.setdefault(name, []).append(member.member_id)
            for owned in subscription.owned_partitions:
                owners |= {
                    (topic_id(owned.topic), index): member.member_id for index in owned.partitions
                }
        given: dict[str, list[Partition]] = {member.member_id: [] for member in joined.members}
        for name, subscribers in topics.items():
            for index in range(self.world.partition_counts.get(name, 0)):
                partition = topic_id(name), index
                receiver = sorted(subscribers)[index % len(subscribers)]
                if owners.get(partition, receiver) == receiver:
                    given[receiver].append(partition)
        return {member_id: write(partitions) for member_id, partitions in given.items()}


def by_name(partitions: Iterable[Partition]) -> Mapping[str, list[int]]:
    """Partitions by the names that `topic_id` has made ids of."""
    names: dict[str, list[int]] = {}
    for topic, index in sorted(partitions):
        names.setdefault(topic.rstrip(b"-").decode(), []).append(index)
    return names


def write(partitions: Iterable[Partition]) -> bytes:
    """An assignment as a leader gives it."""
    topics = [AssignedTopic(name, indexes) for name, indexes in by_name(partitions).items()]
    return _embedded(ConsumerProtocolAssignment(assigned_partitions=topics).encode(VERSION))


def read(assignment: bytes) -> frozenset[Partition]:
    """The partitions of an assignment."""
    if not assignment:
        return frozenset()
    message = ConsumerProtocolAssignment.decode(memoryview(assignment), VERSION, 2)
    return frozenset(
        (topic_id(each.topic), index)
        for each in message.assigned_partitions
        for index in each.partitions
    )


def _embedded(buffers: Iterable[bytes | bytearray | memoryview]) -> bytes:
    return VERSION.to_bytes(2, "big") + b"".join(buffers)
