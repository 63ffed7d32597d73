"""The partitions of a coordinator's topic that this broker leads: loaded, served, let go.

Which broker coordinates a key is what the metadata says: the leader of the partition that the key
hashes to. A partition without records is served at once, any other when its log is replayed.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.coordinator.runtime.partition import CoordinatorLog, CoordinatorPartition
from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.errors import CorruptBatchError, ErrorCode, KafkaError
from pykbroker.storage.batch_scan import DamagedSegmentError

log = logging.getLogger(__name__)

PartitionT = TypeVar("PartitionT", bound=CoordinatorPartition[Any, Any])


class Logs(Protocol):
    """What a coordinator needs of the `LogManager`."""

    def get(self, topic: str, partition: int) -> CoordinatorLog | None:
        """Return the log of a partition that this broker has."""


class Metadata(Protocol):
    """What a coordinator needs of the `MetadataController`."""

    @property
    def image(self) -> MetadataImage:
        """The current metadata."""

    def subscribe(self, listener: Callable[[MetadataImage, MetadataImage], None]) -> None:
        """Call the listener with the old and the new image at every change."""


class CoordinatedTopic(Generic[PartitionT]):
    """The partitions of one topic that are coordinated here.

    Attributes:
        partitions: They by index, those that are loading too.
        is_active: Whether requests are served: after `start` and before `close`.

    Args:
        new_partition: Makes one, given its index and its log.
        on_loaded: Called with each partition that has begun to serve.
    """

    def __init__(
        self,
        name: str,
        metadata: Metadata,
        logs: Logs,
        new_partition: Callable[[int, CoordinatorLog], PartitionT],
        on_loaded: Callable[[PartitionT], None] = lambda partition: None,
    ) -> None:
        self.name = name
        self.partitions: dict[int, PartitionT] = {}
        self.is_active = False
        self._metadata = metadata
        self._logs = logs
        self._new_partition = new_partition
        self._on_loaded = on_loaded
        self._loads: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to serve; must be called in the event loop, once the logs are open."""
        self.is_active = True
        self.follow_leadership(self._metadata.image)

    async def loaded(self) -> None:
        """Return when every partition that is being loaded now has been."""
        while self._loads:
            await asyncio.wait(self._loads)

    async def close(self) -> None:
        """Stop serving; parked requests are answered with NOT_COORDINATOR."""
        self.is_active = False
        for load in list(self._loads):
            load.cancel()
        await self.loaded()
        for partition in self.partitions.values():
            partition.unload()
        self.partitions.clear()

    def logs_made(self) -> None:
        """Load what could not be loaded because its log was missing until now."""
        if self.is_active:
            self.follow_leadership(self._metadata.image)

    def follow_leadership(self, image: MetadataImage) -> None:
        """Load what this broker leads now, unload what it does not lead any more."""
        topic = image.topic(self.name)
        led = set()
        if topic is not None:
            led = {p.partition for p in topic.partitions if p.leader == image.node_id}
        for index in [index for index in self.partitions if index not in led]:
            self.partitions.pop(index).unload()
        to_load = []
        for index in sorted(led - self.partitions.keys()):
            partition_log = self._logs.get(self.name, index)
            if partition_log is None:
                log.error("coordinator_log_missing topic=%s partition=%d", self.name, index)
                continue
            partition = self.partitions[index] = self._new_partition(index, partition_log)
            if partition_log.log_start_offset == partition_log.log_end_offset:
                partition.begin()
                self._on_loaded(partition)
            else:
                to_load.append(partition)
        if to_load:
            task = asyncio.get_running_loop().create_task(self._load(to_load))
            self._loads.add(task)
            task.add_done_callback(self._loads.discard)

    def partition_of(self, key: str) -> PartitionT:
        """Return the partition that a key belongs to.

        Raises:
            KafkaError: COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS; NOT_COORDINATOR
                when another broker (or none) leads it.
        """
        self.check_active()
        topic = self._metadata.image.topic(self.name)
        if topic is None:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        partition = self.partitions.get(partition_for(key, len(topic.partitions)))
        if partition is None:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        if partition.is_loading:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return partition

    def all_loaded(self) -> list[PartitionT]:
        """Return all partitions; raises COORDINATOR_LOAD_IN_PROGRESS if one is not loaded yet."""
        self.check_active()
        partitions = list(self.partitions.values())
        if any(partition.is_loading for partition in partitions):
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return partitions

    def check_active(self) -> None:
        """Raise COORDINATOR_NOT_AVAILABLE unless requests are served."""
        if not self.is_active:
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE)

    async def _load(self, partitions: Iterable[PartitionT]) -> None:
        # What is loaded stays; to look through it for garbage takes a quarter of the time.
        collects = gc.isenabled()
        gc.disable()
        try:
            await self._load_all(partitions)
        finally:
            if collects:
                gc.enable()

    async def _load_all(self, partitions: Iterable[PartitionT]) -> None:
        for partition in partitions:
            if self.partitions.get(partition.index) is not partition:
                continue
            try:
                await partition.load()
            except (OSError, CorruptBatchError, DamagedSegmentError, KafkaError) as error:
                # Serving half of the state would be a lie; a restart tries again.
                log.error(
                    "coordinator_load_failed topic=%s partition=%d %s",
                    self.name,
                    partition.index,
                    error,
                )
                self.partitions.pop(partition.index, None)
            else:
                self._on_loaded(partition)
