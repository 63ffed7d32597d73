"""Where requests about transactions go, and the order in which a transaction ends.

    the decision is durable -> markers are appended -> EndTxn is answered
                                                    -> markers are durable -> the end is complete

Once the decision is durable the end is carried out whatever happens: what a crash leaves undone is
done at the next start, also where partitions are gone meanwhile. The markers' flush is shared with
whatever else the logs write. Only when it is over may the record of the id's next transaction be
written, for that takes the place of the decision; who comes earlier waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

from pykbroker.clock import Clock, TimerHandle
from pykbroker.config.broker import BrokerConfig
from pykbroker.coordinator.runtime.coordinated_topic import CoordinatedTopic, Logs, Metadata
from pykbroker.coordinator.runtime.markers import MarkerWriter
from pykbroker.coordinator.runtime.partition import (
    CoordinatorLog,
    CoordinatorPartition,
    RecordStorage,
)
from pykbroker.coordinator.runtime.transaction_end import TransactionEnd
from pykbroker.coordinator.transaction import admin
from pykbroker.coordinator.transaction.end import End
from pykbroker.coordinator.transaction.init_producer import InitProducer
from pykbroker.coordinator.transaction.metadata import TopicPartition
from pykbroker.coordinator.transaction.partitions import has_partitions, verify_partition
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.coordinator.transaction.shard import TransactionShard
from pykbroker.coordinator.transaction.state import ENDING
from pykbroker.coordinator.transaction.step import (
    NoProducerIdError,
    TransactionSettings,
    TransactionStep,
)
from pykbroker.coordinator.transition import Transition
from pykbroker.durability import GroupCommit
from pykbroker.metadata.features import Features
from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.describe_transactions import TransactionState as DescribedState
from pykbroker.protocol.messages.list_transactions import TransactionState as ListedState
from pykbroker.request_context import Deferred

ResponseT = TypeVar("ResponseT")

TRANSACTION_TOPIC: Final = "__transaction_state"
# How long a request waits for the end of the id's last transaction before it is told to come again.
MAX_WAIT_SECONDS: Final = 1.0

TransactionPartition = CoordinatorPartition[TransactionShard, TransactionStep]


class FreshProducerIds(Protocol):
    """What is needed of `ProducerIds`."""

    def take_at_once(self) -> int | None:
        """Return a fresh id, or None when there is none at hand."""

    async def refill(self) -> None:
        """Return when there are fresh ones."""


class TransactionCoordinator:
    """All transactional ids that this broker coordinates.

    Operations raise KafkaError: NOT_COORDINATOR when another broker (or none) leads the id's
    partition, COORDINATOR_LOAD_IN_PROGRESS while it is loaded, COORDINATOR_NOT_AVAILABLE before
    `start` and after `close`.

    Attributes:
        markers: Writes the markers.
    """

    def __init__(
        self,
        config: Callable[[], BrokerConfig],
        clock: Clock,
        metadata: Metadata,
        logs: Logs,
        durability: GroupCommit,
        producer_ids: FreshProducerIds,
        markers: MarkerWriter,
    ) -> None:
        self.markers = markers
        self._config = config
        self._clock = clock
        self._metadata = metadata
        self._durability = durability
        self._producer_ids = producer_ids
        self._topic = CoordinatedTopic(
            TRANSACTION_TOPIC, metadata, logs, self._new_partition, self._carry_out_decided
        )
        self._ends: dict[str, TransactionEnd] = {}
        self._timers: dict[str, TimerHandle] = {}
        # What every operation asks for, and what it was made of.
        self._made_settings = TransactionSettings()
        self._made_of: tuple[BrokerConfig | None, Features | None] = None, None

    # Lifecycle

    def start(self) -> None:
        """Begin to serve, and to carry out what was decided before the last stop.

        Must be called in the event loop, once the logs are open.
        """
        self._metadata.subscribe(self._on_new_image)
        self._topic.start()
        self._schedule_timeouts()
        self._schedule_expiry()

    async def loaded(self) -> None:
        """Return when every partition that is being loaded now has been."""
        await self._topic.loaded()

    async def close(self) -> None:
        """Stop serving; what is decided and not carried out is left to the next start."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self._topic.close()
        for end in list(self._ends.values()):
            await end.abandon()

    def logs_made(self) -> None:
        """Load what could not be loaded because its log was missing until now."""
        self._topic.logs_made()

    # Requests of producers

    async def init_producer(
        self, transactional_id: str, timeout_ms: int, expected: ProducerIdAndEpoch | None
    ) -> ProducerIdAndEpoch:
        """Handle InitProducerId.

        Raises:
            KafkaError: INVALID_TRANSACTION_TIMEOUT, PRODUCER_FENCED; CONCURRENT_TRANSACTIONS when
                a transaction was open, which is aborted now.
        """
        if not 0 < timeout_ms <= self._settings().max_timeout_ms:
            raise KafkaError(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
        request = InitProducer(transactional_id, timeout_ms, expected)
        producer = await self._operate(
            transactional_id, lambda shard, step: shard.init_producer(step, request)
        )
        if producer is None:
            raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
        return producer

    def add_partitions(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        partitions: Iterable[TopicPartition],
        *,
        client_version: int = 0,
    ) -> Awaitable[None] | None:
        """Make partitions part of the producer's transaction; the first ones begin it.

        Returns:
            None when they are part of it, durably, at this moment: records may be appended to them
            without an await between. Else what to await before asking again; it raises KafkaError
            as this does.

        Raises:
            KafkaError: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED; CONCURRENT_TRANSACTIONS while
                a transaction is ending that nobody carries out now.
        """
        partition = self._topic.partition_of(transactional_id)
        shard, added = partition.shard, frozenset(partitions)
        known = shard.transactions.get(transactional_id)
        is_there = (
            known is not None
            and (known.producer_id, known.producer_epoch) == producer
            and has_partitions(known, added)
        )
        if not is_there:
            try:
                partition.run(
                    lambda step: shard.add_partitions(
                        step, transactional_id, producer, added, client_version
                    )
                )
            except KafkaError as error:
                end = self._ends.get(transactional_id)
                if error.code is ErrorCode.CONCURRENT_TRANSACTIONS and end is not None:
                    return self._wait_for(end)
                raise
        return partition.when_durable(None, shard.record_offsets[transactional_id] + 1)

    async def ensure_partitions(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        partitions: Iterable[TopicPartition],
        *,
        client_version: int = 0,
    ) -> None:
        """Return when partitions are part of the producer's transaction, see `add_partitions`."""
        added = frozenset(partitions)
        while True:
            waits = self.add_partitions(
                transactional_id, producer, added, client_version=client_version
            )
            if waits is None:
                return
            await waits

    def verify(
        self, transactional_id: str, producer: ProducerIdAndEpoch, partition: TopicPartition
    ) -> ErrorCode:
        """Say whether a partition is part of the producer's transaction, at this moment.

        Returns:
            NONE, or TRANSACTION_ABORTABLE if it is not.

        Raises:
            KafkaError: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED; CONCURRENT_TRANSACTIONS while
                the producer's last transaction is ending, or what made the partition part of this
                one is not durable.
        """
        coordinator = self._topic.partition_of(transactional_id)
        shard = coordinator.shard
        code = verify_partition(shard.transactions.get(transactional_id), producer, partition)
        if code is ErrorCode.NONE:
            end_offset = shard.record_offsets[transactional_id] + 1
            written = self._durability.submit(coordinator.log, end_offset)
            if written is not None:
                # Nobody else may be waiting for it: a start reads what no flush has covered.
                written.add_done_callback(_ignore)
                raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
        return code

    async def end_transaction(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        *,
        is_commit: bool,
        client_version: int = 0,
    ) -> ProducerIdAndEpoch:
        """Handle EndTxn; gives the id and epoch by which the producer goes on.

        Raises:
            KafkaError: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, INVALID_TXN_STATE,
                CONCURRENT_TRANSACTIONS.
        """
        request = End(transactional_id, producer, is_commit, client_version)
        return await self._operate(transactional_id, lambda shard, step: shard.end(step, request))

    # Requests of administrators

    async def describe(self, transactional_id: str) -> DescribedState:
        """Handle DescribeTransactions for one id; only what is durable is told.

        Raises:
            KafkaError: TRANSACTIONAL_ID_NOT_FOUND.
        """
        partition = self._topic.partition_of(transactional_id)
        known = partition.shard.transactions.get(transactional_id)
        if known is None:
            raise KafkaError(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
        return await partition.durable(admin.describe(known))

    async def list_transactions(self, filters: admin.ListFilters) -> Sequence[ListedState]:
        """Handle ListTransactions; only what is durable is told."""
        answers = [
            partition.when_durable(partition.shard.list_transactions(partition.new_step(), filters))
            for partition in self._topic.all_loaded()
        ]
        listed: list[ListedState] = []
        for answer in answers:
            listed += await answer if isinstance(answer, Deferred) else answer
        return listed

    # -- private -----------------------------------------------------------------------------

    async def _operate(
        self,
        transactional_id: str,
        operation: Callable[[TransactionShard, TransactionStep], Transition[ResponseT]],
    ) -> ResponseT:
        """Run an operation, and return when it is durable and what it has ended is visible."""
        while True:
            while (end := self._ends.get(transactional_id)) is not None:
                await self._wait_for(end)
            partition = self._topic.partition_of(transactional_id)
            try:
                response = partition.run(partial(operation, partition.shard))
                break
            except NoProducerIdError:
                await self._producer_ids.refill()
        end = self._carry_out(partition, transactional_id)
        if end is not None:
            await end.until_visible()
        elif transactional_id in partition.shard.record_offsets:
            await partition.durable(None)
        return response

    async def _wait_for(self, end: TransactionEnd) -> None:
        """Wait for the end of a transaction, but not for ever."""
        if not await end.is_complete_within(MAX_WAIT_SECONDS):
            raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)

    def _carry_out(
        self, partition: TransactionPartition, transactional_id: str
    ) -> TransactionEnd | None:
        """Begin to carry out what an operation has decided, if it has decided anything."""
        known = partition.shard.transactions.get(transactional_id)
        if known is None or known.state not in ENDING:
            return None
        end = self._ends[transactional_id] = TransactionEnd(
            partition, known, self.markers, self._metadata, self._clock
        )
        end.begin(on_end=partial(self._ended, transactional_id, end))
        return end

    def _ended(self, transactional_id: str, end: TransactionEnd) -> None:
        if self._ends.get(transactional_id) is end:
            del self._ends[transactional_id]

    def _carry_out_decided(self, partition: TransactionPartition) -> None:
        """Carry out what a loaded partition says is decided."""
        for transactional_id in partition.shard.ending():
            self._carry_out(partition, transactional_id)

    def _on_new_image(self, old: MetadataImage, new: MetadataImage) -> None:
        if self._topic.is_active:
            self._topic.follow_leadership(new)

    def _new_partition(self, index: int, partition_log: CoordinatorLog) -> TransactionPartition:
        return CoordinatorPartition(
            TRANSACTION_TOPIC,
            index,
            partition_log,
            TransactionShard(),
            self._clock,
            self._durability,
            lambda now_ms: TransactionStep(
                now_ms, self._settings(), self._producer_ids.take_at_once
            ),
            RecordStorage(load_buffer_bytes=self._config().transaction_state_log_load_buffer_size),
        )

    def _settings(self) -> TransactionSettings:
        made_of = self._config(), self._metadata.image.features
        if made_of[0] is not self._made_of[0] or made_of[1] is not self._made_of[1]:
            config, features = self._made_of = made_of
            self._made_settings = TransactionSettings(
                version=features.transaction_version,
                max_timeout_ms=config.transaction_max_timeout_ms,
                id_expiration_ms=config.transactional_id_expiration_ms,
            )
        return self._made_settings

    # Time

    def _schedule_timeouts(self) -> None:
        interval_ms = self._config().transaction_abort_timed_out_transaction_cleanup_interval_ms
        self._timers["timeouts"] = self._clock.call_later(interval_ms, self._abort_timed_out)

    def _abort_timed_out(self) -> None:
        for partition in list(self._topic.partitions.values()):
            if partition.is_loading:
                continue
            for transactional_id in partition.shard.timed_out(self._clock.now_ms()):
                try:
                    partition.run(partial(_abort, partition.shard, transactional_id))
                except (KafkaError, NoProducerIdError):
                    continue  # it has been told, or an id is fetched; the next round tries again
                self._carry_out(partition, transactional_id)
        self._schedule_timeouts()

    def _schedule_expiry(self) -> None:
        interval_ms = self._config().transaction_remove_expired_transaction_cleanup_interval_ms
        self._timers["expiry"] = self._clock.call_later(
            interval_ms, lambda: self._expire_next(sorted(self._topic.partitions))
        )

    def _expire_next(self, indexes: list[int]) -> None:
        """Clean one partition up and let the loop serve others before the next one."""
        if not indexes:
            self._schedule_expiry()
            return
        partition = self._topic.partitions.get(indexes[0])
        if partition is not None and not partition.is_loading:
            partition.run_in_batches(partition.shard.expire_ids)
        self._timers["expiry"] = self._clock.call_later(0, partial(self._expire_next, indexes[1:]))


def _abort(
    shard: TransactionShard, transactional_id: str, step: TransactionStep
) -> Transition[None]:
    return shard.abort_timed_out(step, transactional_id)


def _ignore(written: asyncio.Future[None]) -> None:
    """Take notice of an error that somebody else is told."""
    if not written.cancelled():
        written.exception()
