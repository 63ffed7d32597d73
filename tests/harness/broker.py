"""A broker without sockets: real logs and real metadata in a temporary directory, a manual clock.

    async with a_broker(tmp_path) as broker:
        await broker.create_topic("t", partitions=2)
        response = await broker.call(produce, ProduceRequest(...), version=9)

Requests and responses go through their own encoding, so a handler sees what a client of that
version can say, and a test sees what such a client is told. Errors for the whole request come as
the exceptions that dispatch would turn into answers.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pykbroker.broker import Broker
from pykbroker.config.broker import BrokerConfig
from pykbroker.delayed import ParkedFetches
from pykbroker.durability import GroupCommit
from pykbroker.metadata.image import MetadataImage
from pykbroker.metadata.topics import NewTopic, TopicToDelete
from pykbroker.protocol.errors import KafkaError
from pykbroker.request_context import RequestContext
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_log import PartitionLog
from tests.harness.clock import ManualClock
from tests.harness.connections import FakeConnection

NODE_ID = 1


class BrokerHarness:
    """A broker, one client's connection to it, and the clock that drives it."""

    def __init__(self, broker: Broker, clock: ManualClock) -> None:
        self.broker = broker
        self.clock = clock
        self.connection = FakeConnection()
        self._housekeeping_timers = clock.pending_timers

    @property
    def request_timers(self) -> int:
        """How many timers are armed for requests, the broker's own left out."""
        return self.clock.pending_timers - self._housekeeping_timers

    @property
    def logs(self) -> LogManager:
        return self.broker.logs

    @property
    def durability(self) -> GroupCommit:
        return self.broker.durability

    @property
    def parked(self) -> ParkedFetches:
        return self.broker.parked

    @property
    def image(self) -> MetadataImage:
        return self.broker.metadata.image

    async def create_topic(self, name: str, partitions: int = 1, **configs: str) -> bytes:
        """Create a topic; settings are Kafka's with `_` for `.`.

        Returns:
            Its id.
        """
        settings = tuple((key.replace("_", "."), value) for key, value in configs.items())
        topic = NewTopic(name, partitions, 1, configs=settings)
        (created,) = await self.broker.metadata.create_topics([topic])
        if isinstance(created, KafkaError):
            raise created
        return created.topic_id

    async def delete_topic(self, name: str) -> None:
        (deleted,) = await self.broker.metadata.delete_topics([TopicToDelete(name=name)])
        if isinstance(deleted, KafkaError):
            raise deleted

    def show_image(self, image: MetadataImage) -> None:
        """Make the handlers see other metadata than the controller made."""
        self.broker.metadata._image = image

    def change_partition(self, topic: str, partition: int, **changes: Any) -> None:
        """Change what the metadata say about a partition, e.g. `leader=2`."""
        known = self.image.topics[topic]
        partitions = list(known.partitions)
        partitions[partition] = replace(partitions[partition], **changes)
        changed = replace(known, partitions=tuple(partitions))
        self.show_image(self.image.with_topics([changed]))

    def log(self, topic: str, partition: int = 0) -> PartitionLog:
        log = self.logs.get(topic, partition)
        assert log is not None
        return log

    def context(self, version: int, client_id: str = "test") -> RequestContext:
        """Return the circumstances of a request of this client."""
        return RequestContext(
            self.broker, version, client_id, self.connection.peer_host, self.connection
        )

    async def call(
        self, handler: ModuleType, request: Any, version: int, *, client_id: str = "test"
    ) -> Any:
        """Let a handler answer a request, as a client of `version` would see it."""
        frame = bytearray(b"".join(request.encode(version)))
        received = type(request).decode(memoryview(frame), version)
        response = handler.handle(self.context(version, client_id), received)
        if inspect.isawaitable(response):
            response = await response
        if response is None:
            return None
        data = b"".join(response.encode(version))
        return type(response).decode(memoryview(data), version)

    def start(self, handler: ModuleType, request: Any, version: int) -> asyncio.Task[Any]:
        """Send a request that has to wait."""
        return asyncio.create_task(self.call(handler, request, version))


@asynccontextmanager
async def a_broker(directory: Path, **settings: str) -> AsyncIterator[BrokerHarness]:
    """Run a broker with its data in `directory`; settings are Kafka's with `_` for `.`.

    Unless `pykbroker_fsync` says otherwise nothing is synced, which is quick, and which makes
    acks=all answer at once.
    """
    given = {"pykbroker_fsync": "never", "log_dirs": str(directory / "data")} | settings
    config = BrokerConfig.from_settings(
        {key.replace("_", "."): value for key, value in given.items()} | {"node.id": str(NODE_ID)}
    )
    clock = ManualClock()
    broker = Broker(config, clock)
    await broker.start()
    try:
        yield BrokerHarness(broker, clock)
    finally:
        await broker.stop()
