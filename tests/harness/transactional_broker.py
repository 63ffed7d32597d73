"""A whole broker with a small __transaction_state, and a producer that writes behind its back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pykbroker.coordinator.runtime.transaction_coordinator import (
    TRANSACTION_TOPIC,
    TransactionCoordinator,
    TransactionPartition,
)
from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.protocol.record_batch import RecordBatch
from tests.harness.batches import a_batch
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.transactions import ID, MINUTE_MS

OFFSETS_TOPIC = "__consumer_offsets"


@asynccontextmanager
async def a_transactional_broker(
    directory: Path, **settings: str
) -> AsyncIterator[TransactionalBroker]:
    """Run a broker that coordinates transactions; the topic `t` has two partitions."""
    small = {"transaction_state_log_num_partitions": "2", "offsets_topic_num_partitions": "2"}
    async with a_broker(directory, **(small | settings)) as broker:
        await broker.broker.metadata.ensure_internal_topic(TRANSACTION_TOPIC)
        if broker.image.topic("t") is None:
            await broker.create_topic("t", partitions=2)
        world = TransactionalBroker(broker)
        await world.transactions.loaded()
        yield world


class TransactionalBroker:
    """A broker seen by one producer with the transactional id `ID`."""

    def __init__(self, broker: BrokerHarness) -> None:
        self.harness = broker
        self.clock = broker.clock

    @property
    def transactions(self) -> TransactionCoordinator:
        """What is tested."""
        return self.harness.broker.transactions

    @property
    def partition(self) -> TransactionPartition:
        """The partition of __transaction_state that the id belongs to."""
        return self.transactions._topic.partition_of(ID)

    @property
    def known(self) -> TransactionMetadata:
        """How the id stands."""
        return self.partition.shard.transactions[ID]

    async def begin(self) -> ProducerIdAndEpoch:
        """InitProducerId."""
        return await self.transactions.init_producer(ID, MINUTE_MS, None)

    async def write(
        self, producer: ProducerIdAndEpoch, *partitions: int, sequence: int = 0
    ) -> None:
        """Add partitions of `t` to the transaction and write one record to each."""
        added = [("t", partition) for partition in partitions]
        await self.transactions.ensure_partitions(ID, producer, added, client_version=2)
        for partition in partitions:
            batch = a_batch(
                is_transactional=True,
                producer_id=producer.producer_id,
                producer_epoch=producer.epoch,
                base_sequence=sequence,
            )
            self.harness.log("t", partition).append(batch, self.clock.now_ms())

    async def end(
        self, producer: ProducerIdAndEpoch, *, is_commit: bool = True, version: int = 2
    ) -> ProducerIdAndEpoch:
        """EndTxn."""
        return await self.transactions.end_transaction(
            ID, producer, is_commit=is_commit, client_version=version
        )

    def batches(self, topic: str = "t", partition: int = 0) -> list[RecordBatch]:
        """All that a log has."""
        log = self.harness.log(topic, partition)
        return list(log.read_batches(log.log_start_offset, log.log_end_offset))

    def markers(self, topic: str = "t", partition: int = 0) -> list[tuple[int, int, bool]]:
        """The markers of a log: producer id and epoch, whether it is of a commit."""
        return [
            (batch.producer_id, batch.producer_epoch, (record.key or b"")[3] == 1)
            for batch in self.batches(topic, partition)
            if batch.is_control
            for record in batch.records(1000)
        ]
