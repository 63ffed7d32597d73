"""One transaction's end being carried out: its markers are written until all of them are durable.

A partition that cannot take its marker now (its disk refuses, the group coordinator is loading) is
tried again; one that was deleted needs none. One that refuses the marker for its epoch has seen a
later producer, whose own transaction is none of this one's business: there is nothing left to end.
A marker that is refused for its coordinator's epoch (somebody has written one from outside) is
tried on: a decision that is not carried out everywhere must not look as if it were.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pykbroker.clock import Clock
from pykbroker.coordinator.runtime.coordinated_topic import Metadata
from pykbroker.coordinator.runtime.markers import Marker, MarkerWriter
from pykbroker.coordinator.runtime.partition import CoordinatorPartition
from pykbroker.coordinator.transaction.metadata import TopicPartition, TransactionMetadata
from pykbroker.coordinator.transaction.shard import TransactionShard
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.coordinator.transaction.step import TransactionStep
from pykbroker.log_limit import RepeatLimit
from pykbroker.protocol.errors import ErrorCode, KafkaError

log = logging.getLogger(__name__)

RETRY_MS: Final = 100


class TransactionEnd:
    """Carries one decision out."""

    def __init__(
        self,
        partition: CoordinatorPartition[TransactionShard, TransactionStep],
        decided: TransactionMetadata,
        markers: MarkerWriter,
        metadata: Metadata,
        clock: Clock,
    ) -> None:
        self._partition = partition
        self._decided = decided
        self._markers = markers
        self._metadata = metadata
        self._clock = clock
        self._failures = RepeatLimit()
        self._visible: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        self._when_over: list[asyncio.Future[bool]] = []

    def begin(self, on_end: Callable[[], None]) -> None:
        """Begin; `on_end` is called when there is nothing more to do, or it is abandoned."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(lambda task: self._over(on_end))

    async def until_visible(self) -> None:
        """Return when the decision is durable and the markers are appended, or tried again.

        Raises:
            KafkaError: NOT_COORDINATOR, the decision could not be made durable.
        """
        await asyncio.shield(self._visible)

    async def is_complete_within(self, seconds: float) -> bool:
        """Wait for the whole end; whether it came."""
        if self._is_over:
            return True
        loop = asyncio.get_running_loop()
        over: asyncio.Future[bool] = loop.create_future()
        self._when_over.append(over)
        timer = loop.call_later(seconds, _set, over, False)
        try:
            return await over
        finally:
            timer.cancel()

    async def abandon(self) -> None:
        """Leave the rest to the next start."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            await self._partition.durable(None)
            await self._write_markers()
            if not self._partition.is_loading:
                transactional_id = self._decided.transactional_id
                self._partition.run(
                    lambda step: self._partition.shard.complete(step, transactional_id)
                )
        except KafkaError as error:
            # The partition's disk refuses; what was decided is carried out at the next start.
            log.error(
                "transaction_end_failed transactional_id=%s error=%s",
                self._decided.transactional_id,
                error,
            )

    def _over(self, on_end: Callable[[], None]) -> None:
        if not self._visible.done():
            self._visible.set_exception(KafkaError(ErrorCode.NOT_COORDINATOR))
            self._visible.exception()  # there may be nobody who waits
        on_end()
        self._is_over = True
        for over in self._when_over:
            _set(over, True)

    async def _write_markers(self) -> None:
        marker = Marker(
            self._decided.producer_id,
            self._decided.producer_epoch,
            is_commit=self._decided.state is TransactionState.PREPARE_COMMIT,
            coordinator_epoch=self._partition.log.leader_epoch,
            transaction_version=self._decided.client_version,
        )
        remaining = sorted(self._decided.partitions)
        while remaining:
            written = [(each, self._write(marker, each)) for each in remaining]
            if not self._visible.done():
                self._visible.set_result(None)
            remaining = []
            for partition, wait in written:
                try:
                    if isinstance(wait, KafkaError):
                        raise wait
                    if wait is not None:
                        await wait
                except KafkaError as error:
                    if self._must_be_tried_again(partition, error):
                        remaining.append(partition)
            if remaining:
                await self._pause()

    def _write(
        self, marker: Marker, partition: TopicPartition
    ) -> asyncio.Future[None] | KafkaError | None:
        try:
            return self._markers.write(marker, *partition)
        except KafkaError as error:
            return error

    def _must_be_tried_again(self, partition: TopicPartition, error: KafkaError) -> bool:
        topic, index = partition
        image_topic = self._metadata.image.topic(topic)
        if image_topic is None or index >= len(image_topic.partitions):
            return False
        is_final = error.code is ErrorCode.INVALID_PRODUCER_EPOCH
        times = self._failures.count(error.code, self._clock.monotonic_ms())
        if times:
            log.warning(
                "transaction_marker_%s transactional_id=%s topic=%s partition=%d error=%s times=%d",
                "refused" if is_final else "delayed",
                self._decided.transactional_id,
                topic,
                index,
                error,
                times,
            )
        return not is_final

    async def _pause(self) -> None:
        over = asyncio.Event()
        timer = self._clock.call_later(RETRY_MS, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()


def _set(over: "asyncio.Future[bool]", value: bool) -> None:
    if not over.done():
        over.set_result(value)
