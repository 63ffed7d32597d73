"""Members of consumer groups against a coordinator shard, all in memory and stepped by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.coordinator.group.consumer.settings import (
    ConsumerGroupSettings,
    ConsumerGroupTimes,
)
from pykbroker.coordinator.group.step import Caller, GroupSettings, Step
from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from tests.harness.coordinators import a_topic, an_image
from tests.harness.groups import START_MS, ShardDriver

CALLER = Caller("c", "/127.0.0.1", 1)
LONG_MS = 60_000
# No pause between two assignments, so that each heartbeat shows what it leads to.
AT_ONCE = GroupSettings(
    consumer=ConsumerGroupSettings(times=ConsumerGroupTimes(assignment_interval_ms=0))
)


def topic_id(name: str) -> bytes:
    """The id that `topics` gives a topic."""
    return name.encode().ljust(16, b"-")


def topics(**partition_counts: int) -> MetadataImage:
    """Metadata with these topics: name=number of partitions."""
    return an_image(*(a_topic(n, topic_id(n), count) for n, count in partition_counts.items()))


def a_step(settings: GroupSettings = AT_ONCE, **partition_counts: int) -> Step:
    """An operation at the beginning of time, with these topics."""
    return Step(START_MS, settings, topics(**partition_counts))


def a_member(member_id: str = "m", *names: str, **fields: Any) -> ConsumerMember:
    """A member that subscribes to these topics."""
    return ConsumerMember(member_id, subscribed_topic_names=frozenset(names), **fields)


def a_group(*members: ConsumerMember, **fields: Any) -> ConsumerGroup:
    """A group with these members."""
    group = ConsumerGroup("g", **fields)
    for member in members:
        group.put_member(member)
    return group


def a_driver(settings: GroupSettings = AT_ONCE, **partition_counts: int) -> ShardDriver:
    """A shard in a cluster with these topics."""
    driver = ShardDriver(settings)
    driver.topics = topics(**partition_counts)
    return driver


def owned(**partitions: list[int]) -> list[TopicPartitions]:
    """What a member says that it has: topic=[partitions]."""
    return [TopicPartitions(topic_id(name), indexes) for name, indexes in partitions.items()]


class Consumer:
    """A client in group `g`."""

    def __init__(
        self,
        driver: ShardDriver,
        member_id: str = "a",
        *names: str,
        regex: str | None = None,
        instance_id: str | None = None,
        group_id: str = "g",
    ) -> None:
        self.driver = driver
        self.member_id = member_id
        self.names = list(names) if names or regex is None else None
        self.regex = regex
        self.instance_id = instance_id
        self.group_id = group_id
        self.epoch = 0
        self.owned: list[TopicPartitions] = []

    def request(self, **changes: Any) -> ConsumerGroupHeartbeatRequest:
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.group_id,
            member_id=self.member_id,
            member_epoch=self.epoch,
            instance_id=self.instance_id,
        )
        return replace(request, **changes)

    def joining(self, **changes: Any) -> ConsumerGroupHeartbeatRequest:
        request = self.request(
            member_epoch=0,
            rebalance_timeout_ms=LONG_MS,
            subscribed_topic_names=self.names,
            subscribed_topic_regex=self.regex,
            topic_partitions=[],
        )
        return replace(request, **changes)

    def join(self, **changes: Any) -> ConsumerGroupHeartbeatResponse:
        self.owned = []
        return self._send(self.joining(**changes))

    def beat(self, **changes: Any) -> ConsumerGroupHeartbeatResponse:
        return self._send(self.request(**changes))

    def confirm(self, **changes: Any) -> ConsumerGroupHeartbeatResponse:
        """Tell what it has, which is what it was told last."""
        return self.beat(topic_partitions=list(self.owned), **changes)

    def leave(self, epoch: int = -1) -> ConsumerGroupHeartbeatResponse:
        request = self.request(member_epoch=epoch)
        driver = self.driver
        return driver.run(lambda step: driver.shard.consumer_heartbeat(step, request, CALLER))

    def has(self) -> dict[str, list[int]]:
        """What it was told to have: topic -> partitions."""
        return {t.topic_id.rstrip(b"-").decode(): t.partitions for t in self.owned}

    def _send(self, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse:
        driver = self.driver
        response = driver.run(lambda step: driver.shard.consumer_heartbeat(step, request, CALLER))
        assert response.member_id is not None
        self.member_id, self.epoch = response.member_id, response.member_epoch
        if response.assignment is not None:
            self.owned = response.assignment.topic_partitions
        return response
