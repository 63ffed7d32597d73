"""Writing the markers that end a transaction into the logs of its partitions.

Offsets that a group has committed within the transaction are in __consumer_offsets; there the group
coordinator writes the marker, and makes them count.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from pykbroker.clock import Clock
from pykbroker.coordinator.runtime.coordinated_topic import Logs
from pykbroker.durability import GroupCommit
from pykbroker.protocol.errors import ErrorCode, KafkaError

OFFSETS_TOPIC: Final = "__consumer_offsets"


class Marker(NamedTuple):
    """What a marker says; `transaction_version` says by which rules its epoch is looked at."""

    producer_id: int
    producer_epoch: int
    is_commit: bool
    coordinator_epoch: int
    transaction_version: int


class Groups(Protocol):
    """What is needed of the `GroupCoordinator`."""

    def end_transaction(
        self,
        index: int,
        producer_id: int,
        producer_epoch: int,
        *,
        is_commit: bool,
        coordinator_epoch: int,
        transaction_version: int,
    ) -> None:
        """Append a marker to a partition of __consumer_offsets and take it over."""


class MarkerWriter:
    """Appends markers.

    Args:
        clock: Wall time.
        logs: Gives the logs of the partitions that this broker has.
        durability: Makes answers wait for the disk.
        groups: Gives the group coordinator, which is made when it is first needed.
    """

    def __init__(
        self,
        clock: Clock,
        logs: Logs,
        durability: GroupCommit,
        groups: Callable[[], Groups],
    ) -> None:
        self._clock = clock
        self._logs = logs
        self._durability = durability
        self._groups = groups

    def write(self, marker: Marker, topic: str, partition: int) -> asyncio.Future[None] | None:
        """Append a marker to a partition, where it counts at once.

        Returns:
            A future that is done when it is durable, or holds a KafkaError; None when there is
            nothing to wait for.

        Raises:
            KafkaError: UNKNOWN_TOPIC_OR_PARTITION, INVALID_PRODUCER_EPOCH,
                TRANSACTION_COORDINATOR_FENCED, KAFKA_STORAGE_ERROR; NOT_LEADER_OR_FOLLOWER while
                the group coordinator is not ready.
        """
        log = self._logs.get(topic, partition)
        if log is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if topic == OFFSETS_TOPIC:
            self._end_in_group(marker, partition)
        else:
            log.append_marker(
                marker.producer_id,
                marker.producer_epoch,
                is_commit=marker.is_commit,
                coordinator_epoch=marker.coordinator_epoch,
                now_ms=self._clock.now_ms(),
                transaction_version=marker.transaction_version,
            )
        return self._durability.submit(log, log.log_end_offset)

    def _end_in_group(self, marker: Marker, partition: int) -> None:
        try:
            self._groups().end_transaction(
                partition,
                marker.producer_id,
                marker.producer_epoch,
                is_commit=marker.is_commit,
                coordinator_epoch=marker.coordinator_epoch,
                transaction_version=marker.transaction_version,
            )
        except KafkaError as error:
            if error.code in COORDINATOR_IS_NOT_READY:
                raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER, error.message) from error
            raise


COORDINATOR_IS_NOT_READY: Final = frozenset(
    {
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.NOT_COORDINATOR,
    }
)
