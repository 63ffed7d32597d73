"""Many producers in transactions, over logs that a power cut may shorten at any moment.

After every step: a transaction has ended the same way wherever a marker says how, and as its
producer was told, and so have the offsets that groups have committed in it; the last stable offset
is where the first open transaction begins; epochs only grow. At a power cut, and at the end, the
logs say what the coordinators know. In the end every transaction has ended, and everything that was
confirmed of a committed one is to be read.

Everything random comes from the seed, which a failure names; see tests/harness/simulation.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from pykbroker.coordinator.runtime import transaction_coordinator
from pykbroker.coordinator.transaction.metadata import LAST_CLIENT_EPOCH
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from tests.harness.loop import turns
from tests.harness.simulated_cluster import DATA_TOPIC, TOPICS, SimulatedCluster
from tests.harness.simulated_producers import Ledger, Network, SimulatedProducer, Transaction
from tests.harness.simulation import replayable, seeds

IDS = ["a", "b", "c"]
STEPS = 250


@dataclass(slots=True)
class SeenLog:
    """What was read of one log so far; after a power cut it is read anew."""

    next_offset: int = 0
    open: dict[int, tuple[int, Transaction]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    ended: set[Transaction] = field(default_factory=set)
    pending: dict[Transaction, set[str]] = field(default_factory=dict)


class Simulation:
    """The cluster, its producers, and what must be true of them."""

    def __init__(self, path: Path, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = SimulatedCluster(path, self.random)
        self.network = Network(self.cluster)
        self.ledger = Ledger()
        self.producers: dict[asyncio.Task[None], SimulatedProducer] = {}
        self.seen: list[SeenLog] = []
        self.compared_ends = 0

    async def run(self) -> None:
        await self.cluster.start()
        self.look_anew()
        await self.use_up_epochs()
        for _ in range(STEPS):
            await self.step()
            self.check()
        await self.wind_up()
        self.check_end()
        await self.cluster.end()

    def look_anew(self) -> None:
        self.seen = [SeenLog() for _ in range(TOPICS[DATA_TOPIC][1])]

    async def use_up_epochs(self) -> None:
        """Let the epochs of some producer ids be used up soon."""
        for transactional_id in IDS:
            if self.random.random() < 0.7:
                continue
            partition = self.cluster.transactions._topic.partition_of(transactional_id)
            await self.settled(
                self.cluster.transactions.init_producer(transactional_id, 60_000, None)
            )
            known = partition.shard.transactions[transactional_id]
            epoch = LAST_CLIENT_EPOCH - self.random.randrange(4)
            step = partition.new_step()
            step.write(known.renewed(known.producer_id, epoch, 60_000, step.now_ms))
            partition.run(lambda _, step=step: step.done(None))  # type: ignore[misc]

    async def settled(self, operation: object) -> None:
        """Let an operation come to its end with the disks that it needs."""
        task = asyncio.ensure_future(operation)  # type: ignore[call-overload]
        while not task.done():
            await turns(2)
            self.flush_all()
        task.result()

    async def step(self) -> None:
        random = self.random
        chance = random.random()
        if chance < 0.45:
            await turns(random.randint(1, 4))
        elif chance < 0.85:
            if self.cluster.durability.asked:
                logs = list(self.cluster.durability.asked)
                self.cluster.durability.flush(random.choice(logs))
            await turns(1)
        elif chance < 0.93:
            transactional_id = random.choice(IDS)
            producer = SimulatedProducer(self.network, self.ledger, transactional_id)
            self.producers[asyncio.ensure_future(producer.live())] = producer
        elif chance < 0.97:
            self.cluster.clock.advance(random.choice([100, 1_000, 11_000, 41_000]))
            if random.random() < 0.02:
                self.cluster.clock.advance(2 * 7_200_000)
            await turns(2)
        elif chance < 0.985 and self.producers:
            task = random.choice(list(self.producers))
            task.cancel()
            await turns(1)
        else:
            self.network.cut()
            await self.cluster.cut_power()
            self.network.mend()
            self.look_anew()
        for task in [task for task in self.producers if task.done()]:
            del self.producers[task]
            if not task.cancelled():
                task.result()

    def flush_all(self) -> None:
        for log in list(self.cluster.durability.asked):
            self.cluster.durability.flush(log)

    async def wind_up(self) -> None:
        """Let good times come, and everything end."""
        self.network.is_good = True
        for producer in self.producers.values():
            producer.is_winding_up = True
        for _ in range(5_000):
            if not self.producers:
                break
            await turns(2)
            self.flush_all()
            if self.random.random() < 0.05:
                self.cluster.clock.advance(100)
            for task in [task for task in self.producers if task.done()]:
                del self.producers[task]
                task.result()
        assert not self.producers, "somebody waits for ever"
        for _ in range(30):
            self.cluster.clock.advance(11_000)
            await self.rest()
        self.check()

    async def rest(self) -> None:
        """Flush until nothing has been asked for any more, for some turns."""
        idle_turns = 0
        while idle_turns < 6:
            await turns(2)
            idle_turns = 0 if self.cluster.durability.asked else idle_turns + 2
            self.flush_all()

    # What must be true

    def check(self) -> None:
        for partition, seen in enumerate(self.seen):
            log = self.cluster.logs[DATA_TOPIC, partition]
            if log.log_end_offset > seen.next_offset:
                self.read_on(partition, seen)
            begins = [offset for offset, _ in seen.open.values()]
            assert log.last_stable_offset == min(begins, default=log.log_end_offset)
        for group_id in IDS:
            offset = self.cluster.committed(group_id)
            if offset is not None:
                is_commit = self.ledger.seen.setdefault((group_id, offset), True)
                assert is_commit, f"offset {offset} of {group_id} is seen, though aborted"
        known_ends = len(self.ledger.told) + len(self.ledger.seen)
        if known_ends != self.compared_ends:
            self.compared_ends = known_ends
            for transaction, is_commit in self.ledger.told.items():
                assert self.ledger.seen.get(transaction, is_commit) is is_commit, transaction
        for coordinator in self.cluster.transactions._topic.partitions.values():
            for transactional_id, known in coordinator.shard.transactions.items():
                promised = self.ledger.promised.get(transactional_id, ProducerIdAndEpoch(-1, -1))
                if promised.producer_id == known.producer_id:
                    assert known.producer_epoch >= promised.epoch, transactional_id

    def read_on(self, partition: int, seen: SeenLog) -> None:
        for batch in self.cluster.batches(partition, seen.next_offset):
            seen.next_offset = batch.base_offset + batch.last_offset_delta + 1
            assert batch.producer_epoch >= seen.epochs.get(batch.producer_id, 0)
            seen.epochs[batch.producer_id] = batch.producer_epoch
            (record,) = batch.records(1 << 20)
            if not batch.is_control:
                value = (record.value or b"").decode()
                transactional_id, number, _ = value.split("/")
                transaction = transactional_id, int(number)
                begun = (batch.base_offset, transaction)
                _, other = seen.open.setdefault(batch.producer_id, begun)
                assert other == transaction, "two transactions of a producer are open at once"
                values = seen.pending.setdefault(transaction, set())
                assert value not in values, "a retry was written twice"
                values.add(value)
                assert transaction not in seen.ended, "written to after its end"
                continue
            ended = seen.open.pop(batch.producer_id, None)
            if ended is not None:
                self.end(seen, ended[1], is_commit=(record.key or b"")[3] == 1)

    def end(self, seen: SeenLog, transaction: Transaction, *, is_commit: bool) -> None:
        before = self.ledger.seen.setdefault(transaction, is_commit)
        assert before is is_commit, f"{transaction} is torn"
        seen.ended.add(transaction)
        values = seen.pending.pop(transaction, set())
        if is_commit:
            seen.committed |= values

    def check_end(self) -> None:
        self.cluster.check_replay()
        for partition, seen in enumerate(self.seen):
            assert not seen.open, f"a transaction hangs in partition {partition}"
        for coordinator in self.cluster.groups._topic.partitions.values():
            assert coordinator.shard.offsets.pending == {}, "an offset is pending for ever"
        for transactional_id, number in self.ledger.offsets:
            if self.ledger.told.get((transactional_id, number)):
                assert (self.cluster.committed(transactional_id) or 0) >= number
        for transaction, is_commit in self.ledger.told.items():
            for partition, value in self.ledger.acknowledged.get(transaction, ()):
                is_read = value in self.seen[partition].committed
                assert is_read is is_commit, f"{value} in partition {partition}"


@pytest.mark.parametrize("seed", seeds(10))
def test_transactions_are_whole_whatever_happens(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In real time, of which the simulation knows nothing.
    monkeypatch.setattr(transaction_coordinator, "MAX_WAIT_SECONDS", 3_600)
    with replayable(seed, __file__):
        asyncio.run(Simulation(tmp_path / "data", seed).run())
