"""Producers that write in transactions over a bad network, and what must become of it.

A record's value is `id/number/n`: the transactional id, the number of the transaction and that of
the record, so that each record tells whose it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from pykbroker.coordinator.runtime.group_coordinator import OFFSETS_TOPIC
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.handlers import txn_offset_commit
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.request_context import RequestContext
from pykbroker.transaction_admission import Admission
from tests.harness.batches import a_batch, a_record
from tests.harness.groups import a_txn_commit
from tests.harness.simulated_cluster import DATA_TOPIC, TOPICS, SimulatedCluster

T = TypeVar("T")

TIMEOUT_MS = 30_000
RETRIABLE = frozenset(
    {
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.NOT_ENOUGH_REPLICAS,
    }
)
Transaction = tuple[str, int]


class AnswerLostError(Exception):
    """Nobody knows what has become of the request."""


class ProducerDiedError(Exception):
    """The process is gone, whatever it was about to do."""


@dataclass(slots=True)
class Ledger:
    """What producers were told, and what was seen in the logs.

    Attributes:
        acknowledged: The values of each transaction whose append was confirmed, by partition.
        told: How transactions ended as their producers were told: whether committed.
        seen: How they ended as a marker says; once seen it is so for ever, whatever crashes.
        offsets: The transactions whose offset was confirmed, which is their number.
        promised: The id and epoch that the producers of a transactional id were given last.
    """

    acknowledged: dict[Transaction, set[tuple[int, str]]] = field(default_factory=dict)
    told: dict[Transaction, bool] = field(default_factory=dict)
    seen: dict[Transaction, bool] = field(default_factory=dict)
    offsets: set[Transaction] = field(default_factory=set)
    promised: dict[str, ProducerIdAndEpoch] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=lambda: count(1))

    def promise(self, transactional_id: str, producer: ProducerIdAndEpoch) -> None:
        """Note what a producer was given; of answers that cross each other the later counts."""
        before = self.promised.get(transactional_id)
        is_same_id = before is not None and before.producer_id == producer.producer_id
        if not (is_same_id and before is not None and before.epoch > producer.epoch):
            self.promised[transactional_id] = producer


class Network:
    """Between producers and the broker: requests are carried out or not, answers come or not."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self.random = cluster.random
        self._open: dict[asyncio.Future[Any], asyncio.Task[object]] = {}
        self.is_good = False
        self._is_up = asyncio.Event()
        self._is_up.set()

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Have the broker do something; raises AnswerLostError, or what it refuses with."""
        while not self._is_up.is_set():  # it may be gone again when the waiter runs
            await self._is_up.wait()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def serve() -> object:
            return await operation()

        def done(task: asyncio.Task[object]) -> None:
            self._open.pop(answer, None)
            error = None if task.cancelled() else task.exception()
            if answer.done():
                return
            if task.cancelled() or (not self.is_good and self.random.random() < 0.1):
                answer.set_exception(AnswerLostError())
            elif error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(task.result())  # type: ignore[arg-type]

        task = asyncio.ensure_future(serve())
        self._open[answer] = task
        task.add_done_callback(done)
        return await answer

    def cut(self) -> None:
        """The broker is gone: nobody will be answered, or come to it before `mend`."""
        self._is_up.clear()
        for answer, task in list(self._open.items()):
            if not answer.done():
                answer.set_exception(AnswerLostError())
            task.cancel()
        self._open.clear()

    def mend(self) -> None:
        """The broker is back."""
        self._is_up.set()


class SimulatedProducer:
    """A producer with a transactional id, as the protocol wants it but for its bad luck."""

    def __init__(self, network: Network, ledger: Ledger, transactional_id: str) -> None:
        self.network = network
        self.cluster = network.cluster
        self.random = network.random
        self.ledger = ledger
        self.transactional_id = transactional_id
        self.version = self.random.choice([0, 2])
        self.producer = ProducerIdAndEpoch(-1, -1)
        self.sequences: dict[int, int] = {}
        self.is_winding_up = False

    async def live(self) -> None:
        """Come, and write in transactions until fenced or dead."""
        try:
            await self._init(None)
            while not self.is_winding_up:
                try:
                    await self._transact()
                except KafkaError:
                    if self.random.random() < 0.5:
                        raise
                    await self._init(self.producer)
        except (KafkaError, ProducerDiedError):
            return

    async def _init(self, expected: ProducerIdAndEpoch | None) -> None:
        self._take(
            await self._ask(
                lambda: self.cluster.transactions.init_producer(
                    self.transactional_id, TIMEOUT_MS, expected
                )
            )
        )

    async def _transact(self) -> None:
        transaction = self.transactional_id, next(self.ledger.numbers)
        partitions = [n for n in range(TOPICS[DATA_TOPIC][1]) if self.random.random() < 0.5]
        commits_at = self.random.randrange(8)
        touched = [(DATA_TOPIC, n) for n in partitions]
        if commits_at < 4:
            index = self.cluster.groups.offsets_partition(self.transactional_id)
            touched.append((OFFSETS_TOPIC, index))
        if self.version == 0 and touched:
            await self._ask(
                lambda: self.cluster.transactions.ensure_partitions(
                    self.transactional_id, self.producer, touched
                )
            )
        for number in range(4):
            if number == commits_at:
                await self._commit_offset(transaction)
            if partitions and self.random.random() < 0.4:
                await self._write(transaction, self.random.choice(partitions), number)
            if not self.network.is_good and self.random.random() < 0.05:
                raise ProducerDiedError
        is_commit = self.random.random() < 0.7
        has_written = transaction in self._written or transaction in self.ledger.offsets
        has_begun = bool(touched) if self.version == 0 else has_written
        if not has_begun and (is_commit or self.version == 0):
            return  # as clients do: there is nothing to end
        producer = await self._ask(
            lambda: self.cluster.transactions.end_transaction(
                self.transactional_id,
                self.producer,
                is_commit=is_commit,
                client_version=self.version,
            )
        )
        self.ledger.told[transaction] = is_commit
        self._take(producer)

    @property
    def _written(self) -> dict[Transaction, set[tuple[int, str]]]:
        return self.ledger.acknowledged

    async def _write(self, transaction: Transaction, partition: int, number: int) -> None:
        value = f"{transaction[0]}/{transaction[1]}/{number}"
        sequence = self.sequences.get(partition, 0)
        await self._ask(lambda: self._produce(partition, value, sequence))
        self.sequences[partition] = sequence + 1
        self.ledger.acknowledged.setdefault(transaction, set()).add((partition, value))

    async def _commit_offset(self, transaction: Transaction) -> None:
        """Commit the transaction's number as the offset of a group of its own."""

        async def commit() -> None:
            request = a_txn_commit(
                {(DATA_TOPIC, 0): transaction[1]},
                producer_id=self.producer.producer_id,
                group_id=self.transactional_id,
            )
            request.transactional_id = self.transactional_id
            request.producer_epoch = self.producer.epoch
            context = SimpleNamespace(
                broker=self.cluster.broker, api_version=5 if self.version == 2 else 3
            )
            answer = await txn_offset_commit.handle(cast(RequestContext, context), request)
            code = ErrorCode(answer.topics[0].partitions[0].error_code)
            if code is not ErrorCode.NONE:
                raise KafkaError(code)

        await self._ask(commit)
        self.ledger.offsets.add(transaction)

    async def _produce(self, partition: int, value: str, sequence: int) -> None:
        """What the broker does with a Produce request."""
        key = DATA_TOPIC, partition
        batch = a_batch(
            records=[a_record(value=value.encode())],
            is_transactional=True,
            producer_id=self.producer.producer_id,
            producer_epoch=self.producer.epoch,
            base_sequence=sequence,
        )
        api_version = 12 if self.version == 2 else 11
        admission = Admission(self.cluster.broker, self.transactional_id, api_version, {key: batch})
        while (waits := admission.look()) is not None:
            try:
                await waits
            except KafkaError as error:
                admission.note_failure(error)
        if key in admission.refused:
            raise admission.refused[key]
        log = self.cluster.logs[key]
        appended = log.append(batch, self.cluster.clock.now_ms())
        written = self.cluster.durability.submit(log, appended.last_offset + 1)
        if written is not None:
            await written

    async def _ask(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer that is one."""
        while True:
            try:
                return await self.network.call(operation)
            except AnswerLostError:
                await asyncio.sleep(0)
            except KafkaError as error:
                if error.code not in RETRIABLE:
                    raise
                await asyncio.sleep(0)

    def _take(self, producer: ProducerIdAndEpoch) -> None:
        if producer != self.producer:
            self.sequences.clear()
        self.producer = producer
        self.ledger.promise(self.transactional_id, producer)
