"""Both coordinators on real logs whose machine may lose its power at any moment.

Nothing is flushed but by `SteppedDurability.flush`. A power cut leaves of each log what was
flushed, and of what was not as many batches as chance will have, each log for itself.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from pykbroker.broker import Broker
from pykbroker.config.broker import BrokerConfig
from pykbroker.coordinator.group.records import decode_record as decode
from pykbroker.coordinator.group.shard import GroupShard
from pykbroker.coordinator.runtime import GroupCoordinator
from pykbroker.coordinator.runtime.group_coordinator import OFFSETS_TOPIC
from pykbroker.coordinator.runtime.loading import read_pieces
from pykbroker.coordinator.runtime.markers import MarkerWriter
from pykbroker.coordinator.runtime.transaction_coordinator import (
    TRANSACTION_TOPIC,
    TransactionCoordinator,
)
from pykbroker.coordinator.transaction.shard import TransactionShard
from pykbroker.durability import FlushableLog, GroupCommit
from pykbroker.protocol.messages.transaction_log_record import TransactionLogKey
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.recovery import LogLoader
from tests.harness.clock import ManualClock
from tests.harness.coordinators import FakeMetadata, a_topic, an_image
from tests.harness.logs import FaultyFiles, a_config

T = TypeVar("T")

DATA_TOPIC = "t"
TOPICS = {
    TRANSACTION_TOPIC: (b"x" * 16, 2),
    OFFSETS_TOPIC: (b"o" * 16, 2),
    DATA_TOPIC: (b"t" * 16, 3),
}
Key = tuple[str, int]


class InlineExecutor(ThreadPoolExecutor):
    """Does at once what would be done by a thread, so that a seed is always the same story."""

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:  # as a thread would
            future.set_exception(error)
        return future


class SteppedDurability(GroupCommit):
    """Group commit whose flushes happen when the simulation says so."""

    def __init__(self) -> None:
        super().__init__(enabled=True)
        self.asked: dict[FlushableLog, list[tuple[int, asyncio.Future[None]]]] = {}

    def submit(self, log: FlushableLog, offset: int) -> asyncio.Future[None] | None:
        if log.recovery_point >= offset:
            return None
        future = asyncio.get_running_loop().create_future()
        self.asked.setdefault(log, []).append((offset, future))
        return future

    def flush(self, log: FlushableLog) -> None:
        """Flush a log and answer whoever waited for it."""
        log.flush()
        for _, future in self.asked.pop(log, ()):
            if not future.done():
                future.set_result(None)


class SimulatedCluster:
    """One broker's logs and coordinators, and what outlives a power cut.

    Attributes:
        power_cuts: How many there were.
    """

    def __init__(self, path: Path, random: Random) -> None:
        self.random = random
        self.power_cuts = 0
        self.clock = ManualClock()
        self.metadata = FakeMetadata(
            an_image(*(a_topic(name, *about) for name, about in TOPICS.items()))
        )
        self.config = BrokerConfig.from_settings({"transactional.id.expiration.ms": "7200000"})
        self._directory = DataDirectory(path, FaultyFiles())
        self._kept: dict[Key, int] = {}
        self._producer_ids = iter(range(1, 1_000_000))
        self.logs: dict[Key, PartitionLog] = {
            (name, index): self._load((name, index), 0)
            for name, (_, partitions) in TOPICS.items()
            for index in range(partitions)
        }

    async def start(self) -> None:
        """Start the broker and wait until it has read what it knew."""
        asyncio.get_running_loop().set_default_executor(InlineExecutor())
        self.durability = SteppedDurability()
        logs = cast(Any, SimpleNamespace(get=lambda *key: self.logs.get(key), refused=set()))
        self.groups = GroupCoordinator(
            lambda: self.config, self.clock, self.metadata, logs, self.durability
        )
        markers = MarkerWriter(self.clock, logs, self.durability, lambda: self.groups)
        self.transactions = TransactionCoordinator(
            lambda: self.config,
            self.clock,
            self.metadata,
            logs,
            self.durability,
            cast(Any, self),
            markers,
        )
        self.broker = cast(
            Broker,
            SimpleNamespace(
                config=self.config,
                clock=self.clock,
                metadata=self.metadata,
                logs=logs,
                groups=self.groups,
                transactions=self.transactions,
            ),
        )
        self.groups.start()
        await self.groups.loaded()
        self.transactions.start()
        await self.transactions.loaded()

    async def cut_power(self) -> None:
        """Stop without a warning, lose some of what was not flushed, and start again."""
        self.check_replay()
        self.power_cuts += 1
        await self.transactions.close()
        await self.groups.close()
        for key, log in self.logs.items():
            # What was there after the last power cut is on the disk, whatever a start made of it.
            durable = max(log.recovery_point, self._kept.get(key, 0))
            unflushed = log.read_batches(durable, log.log_end_offset)
            ends = [durable, log.log_end_offset, *(batch.base_offset for batch in unflushed)]
            self._kept[key] = offset = self.random.choice(ends)
            size = sum(batch.size_bytes for batch in log.read_batches(log.log_start_offset, offset))
            recovery_point = self.random.choice([0, log.recovery_point])
            log.abandon()
            for file in log.path.glob("*.log"):
                with file.open("r+b") as writable:
                    writable.truncate(size)
            if self.random.random() < 0.3:
                for file in [*log.path.glob("*index"), *log.path.glob("*.snapshot")]:
                    file.unlink()
            self.logs[key] = self._load(key, recovery_point)
            self.logs[key].leader_epoch = self.power_cuts
        self.clock = ManualClock(self.clock.now_ms())
        self.metadata.listeners.clear()
        await self.start()

    def check_replay(self) -> None:
        """What the logs say is what the coordinators know."""
        for index, groups in self.groups._topic.partitions.items():
            log = self.logs[OFFSETS_TOPIC, index]
            assert self._replayed(log).offsets == groups.shard.offsets
        for index, partition in self.transactions._topic.partitions.items():
            replayed = TransactionShard()
            log = self.logs[TRANSACTION_TOPIC, index]
            for batch in log.read_batches(0, log.log_end_offset):
                for record in batch.records(1 << 20):
                    decoded = replayed.decode(record.key or b"", record.value)
                    assert decoded is not None
                    assert isinstance(decoded.key, TransactionLogKey)
                    replayed.replay(decoded, record.offset, 0)
            assert replayed.transactions == partition.shard.transactions
            assert replayed.open_ids == partition.shard.open_ids

    def batches(self, partition: int, offset: int) -> list[RecordBatch]:
        """What a partition of the data topic has from an offset on."""
        log = self.logs[DATA_TOPIC, partition]
        return list(log.read_batches(offset, log.log_end_offset))

    @staticmethod
    def _replayed(log: PartitionLog) -> GroupShard:
        shard = GroupShard(str)
        batches = log.read_batches(0, log.log_end_offset)
        while pieces := read_pieces(batches, 1 << 40, decode):
            for piece in pieces:
                if piece.is_commit_marker is not None:
                    shard.end_transaction(piece.producer_id, is_committed=piece.is_commit_marker)
                for offset, record in piece.records:
                    shard.replay(record, offset, 0, piece.producer_id)
        return shard

    def committed(self, group_id: str) -> int | None:
        """The offset that a group has committed for partition 0 of the data topic."""
        offsets = self.groups._topic.partition_of(group_id).shard.offsets
        found = offsets.get(group_id, DATA_TOPIC, 0)
        return None if found is None else found.offset

    async def end(self) -> None:
        """Stop for good."""
        await self.transactions.close()
        await self.groups.close()
        for log in self.logs.values():
            log.abandon()
        shutil.rmtree(self._directory.path)

    # Producer ids, which never run out, but sometimes have to be fetched first

    def take_at_once(self) -> int | None:
        return None if self.random.random() < 0.1 else next(self._producer_ids)

    async def refill(self) -> None:
        await asyncio.sleep(0)

    def _load(self, key: Key, recovery_point: int) -> PartitionLog:
        name, index = key
        path = self._directory.path / f"{name}-{index}"
        path.mkdir(parents=True, exist_ok=True)
        config = a_config()
        loaded = LogLoader(
            self._directory.files,
            path,
            config,
            now_ms=self.clock.now_ms(),
            log_start_offset=0,
            recovery_point=recovery_point,
            is_clean=False,
        ).load()
        topic_id, _ = TOPICS[name]
        return PartitionLog(self._directory, path, name, topic_id, index, config, loaded)
