"""A group coordinator on real partition logs, a manual clock and metadata that a test changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pykbroker.config.broker import BrokerConfig
from pykbroker.config.topic import TopicConfig
from pykbroker.coordinator.group.step import Caller
from pykbroker.coordinator.runtime import GroupCoordinator
from pykbroker.durability import GroupCommit
from pykbroker.handlers import join_group, sync_group
from pykbroker.metadata.image import BrokerImage, MetadataImage, PartitionImage, TopicImage
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitResponse
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from pykbroker.protocol.messages.sync_group import (
    SyncGroupRequest,
    SyncGroupRequestAssignment,
)
from pykbroker.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest
from pykbroker.storage.log_manager import LogManager
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.clock import ManualClock
from tests.harness.groups import LATEST_JOIN, a_join
from tests.harness.loop import turns

NODE_ID = 1
OFFSETS_TOPIC = "__consumer_offsets"
OFFSETS_ID = b"o" * 16
CALLER = Caller("c", "/127.0.0.1", LATEST_JOIN)
Listener = Callable[[MetadataImage, MetadataImage], None]


def a_topic(name: str, topic_id: bytes, partitions: int = 1, leader: int = NODE_ID) -> TopicImage:
    """A topic whose partitions all have one leader."""
    return TopicImage(
        name,
        topic_id,
        tuple(PartitionImage(n, leader, 0, (leader,), (leader,)) for n in range(partitions)),
    )


def an_image(*topics: TopicImage) -> MetadataImage:
    """Metadata of a cluster of one broker with these topics."""
    image = MetadataImage(
        cluster_id="cluster",
        node_id=NODE_ID,
        controller_id=NODE_ID,
        brokers={NODE_ID: BrokerImage(NODE_ID, None)},
    )
    return image.with_topics(topics)


class FakeMetadata:
    """Metadata without a store."""

    def __init__(self, image: MetadataImage) -> None:
        self.image = image
        self.listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def publish(self, image: MetadataImage) -> None:
        old, self.image = self.image, image
        for listener in self.listeners:
            listener(old, image)


class World:
    """Everything around a `GroupCoordinator`; use it with `async with`.

    Leaving it stops the coordinator and closes the logs; a new one on the same path goes on.
    """

    def __init__(
        self, path: Path, *, partitions: int = 2, is_durable: bool = False, **settings: str
    ) -> None:
        self.clock = ManualClock()
        self.offsets_topic = a_topic(OFFSETS_TOPIC, OFFSETS_ID, partitions)
        self.metadata = FakeMetadata(an_image(self.offsets_topic))
        self.logs = LogManager([path], clock=self.clock, node_id=NODE_ID, fsync_enabled=is_durable)
        self.logs.acquire()
        self.logs.open("cluster", lambda name: TopicConfig())
        for index in range(partitions):
            self.logs.create(OFFSETS_TOPIC, OFFSETS_ID, index, TopicConfig())
        self.durability = GroupCommit(enabled=is_durable)
        self.config = BrokerConfig.from_settings(
            {name.replace("_", "."): value for name, value in settings.items()}
        )
        self.confirmed: list[int] = []
        self._uuids = count(1)
        self.groups = GroupCoordinator(
            lambda: self.config,
            self.clock,
            self.metadata,
            self.logs,
            self.durability,
            new_uuid=lambda: str(next(self._uuids)),
        )

    async def __aenter__(self) -> Self:
        self.groups.start()
        await self.groups.loaded()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.groups.close()
        self.durability.close()
        self.logs.close()

    def reconfigure(self, **settings: Any) -> None:
        self.config = replace(self.config, **settings)

    async def advance(self, ms: int) -> None:
        """Move time on and let everybody who heard of it act."""
        self.clock.advance(ms)
        await turns()

    async def join(self, request: JoinGroupRequest) -> JoinGroupResponse:
        """Send a JoinGroup and let the initial rebalance end if it began one."""
        task = asyncio.ensure_future(self.groups.join_group(request, CALLER))
        await turns()
        await self.advance(0)
        return await task

    async def stable_member(self, group_id: str = "g") -> str:
        """Make one client the only member of a Stable group; its id."""
        request = a_join(group_id)
        request.member_id = (await self.join(request)).member_id
        joined = await self.join(request)
        synced = await self.groups.sync_group(
            SyncGroupRequest(
                group_id=group_id,
                member_id=joined.member_id,
                generation_id=joined.generation_id,
                assignments=[SyncGroupRequestAssignment(joined.member_id, b"all")],
            )
        )
        assert synced.assignment == b"all"
        return joined.member_id

    async def commit(
        self, request: OffsetCommitRequest, api_version: int = 9
    ) -> OffsetCommitResponse:
        """Send an OffsetCommit and wait until it is durable."""
        answered = self.groups.commit_offsets(request, api_version)
        return await answered if isinstance(answered, Awaitable) else answered

    async def commit_in_transaction(self, request: TxnOffsetCommitRequest) -> ErrorCode:
        """Send a TxnOffsetCommit whose transaction is in order; the error of the first partition.

        The partitions that were asked about are in `confirmed`.
        """

        async def confirm(index: int) -> None:
            self.confirmed.append(index)

        response = await self.groups.commit_offsets_in_transaction(request, confirm)
        return ErrorCode(response.topics[0].partitions[0].error_code)

    def end_transaction(
        self, producer_id: int = 4, epoch: int = 0, *, is_commit: bool, group_id: str = "g"
    ) -> None:
        """Write the marker of a transaction to the partition of a group."""
        index = self.groups.offsets_partition(group_id)
        self.groups.end_transaction(
            index, producer_id, epoch, is_commit=is_commit, coordinator_epoch=0
        )

    async def committed(self, topic: str, partition: int = 0, group_id: str = "g") -> int:
        """The offset that OffsetFetch tells."""
        asked = [OffsetFetchRequestTopics(name=topic, partition_indexes=[partition])]
        answer = await self.groups.fetch_offsets(
            OffsetFetchRequestGroup(group_id=group_id, topics=asked), require_stable=False
        )
        return answer.topics[0].partitions[0].committed_offset


def a_group_broker(directory: Path, **settings: str) -> AbstractAsyncContextManager[BrokerHarness]:
    """Run a whole broker whose offsets topic is small, which makes it quick to create."""
    return a_broker(directory, **{"offsets_topic_num_partitions": "2", **settings})


class GroupClient:
    """One client of a whole broker that speaks the group protocol in chosen versions."""

    def __init__(self, broker: BrokerHarness) -> None:
        self.broker = broker

    async def join(self, request: JoinGroupRequest, version: int = LATEST_JOIN) -> Any:
        """Send a JoinGroup and let the initial rebalance end."""
        task = asyncio.ensure_future(answer(self.broker, join_group, request, version))
        await turns()
        self.broker.clock.advance(0)
        return await task

    async def become_member(self, group_id: str = "g", **fields: Any) -> str:
        """Join as the only member of a group and assign everything to oneself; the member id."""
        await self.broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
        joined = await self.join(a_join(group_id, **fields), version=3)
        assignment = SyncGroupRequestAssignment(joined.member_id, b"all")
        request = SyncGroupRequest(group_id, 1, joined.member_id, assignments=[assignment])
        await answer(self.broker, sync_group, request, 3)
        return str(joined.member_id)
