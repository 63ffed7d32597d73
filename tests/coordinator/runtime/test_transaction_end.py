from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pykbroker.coordinator.runtime.markers import Marker, MarkerWriter
from pykbroker.coordinator.transaction.end import End
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.loop import run, turns, until
from tests.harness.transactional_broker import TransactionalBroker, a_transactional_broker
from tests.harness.transactions import ID


def decide(world: TransactionalBroker, producer: ProducerIdAndEpoch) -> None:
    """Write the decision, and stop short of what follows from it."""
    end = End(ID, producer, is_commit=True, client_version=2)
    world.partition.run(lambda step: world.partition.shard.end(step, end))


def refuse(
    monkeypatch: pytest.MonkeyPatch, codes: list[ErrorCode], partition: int
) -> Callable[[], int]:
    """Let the first markers of a partition be refused; how many were asked for."""
    write, asked = MarkerWriter.write, 0

    def refusing(
        self: MarkerWriter, marker: Marker, topic: str, index: int
    ) -> asyncio.Future[None] | None:
        nonlocal asked
        if index == partition:
            asked += 1
            if codes:
                raise KafkaError(codes.pop(0))
        return write(self, marker, topic, index)

    monkeypatch.setattr(MarkerWriter, "write", refusing)
    return lambda: asked


def test_what_was_decided_is_carried_out_after_a_crash(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0, 1)
            decide(world, producer)
            assert world.markers() == []
        async with a_transactional_broker(tmp_path) as world:
            await turns(20)
            assert world.markers(partition=0) == world.markers(partition=1)
            assert world.markers() == [(producer.producer_id, 1, True)]
            assert world.known.state is TransactionState.COMPLETE_COMMIT
            assert await world.end(producer) == (producer.producer_id, 1), "a retry"

    run(main())


def test_a_partition_that_is_gone_does_not_hold_the_others_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0, 1)
            await world.transactions.ensure_partitions(ID, producer, [("gone", 0)])
            await world.end(producer)
            await turns()
            assert world.known.state is TransactionState.COMPLETE_COMMIT
            assert world.markers() == [(producer.producer_id, 1, True)]

    run(main())


def test_a_partition_that_cannot_take_its_marker_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            asked = refuse(monkeypatch, [ErrorCode.NOT_LEADER_OR_FOLLOWER] * 2, 1)
            producer = await world.begin()
            await world.write(producer, 0, 1)
            producer = await world.end(producer)
            assert world.markers(partition=0) == [(producer.producer_id, 1, True)]
            assert world.markers(partition=1) == []
            assert world.known.state is TransactionState.PREPARE_COMMIT
            waiting = asyncio.ensure_future(world.write(producer, 0))
            for _ in range(2):
                assert not waiting.done()
                world.clock.advance(100)
                await turns()
            await waiting
            assert asked() == 3
            assert world.markers(partition=1) == [(producer.producer_id, 1, True)]
            assert world.known.partitions == {("t", 0)}
            assert caplog.text.count("transaction_marker_delayed") == 1

    run(main())


def test_a_partition_with_a_later_producer_has_nothing_left_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            asked = refuse(monkeypatch, [ErrorCode.INVALID_PRODUCER_EPOCH], 1)
            producer = await world.begin()
            await world.write(producer, 0, 1)
            await world.end(producer)
            await turns()
            assert asked() == 1
            assert world.known.state is TransactionState.COMPLETE_COMMIT
            assert "transaction_marker_refused" in caplog.text

    run(main())


def test_a_decision_that_a_partition_takes_for_an_old_coordinators_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            refuse(monkeypatch, [ErrorCode.TRANSACTION_COORDINATOR_FENCED], 1)
            producer = await world.begin()
            await world.write(producer, 0, 1)
            await world.end(producer)
            await turns()
            assert world.known.state is TransactionState.PREPARE_COMMIT
            world.clock.advance(100)
            await turns()
            assert world.markers(partition=1) == world.markers(partition=0)

    run(main())


def test_nothing_is_marked_before_the_decision_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            await world.write(producer, 0)
            log = world.harness.log("__transaction_state", world.partition.index)
            may_flush = threading.Event()
            flush = log.flush

            def stalled() -> None:
                may_flush.wait()
                flush()

            monkeypatch.setattr(type(log), "flush", lambda each: stalled() if each is log else None)
            ending = asyncio.ensure_future(world.end(producer))
            await turns(20)
            assert world.known.state is TransactionState.PREPARE_COMMIT
            assert world.markers() == []
            assert not ending.done()
            monkeypatch.undo()
            may_flush.set()
            assert (await ending).epoch == 1
            assert len(world.markers()) == 1
            await until(lambda: world.known.state is TransactionState.COMPLETE_COMMIT)

    run(main())


def test_a_disk_that_fails_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            await world.write(producer, 0)
            log = world.harness.log("__transaction_state", world.partition.index)

            def failing() -> None:
                raise OSError("the disk is gone")

            monkeypatch.setattr(type(log), "flush", lambda each: failing())
            with pytest.raises(KafkaError) as refused:
                await world.end(producer)
            assert refused.value.code is ErrorCode.NOT_COORDINATOR
            assert world.markers() == []
            assert "transaction_end_failed" in caplog.text
            monkeypatch.undo()

    run(main())


def test_an_end_that_is_left_behind_tells_whoever_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0)
            ending = asyncio.ensure_future(world.end(producer))
            await asyncio.sleep(0)
            await world.transactions.close()
            with pytest.raises(KafkaError) as refused:
                await ending
            assert refused.value.code is ErrorCode.NOT_COORDINATOR

    run(main())
