from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import pytest

from pykbroker.coordinator.runtime import transaction_coordinator as module
from pykbroker.coordinator.runtime.markers import MarkerWriter
from pykbroker.coordinator.transaction.admin import ListFilters
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.coordinator.transaction.state import TransactionState
from pykbroker.metadata.features import TRANSACTION_VERSION, FeatureUpdate, UpgradeType
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.loop import run, turns, until
from tests.harness.transactional_broker import TransactionalBroker, a_transactional_broker
from tests.harness.transactions import ID, MINUTE_MS

T0, T1 = ("t", 0), ("t", 1)


async def code_of(awaitable: Awaitable[object]) -> ErrorCode:
    try:
        await awaitable
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


def never_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no partition take a marker."""

    def refusing(*args: object) -> None:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)

    monkeypatch.setattr(MarkerWriter, "write", refusing)


def test_transactions_of_a_producer_follow_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            for number in range(3):
                await world.write(producer, 0, 1)
                producer = await world.end(producer, is_commit=number != 1)
            ends = [(producer.producer_id, n + 1, n != 1) for n in range(3)]
            assert world.markers(partition=0) == world.markers(partition=1) == ends
        async with a_transactional_broker(tmp_path) as world:
            assert world.known.producer_epoch == 3
            assert await world.begin() == (producer.producer_id, 4)

    run(main())


def test_partitions_are_part_of_a_transaction_when_that_is_durable(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            transactions = world.transactions
            assert transactions.verify(ID, producer, T0) is ErrorCode.TRANSACTION_ABORTABLE
            waits = transactions.add_partitions(ID, producer, [T0, T1])
            assert waits is not None
            with pytest.raises(KafkaError) as early:
                transactions.verify(ID, producer, T0)
            assert early.value.code is ErrorCode.CONCURRENT_TRANSACTIONS
            await waits
            assert transactions.add_partitions(ID, producer, [T1]) is None
            assert transactions.verify(ID, producer, T0) is ErrorCode.NONE
            with pytest.raises(KafkaError) as fenced:
                transactions.add_partitions(ID, ProducerIdAndEpoch(producer.producer_id, 7), [T0])
            assert fenced.value.code is ErrorCode.PRODUCER_FENCED

    run(main())


def test_what_a_start_has_read_becomes_durable_when_it_is_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            await world.write(producer, 0)
            world.partition.log.recovery_point = 0  # type: ignore[misc]
            with pytest.raises(KafkaError) as early:
                world.transactions.verify(ID, producer, T0)
            assert early.value.code is ErrorCode.CONCURRENT_TRANSACTIONS
            await until(lambda: world.partition.log.recovery_point > 0)
            assert world.transactions.verify(ID, producer, T0) is ErrorCode.NONE

    run(main())


def test_who_comes_while_a_transaction_ends_waits_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            never_marked(monkeypatch)
            monkeypatch.setattr(module, "MAX_WAIT_SECONDS", 0.01)
            producer = await world.begin()
            await world.write(producer, 0)
            ended = await world.end(producer)
            assert world.known.state is TransactionState.PREPARE_COMMIT
            busy = ErrorCode.CONCURRENT_TRANSACTIONS
            assert await code_of(world.write(ended, 0)) is busy
            assert await code_of(world.end(producer)) is busy
            assert await code_of(world.begin()) is busy
            monkeypatch.undo()
            waiting = asyncio.ensure_future(world.begin())
            await turns()
            world.clock.advance(100)
            assert await waiting == (producer.producer_id, 2)

    run(main())


def test_a_producer_that_finds_an_open_transaction_comes_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0)
            assert await code_of(world.begin()) is ErrorCode.CONCURRENT_TRANSACTIONS
            assert await world.begin() == (producer.producer_id, 2)
            assert world.markers() == [(producer.producer_id, 1, False)]
            assert await code_of(world.end(producer)) is ErrorCode.PRODUCER_FENCED

    run(main())


def test_a_producer_id_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producers = [
                await world.transactions.init_producer(f"id-{n}", 5, None) for n in range(3)
            ]
            assert len({producer.producer_id for producer in producers}) == 3
            for timeout_ms in (0, -1, 900_001):
                refused = world.transactions.init_producer("i", timeout_ms, None)
                assert await code_of(refused) is ErrorCode.INVALID_TRANSACTION_TIMEOUT

    run(main())


def test_a_transaction_that_takes_too_long_is_aborted(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0, 1)
            world.clock.advance(MINUTE_MS)
            await turns()
            assert world.markers() == []
            world.clock.advance(10_000)
            await turns()
            assert world.markers(partition=0) == world.markers(partition=1)
            assert world.markers() == [(producer.producer_id, 1, False)]
            assert world.known.state is TransactionState.COMPLETE_ABORT
            assert await code_of(world.write(producer, 0)) is ErrorCode.PRODUCER_FENCED
            # It cannot commit what is aborted; that it wanted to abort it is no harm.
            assert await code_of(world.end(producer)) is ErrorCode.INVALID_TXN_STATE
            assert await world.end(producer, is_commit=False) == (producer.producer_id, 1)
            assert await code_of(world.end(producer, version=0)) is ErrorCode.PRODUCER_FENCED

    run(main())


def test_ids_expire(tmp_path: Path) -> None:
    async def main() -> None:
        expiry = {"transactional_id_expiration_ms": "7200000"}
        async with a_transactional_broker(tmp_path, **expiry) as world:
            producer = await world.begin()
            world.clock.advance(3_600_000)
            assert world.known.producer_id == producer.producer_id
            world.clock.advance(3_600_000)
            describing = world.transactions.describe(ID)
            assert await code_of(describing) is ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
            fresh = await world.begin()
            assert fresh.producer_id != producer.producer_id
        async with a_transactional_broker(tmp_path, **expiry) as world:
            assert world.known.producer_id == fresh.producer_id

    run(main())


def test_administrators_see_what_there_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            await world.transactions.init_producer("other", MINUTE_MS, None)
            producer = await world.begin()
            await world.write(producer, 0)
            described = await world.transactions.describe(ID)
            assert (described.transaction_state, described.producer_id) == ("Ongoing", 1)
            listed = await world.transactions.list_transactions(ListFilters())
            assert {each.transactional_id for each in listed} == {ID, "other"}

    run(main())


def test_only_who_coordinates_answers(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            partition = world.partition
            partition.is_loading = True
            loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
            assert await code_of(world.begin()) is loading
            listing = world.transactions.list_transactions(ListFilters())
            assert await code_of(listing) is loading
            partition.is_loading = False
            await lead_elsewhere(world, partition.index)
            assert await code_of(world.begin()) is ErrorCode.NOT_COORDINATOR
            await world.transactions.close()
            assert await code_of(world.begin()) is ErrorCode.COORDINATOR_NOT_AVAILABLE
            await lead_elsewhere(world, 1 - partition.index)

    run(main())


async def lead_elsewhere(world: TransactionalBroker, index: int) -> None:
    """Let another broker lead a partition of __transaction_state."""
    old = world.harness.image
    topic = old.topics[module.TRANSACTION_TOPIC]
    partitions = list(topic.partitions)
    partitions[index] = replace(partitions[index], leader=2)
    new = old.with_topics([replace(topic, partitions=tuple(partitions))])
    world.transactions._on_new_image(old, new)


def test_logs_that_were_missing_are_loaded_when_they_are_made(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            world.transactions._topic.partitions.clear()
            assert await code_of(world.begin()) is ErrorCode.NOT_COORDINATOR
            world.transactions.logs_made()
            await world.transactions.loaded()
            assert await world.begin() == (producer.producer_id, 1)

    run(main())


def test_the_level_of_the_feature_is_followed(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            metadata = world.harness.broker.metadata
            await metadata.update_features(
                [FeatureUpdate(TRANSACTION_VERSION, 0, UpgradeType.SAFE_DOWNGRADE)]
            )
            with pytest.raises(KafkaError) as refusal:
                await world.write(producer, 0)
            assert refusal.value.code is ErrorCode.UNSUPPORTED_VERSION
            await metadata.update_features([FeatureUpdate(TRANSACTION_VERSION, 2)])
            await world.write(producer, 0)

    run(main())
