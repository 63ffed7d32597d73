"""A transaction shard without a runtime: what an operation writes is replayed at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TypeVar

from pykbroker.coordinator.transaction.end import End
from pykbroker.coordinator.transaction.init_producer import InitProducer
from pykbroker.coordinator.transaction.metadata import TopicPartition, TransactionMetadata
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.coordinator.transaction.shard import TransactionShard
from pykbroker.coordinator.transaction.step import TransactionSettings, TransactionStep
from pykbroker.coordinator.transition import CoordinatorRecord, Transition
from pykbroker.protocol.errors import ErrorCode, KafkaError

T = TypeVar("T")

ID = "id"
T0: TopicPartition = ("t", 0)
T1: TopicPartition = ("t", 1)
MINUTE_MS = 60_000


class Driver:
    """Runs operations of a shard and keeps what they wrote."""

    def __init__(self, version: int = 2) -> None:
        self.shard = TransactionShard()
        self.now_ms = 1_000
        self.settings = TransactionSettings(version=version)
        self.producer_ids = count(1000)
        self.log: list[CoordinatorRecord] = []
        self.events: list[str] = []

    @property
    def step(self) -> TransactionStep:
        """A new operation."""
        return TransactionStep(self.now_ms, self.settings, lambda: next(self.producer_ids))

    def run(self, operation: Callable[[TransactionStep], Transition[T]]) -> T:
        """Run an operation, each record through its bytes."""
        transition = operation(self.step)
        for record in transition.records:
            self.replay(record)
        self.events += transition.events
        return transition.response

    def replay(self, record: CoordinatorRecord) -> None:
        """Write a record and take it over."""
        decoded = self.shard.decode(*self.shard.encode(record))
        assert decoded is not None
        self.log.append(decoded)
        self.shard.replay(decoded, len(self.log) - 1, self.now_ms)

    @property
    def known(self) -> TransactionMetadata:
        """How the one transactional id stands."""
        return self.shard.transactions[ID]

    def init(
        self, expected: tuple[int, int] | None = None, timeout_ms: int = MINUTE_MS
    ) -> ProducerIdAndEpoch | None:
        """InitProducerId."""
        holder = None if expected is None else ProducerIdAndEpoch(*expected)
        request = InitProducer(ID, timeout_ms, holder)
        return self.run(lambda step: self.shard.init_producer(step, request))

    def begin(self, expected: tuple[int, int] | None = None) -> ProducerIdAndEpoch:
        """InitProducerId that finds nothing open."""
        producer = self.init(expected)
        assert producer is not None
        return producer

    def add(self, producer: tuple[int, int], *partitions: TopicPartition, version: int = 2) -> None:
        """AddPartitionsToTxn."""
        added, who = frozenset(partitions), ProducerIdAndEpoch(*producer)
        self.run(lambda step: self.shard.add_partitions(step, ID, who, added, version))

    def end(
        self, producer: tuple[int, int], *, is_commit: bool = True, version: int = 2
    ) -> ProducerIdAndEpoch:
        """EndTxn."""
        request = End(ID, ProducerIdAndEpoch(*producer), is_commit, version)
        return self.run(lambda step: self.shard.end(step, request))

    def complete(self) -> None:
        """All markers are written."""
        self.run(lambda step: self.shard.complete(step, ID))

    def at_epoch(self, epoch: int, version: int = 2) -> ProducerIdAndEpoch:
        """A producer that has come as far as this epoch."""
        producer = self.begin()
        known = self.known
        self.run(lambda step: renew(step, known, epoch))
        return ProducerIdAndEpoch(producer.producer_id, epoch)


def renew(step: TransactionStep, known: TransactionMetadata, epoch: int) -> Transition[None]:
    """Write that a producer id is in an epoch."""
    step.write(known.renewed(known.producer_id, epoch, known.timeout_ms, step.now_ms))
    return step.done(None)


def code_of(operation: Callable[[], object]) -> ErrorCode:
    """What an operation is refused with, or NONE."""
    try:
        operation()
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE
