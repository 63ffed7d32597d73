from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.handlers import add_partitions_to_txn
from pykbroker.metadata.features import TRANSACTION_VERSION, FeatureUpdate, UpgradeType
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from tests.harness.answers import answer
from tests.harness.loop import run
from tests.harness.transactional_broker import TransactionalBroker, a_transactional_broker
from tests.harness.transactions import ID

NONE = ErrorCode.NONE
FENCED, OLD_FENCED = ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH


async def ask(
    world: TransactionalBroker,
    version: int,
    producer: ProducerIdAndEpoch,
    *partitions: tuple[str, int],
    transactional_id: str = ID,
    verify_only: bool = False,
) -> dict[tuple[str, int], int]:
    """The error code of each partition."""
    names = dict.fromkeys(name for name, _ in partitions)
    topics = [
        AddPartitionsToTxnTopic(name, [index for each, index in partitions if each == name])
        for name in names
    ]
    if version >= 4:
        transaction = AddPartitionsToTxnTransaction(
            transactional_id, *producer, verify_only, topics
        )
        request = AddPartitionsToTxnRequest(transactions=[transaction])
    else:
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=transactional_id,
            v3_and_below_producer_id=producer.producer_id,
            v3_and_below_producer_epoch=producer.epoch,
            v3_and_below_topics=topics,
        )
    response: Any = await answer(world.harness, add_partitions_to_txn, request, version)
    results = response.results_by_topic_v3_and_below
    if version >= 4:
        (of_transaction,) = response.results_by_transaction
        assert of_transaction.transactional_id == transactional_id
        results = of_transaction.topic_results
    return {
        (topic.name, each.partition_index): each.partition_error_code
        for topic in results
        for each in topic.results_by_partition
    }


@pytest.mark.parametrize("version", range(6))
def test_partitions_become_part_of_the_transaction(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            both = ("t", 0), ("t", 1)
            assert await ask(world, version, producer, *both) == dict.fromkeys(both, NONE)
            assert world.known.partitions == set(both)
            assert world.known.client_version == (2 if version >= 4 else 0)

    run(main())


@pytest.mark.parametrize("version", range(6))
def test_one_that_there_is_not_keeps_the_others_out(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            asked = ("t", 0), ("t", 2), ("nothing", 0), ("__transaction_state", 0)
            unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            not_attempted = ErrorCode.OPERATION_NOT_ATTEMPTED
            internal = ErrorCode.TOPIC_AUTHORIZATION_FAILED if version < 4 else not_attempted
            codes = await ask(world, version, producer, *asked)
            assert list(codes.values()) == [not_attempted, unknown, unknown, internal]
            assert world.known.partitions == frozenset()

    run(main())


@pytest.mark.parametrize("version", range(6))
def test_refusals_of_the_whole_transaction(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            stale = ProducerIdAndEpoch(producer.producer_id, producer.epoch + 1)
            stranger = ProducerIdAndEpoch(producer.producer_id + 5, producer.epoch)
            mapping = ErrorCode.INVALID_PRODUCER_ID_MAPPING
            t0 = ("t", 0)
            fenced = FENCED if version >= 2 else OLD_FENCED
            assert await ask(world, version, stale, t0) == {t0: fenced}
            assert await ask(world, version, stranger, t0) == {t0: mapping}
            assert await ask(world, version, producer, t0, transactional_id="x") == {t0: mapping}
            empty = await ask(world, version, producer, t0, transactional_id="")
            assert empty == {t0: ErrorCode.INVALID_REQUEST}

    run(main())


@pytest.mark.parametrize("version", [4, 5])
def test_a_broker_may_only_ask(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0)
            codes = await ask(world, version, producer, ("t", 0), ("t", 1), verify_only=True)
            assert list(codes.values()) == [NONE, ErrorCode.TRANSACTION_ABORTABLE]
            assert world.known.partitions == {("t", 0)}
            stale = ProducerIdAndEpoch(producer.producer_id, producer.epoch + 1)
            codes = await ask(world, version, stale, ("t", 0), verify_only=True)
            assert list(codes.values()) == [FENCED]

    run(main())


def test_an_error_of_the_request_has_its_place_in_every_version() -> None:
    topics = [AddPartitionsToTxnTopic("t", [0])]
    old = AddPartitionsToTxnRequest(v3_and_below_topics=topics)
    code = ErrorCode.UNKNOWN_SERVER_ERROR
    response = add_partitions_to_txn.error_response(old, code)
    (topic,) = response.results_by_topic_v3_and_below
    assert topic.results_by_partition[0].partition_error_code == code
    assert response.encode(3)
    response = add_partitions_to_txn.error_response(AddPartitionsToTxnRequest(), code)
    assert response.error_code == code
    assert response.encode(5)


@pytest.mark.parametrize("version", [4, 5])
def test_version_0_of_transactions_is_told_to_brokers_for_the_whole_request(
    tmp_path: Path, version: int
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.harness.broker.metadata.update_features(
                [FeatureUpdate(TRANSACTION_VERSION, 0, UpgradeType.SAFE_DOWNGRADE)]
            )
            topics = [AddPartitionsToTxnTopic("t", [0])]
            transaction = AddPartitionsToTxnTransaction(ID, *producer, topics=topics)
            request = AddPartitionsToTxnRequest(transactions=[transaction])
            response = await answer(world.harness, add_partitions_to_txn, request, version)
            assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
            assert response.results_by_transaction == []
            assert await ask(world, 3, producer, ("t", 0)) == {("t", 0): NONE}

    run(main())
