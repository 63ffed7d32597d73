"""One partition of a coordinator's topic at work: shard, log, timers and waiting clients."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

from pykbroker.clock import Clock
from pykbroker.coordinator.runtime.loading import read_pieces
from pykbroker.coordinator.runtime.timers import TimerTable
from pykbroker.coordinator.transition import (
    Answer,
    CancelTimer,
    Computation,
    ComputationKey,
    CoordinatorRecord,
    SetTimer,
    TimerKey,
    Transition,
)
from pykbroker.durability import FlushableLog, GroupCommit
from pykbroker.log_limit import RepeatLimit
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import NO_PRODUCER_ID, NO_SEQUENCE, RecordBatch
from pykbroker.protocol.records import Record
from pykbroker.request_context import Deferred

log = logging.getLogger(__name__)

ResponseT = TypeVar("ResponseT")
StepT = TypeVar("StepT", bound="CoordinatorStep")
StepT_contra = TypeVar("StepT_contra", contravariant=True)
ShardT = TypeVar("ShardT", bound="CoordinatorShard[Any]")

# Tombstones of one housekeeping round may be many; Kafka too splits such writes, and no others.
HOUSEKEEPING_BATCH_RECORDS: Final = 1_000

# What clients are told when the coordinator's own log refuses, as in Kafka's
# CoordinatorOperationExceptionHelper.
ERRORS_OF_THE_LOG: Final = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
}


class Appended(Protocol):
    """Where a batch went."""

    @property
    def base_offset(self) -> int:
        """Offset of its first record."""


class CoordinatorLog(FlushableLog, Protocol):
    """What a coordinator needs of a `PartitionLog`."""

    log_start_offset: int
    log_end_offset: int
    leader_epoch: int

    def append_records(
        self,
        records: Sequence[Record],
        now_ms: int,
        codec: Codec,
        producer: tuple[int, int] | None = None,
        base_sequence: int = NO_SEQUENCE,
    ) -> Appended:
        """Append the records as one batch, or as part of a producer's transaction."""

    def append_marker(
        self,
        producer_id: int,
        producer_epoch: int,
        *,
        is_commit: bool,
        coordinator_epoch: int,
        now_ms: int,
        transaction_version: int = 0,
    ) -> Appended:
        """Append the marker that ends a producer's transaction."""

    def has_open_transaction(self, producer_id: int, producer_epoch: int) -> bool:
        """Whether the producer has a transaction open here."""

    def read_batches(self, offset: int, up_to: int) -> Iterator[RecordBatch]:
        """Yield the batches from `offset` on; waits for the disk."""


class CoordinatorStep(Protocol):
    """An operation in progress."""

    @property
    def now_ms(self) -> int:
        """Wall time at its beginning."""


class CoordinatorShard(Protocol[StepT_contra]):
    """What is driven: the state of one partition, which changes only in `replay`.

    `len` says how much there is, for the log.
    """

    @staticmethod
    def encode(record: CoordinatorRecord) -> tuple[bytes, bytes | None]:
        """Return the key and value bytes that go into the log."""

    @staticmethod
    def decode(key: bytes, value: bytes | None) -> CoordinatorRecord | None:
        """Read a record back; None for one to be left alone. Raises ProtocolError."""

    def replay(
        self, record: CoordinatorRecord, record_offset: int, now_ms: int, producer_id: int = ...
    ) -> None:
        """Take over one record of the log."""

    def end_transaction(self, producer_id: int, *, is_committed: bool) -> None:
        """Take over a marker of the log."""

    def loaded(self, step: StepT_contra) -> Transition[None]:
        """The whole log has been replayed."""

    def expire(self, step: StepT_contra, key: TimerKey) -> Transition[None]:
        """A timer ran out."""

    def computed(
        self, step: StepT_contra, key: ComputationKey, result: object | None
    ) -> Transition[None]:
        """A computation has ended; without a result it failed."""

    def undo(self, step: StepT_contra, failed: object, error_code: ErrorCode) -> Transition[None]:
        """The records of a transition could not be written: put the soft state right."""

    def __len__(self) -> int: ...


@dataclass(slots=True, frozen=True)
class RecordStorage:
    """How records are written and read back: the codec of batches, and what a load reads at once,
    which for groups are `offsets.topic.compression.codec` and `offsets.load.buffer.size`.

    `base_sequence` is that of batches without a producer. Nobody looks at it; Kafka's coordinator
    of groups writes 0, that of transactions none.
    """

    codec: Codec = Codec.NONE
    load_buffer_bytes: int = 5 * 1024 * 1024
    base_sequence: int = NO_SEQUENCE


class CoordinatorPartition(Generic[ShardT, StepT]):
    """One partition of a coordinator's topic that this broker coordinates.

    Attributes:
        is_loading: The log is being replayed; nothing else may be done yet.
        parked: The futures of requests that wait for an answer, by token.

    Args:
        new_step: Begins an operation at a wall time, in the circumstances of this moment.
    """

    def __init__(
        self,
        topic: str,
        index: int,
        partition_log: CoordinatorLog,
        shard: ShardT,
        clock: Clock,
        durability: GroupCommit,
        new_step: Callable[[int], StepT],
        storage: RecordStorage,
    ) -> None:
        self.topic = topic
        self.index = index
        self.log = partition_log
        self.shard = shard
        self.is_loading = True
        self.parked: dict[int, asyncio.Future[object]] = {}
        self.timers = TimerTable(clock, self._expire)
        self._clock = clock
        self._durability = durability
        self._new_step = new_step
        self._storage = storage
        self._tokens = count(1)
        self._when_loaded: list[Callable[[StepT], Transition[None]]] = []
        self._computing: dict[ComputationKey, asyncio.Task[None]] = {}
        self._failures = RepeatLimit()

    # Operations

    def new_step(self) -> StepT:
        """Begin an operation in the circumstances of this moment."""
        return self._new_step(self._clock.now_ms())

    def run(
        self,
        operation: Callable[[StepT], Transition[ResponseT]],
        producer: tuple[int, int] | None = None,
    ) -> ResponseT:
        """Run one operation to its end, but for the durability of what it wrote.

        Args:
            operation: What to do.
            producer: Id and epoch of the producer whose transaction it is part of.

        Raises:
            KafkaError: The operation refused, or its records could not be appended; then the
                shard is as if it had not happened.
        """
        step = self.new_step()
        transition = operation(step)
        if transition.records:
            try:
                self._append(transition.records, step.now_ms, producer)
            except KafkaError as error:
                code = ERRORS_OF_THE_LOG.get(error.code, error.code)
                self._tell_of_failure(error)
                if transition.if_append_fails is None:
                    self._take_effect(transition)
                else:
                    failed = transition.if_append_fails
                    self.run(lambda undo: self.shard.undo(undo, failed, code))
                raise KafkaError(code) from error
        self._take_effect(transition)
        return transition.response

    def run_when_loaded(self, housekeeping: Callable[[StepT], Transition[None]]) -> None:
        """Run housekeeping in batches, now or when the log is loaded."""
        if self.is_loading:
            self._when_loaded.append(housekeeping)
        else:
            self.run_in_batches(housekeeping)

    def run_in_batches(self, operation: Callable[[StepT], Transition[None]]) -> None:
        """Run housekeeping, whose records need not be in one batch."""
        step = self.new_step()
        transition = operation(step)
        try:
            for start in range(0, len(transition.records), HOUSEKEEPING_BATCH_RECORDS):
                batch = transition.records[start : start + HOUSEKEEPING_BATCH_RECORDS]
                self._append_in_parts(batch, step.now_ms)
        except KafkaError as error:
            # What is left will be found again by the next round.
            self._tell_of_failure(error)
        self._take_effect(transition)

    def park(self, operation: Callable[[StepT, int], Transition[None]]) -> asyncio.Future[object]:
        """Run an operation whose answer comes by token.

        Returns:
            The answer, or a KafkaError: NOT_COORDINATOR, the disk refused or the partition is
            unloaded. Of a client that is gone the membership stays until its session ends, as in
            Kafka; so its answer is there, too.
        """
        token = next(self._tokens)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.parked[token] = future
        try:
            self.run(lambda step: operation(step, token))
        except KafkaError as error:
            # An undone operation has answered, or has left the request parked for good reasons.
            log.debug("coordinator_operation_undone partition=%d error=%s", self.index, error)
        return future

    async def durable(self, response: ResponseT) -> ResponseT:
        """Return the response when all that the shard has written is durable.

        Raises:
            KafkaError: NOT_COORDINATOR, the disk refused.
        """
        answer = self.when_durable(response)
        return await answer if isinstance(answer, Deferred) else answer

    def when_durable(
        self, response: ResponseT, end_offset: int | None = None
    ) -> ResponseT | Deferred[ResponseT]:
        """Give the response at once where there is nothing to wait for; else as `durable`.

        `end_offset` is behind what has to be durable, where that is not all.
        """
        if end_offset is None:
            end_offset = self.log.log_end_offset
        written = self._durability.submit(self.log, end_offset)
        if written is None:
            return response

        def answer() -> ResponseT:
            try:
                written.result()
            except KafkaError as error:
                raise KafkaError(ERRORS_OF_THE_LOG.get(error.code, error.code)) from error
            return response

        return Deferred([written], answer)

    def end_transaction(
        self,
        producer_id: int,
        producer_epoch: int,
        *,
        is_commit: bool,
        coordinator_epoch: int,
        transaction_version: int = 0,
    ) -> None:
        """Append the marker that ends a producer's transaction here, and act on it.

        Raises:
            KafkaError: What the log refused; then nothing has happened.
        """
        self.log.append_marker(
            producer_id,
            producer_epoch,
            is_commit=is_commit,
            coordinator_epoch=coordinator_epoch,
            now_ms=self._clock.now_ms(),
            transaction_version=transaction_version,
        )
        self.shard.end_transaction(producer_id, is_committed=is_commit)

    def _append(
        self,
        records: Sequence[CoordinatorRecord],
        now_ms: int,
        producer: tuple[int, int] | None = None,
    ) -> None:
        encoded = map(self.shard.encode, records)
        appended = self.log.append_records(
            [Record(i, now_ms, key, value) for i, (key, value) in enumerate(encoded)],
            now_ms,
            self._storage.codec,
            producer,
            self._storage.base_sequence,
        )
        producer_id = NO_PRODUCER_ID if producer is None else producer[0]
        for i, record in enumerate(records):
            self.shard.replay(record, appended.base_offset + i, now_ms, producer_id)

    def _append_in_parts(self, records: Sequence[CoordinatorRecord], now_ms: int) -> None:
        """Append records as one batch, or as several if it is too large for the topic."""
        try:
            self._append(records, now_ms)
        except KafkaError as error:
            if error.code is not ErrorCode.MESSAGE_TOO_LARGE or len(records) == 1:
                raise
            middle = len(records) // 2
            self._append_in_parts(records[:middle], now_ms)
            self._append_in_parts(records[middle:], now_ms)

    def _tell_of_failure(self, error: KafkaError) -> None:
        times = self._failures.count(error.code, self._clock.monotonic_ms())
        if times:
            log.warning(
                "coordinator_append_failed topic=%s partition=%d error=%s times=%d",
                self.topic,
                self.index,
                error,
                times,
            )

    def _take_effect(self, transition: Transition[object]) -> None:
        for timer in transition.timers:
            match timer:
                case SetTimer(key, delay_ms, keeps_running):
                    if not (keeps_running and key in self.timers):
                        self.timers.set(key, delay_ms)
                case CancelTimer(key):
                    self.timers.cancel(key)
        for computation in transition.computations:
            if computation.key not in self._computing:
                task = asyncio.get_running_loop().create_task(self._compute(computation))
                self._computing[computation.key] = task
        for event in transition.events:
            log.info("%s", event)
        if not transition.answers:
            return
        written = self._durability.submit(self.log, self.log.log_end_offset)
        if written is None:
            self._answer(transition.answers)
        else:
            written.add_done_callback(partial(self._answer_when_written, transition.answers))

    def _answer(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            future = self.parked.pop(answer.token, None)
            if future is not None and not future.done():
                future.set_result(answer.response)

    def _answer_when_written(
        self, answers: Iterable[Answer], written: asyncio.Future[None]
    ) -> None:
        if written.cancelled() or written.exception() is not None:
            for answer in answers:
                future = self.parked.pop(answer.token, None)
                if future is not None and not future.done():
                    future.set_exception(KafkaError(ErrorCode.NOT_COORDINATOR))
        else:
            self._answer(answers)

    def _expire(self, key: TimerKey) -> None:
        try:
            self.run(lambda step: self.shard.expire(step, key))
        except KafkaError as error:
            log.warning(
                "coordinator_timer_failed topic=%s partition=%d key=%s %s",
                self.topic,
                self.index,
                key,
                error,
            )

    async def _compute(self, computation: Computation) -> None:
        key, result = computation.key, None
        try:
            result = await asyncio.to_thread(computation.task)
        except Exception:
            log.exception("coordinator_computation_failed partition=%d key=%s", self.index, key)
        finally:
            del self._computing[key]
        try:
            self.run(lambda step: self.shard.computed(step, key, result))
        except KafkaError as error:
            log.warning(
                "coordinator_computation_lost partition=%d key=%s %s", self.index, key, error
            )

    # Loading and unloading

    async def load(self) -> None:
        """Replay the log. Requests meanwhile get COORDINATOR_LOAD_IN_PROGRESS."""
        started_ms = self._clock.monotonic_ms()
        batches = self.log.read_batches(self.log.log_start_offset, self.log.log_end_offset)
        total = 0
        while pieces := await asyncio.to_thread(
            read_pieces, batches, self._storage.load_buffer_bytes, self.shard.decode
        ):
            now_ms = self._clock.now_ms()
            for piece in pieces:
                if piece.is_commit_marker is not None:
                    self.shard.end_transaction(
                        piece.producer_id, is_committed=piece.is_commit_marker
                    )
                for offset, record in piece.records:
                    self.shard.replay(record, offset, now_ms, piece.producer_id)
                total += len(piece.records)
        self.begin()
        log.info(
            "coordinator_loaded topic=%s partition=%d entries=%d records=%d ms=%d",
            self.topic,
            self.index,
            len(self.shard),
            total,
            self._clock.monotonic_ms() - started_ms,
        )

    def begin(self) -> None:
        """Begin to serve, the log being replayed or empty."""
        self.is_loading = False
        self.run(self.shard.loaded)
        for housekeeping in self._when_loaded:
            self.run_in_batches(housekeeping)
        self._when_loaded.clear()

    def unload(self) -> None:
        """Stop serving: whoever waits is sent to look for the coordinator again."""
        self.is_loading = True
        self.timers.clear()
        for task in list(self._computing.values()):
            task.cancel()
        for future in self.parked.values():
            if not future.done():
                future.set_exception(KafkaError(ErrorCode.NOT_COORDINATOR))
        self.parked.clear()
