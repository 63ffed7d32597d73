"""Produce with the transactional bit or a transactional id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.handlers import produce
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.produce import ProduceRequest, ProduceResponse
from tests.harness.broker import a_broker
from tests.harness.loop import run
from tests.harness.produced import a_batch, a_request, only
from tests.harness.transactional_broker import TransactionalBroker, a_transactional_broker
from tests.harness.transactions import ID

E = ErrorCode


def ask(tmp_path: Path, request: ProduceRequest, version: int = 12) -> ProduceResponse:
    """Send one request to a fresh broker with topic `t`."""

    async def main() -> ProduceResponse:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            response = await broker.call(produce, request, version)
            assert isinstance(response, ProduceResponse)
            return response

    return run(main())


async def write(
    world: TransactionalBroker,
    producer: tuple[int, int],
    sequence: int = 0,
    *,
    version: int = 12,
    value: bytes = b"v",
    partition: int = 0,
    acks: int = -1,
    **header: Any,
) -> tuple[ErrorCode, int]:
    """Send a batch; gives the error code and the base offset."""
    batch = a_batch(
        value,
        is_transactional=True,
        producer_id=producer[0],
        producer_epoch=producer[1],
        base_sequence=sequence,
        **header,
    )
    request = a_request(batch, transactional_id=ID, acks=acks, partition=partition)
    result = only(await world.harness.call(produce, request, version))
    return ErrorCode(result.error_code), result.base_offset


def a_transactional_batch() -> bytes:
    return a_batch(is_transactional=True, producer_id=7, producer_epoch=0, base_sequence=0)


def test_a_transactional_batch_needs_a_transactional_id(tmp_path: Path) -> None:
    request = a_request(a_transactional_batch())
    with pytest.raises(KafkaError) as caught:
        ask(tmp_path, request)
    assert caught.value.code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_without_a_coordinator_the_client_is_to_try_again(tmp_path: Path) -> None:
    result = only(ask(tmp_path, a_request(a_transactional_batch(), transactional_id="x")))
    assert result.error_code == ErrorCode.NOT_ENOUGH_REPLICAS
    assert (result.base_offset, result.log_start_offset) == (-1, -1)
    assert "NOT_COORDINATOR" in (result.error_message or "")


def test_a_transactional_batch_without_producer_is_appended(tmp_path: Path) -> None:
    request = a_request(a_batch(is_transactional=True), transactional_id="x")
    assert only(ask(tmp_path, request)).error_code == 0


def test_a_transactional_id_alone_does_no_harm(tmp_path: Path) -> None:
    assert only(ask(tmp_path, a_request(a_batch(), transactional_id="x"))).error_code == 0


@pytest.mark.parametrize("records", [a_batch(b"a")[:40], b"\xff" * 80])
def test_garbage_with_the_transactional_bit_is_not_transactional(
    tmp_path: Path, records: bytes
) -> None:
    garbage = bytearray(records)
    garbage[22] |= 0x10
    result = only(ask(tmp_path, a_request(bytes(garbage))))
    assert result.error_code in (ErrorCode.INVALID_RECORD, ErrorCode.CORRUPT_MESSAGE)


@pytest.mark.parametrize("fsync", ["always", "never"])
@pytest.mark.parametrize("is_commit", [True, False])
def test_a_transaction_of_a_newer_client(tmp_path: Path, fsync: str, is_commit: bool) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync=fsync) as world:
            log = world.harness.log("t")
            producer = await world.begin()
            assert await write(world, producer) == (E.NONE, 0)
            assert await write(world, producer, 1) == (E.NONE, 1)
            assert await write(world, producer, partition=1) == (E.NONE, 0)
            assert await write(world, producer, 1) == (E.NONE, 1), "a duplicate"
            assert (log.last_stable_offset, log.log_end_offset) == (0, 2)
            following = await world.end(producer, is_commit=is_commit)
            assert log.last_stable_offset == 3
            assert following == (producer.producer_id, producer.epoch + 1)
            assert await write(world, producer, 2) == (E.INVALID_PRODUCER_EPOCH, -1)
            assert await write(world, following) == (E.NONE, 3)

    run(main())


def test_a_transaction_of_an_older_client(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            for version, code in ((10, E.INVALID_TXN_STATE), (11, E.TRANSACTION_ABORTABLE)):
                assert await write(world, producer, version=version) == (code, -1)
            await world.transactions.ensure_partitions(ID, producer, [("t", 0)])
            assert await write(world, producer, version=11) == (E.NONE, 0)
            assert await write(world, producer, 1, version=9) == (E.NONE, 1)

    run(main())


def test_nobody_is_let_into_the_transaction_of_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            stranger = ProducerIdAndEpoch(producer.producer_id + 5, 0)
            older = ProducerIdAndEpoch(producer.producer_id, producer.epoch + 1)
            assert await write(world, stranger) == (E.INVALID_PRODUCER_ID_MAPPING, -1)
            assert await write(world, older) == (E.INVALID_PRODUCER_EPOCH, -1)
            assert world.harness.log("t").log_end_offset == 0

    run(main())


def test_a_plain_batch_within_the_transaction_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await write(world, producer)
            batch = a_batch(
                producer_id=producer.producer_id, producer_epoch=producer.epoch, base_sequence=1
            )
            result = only(await world.harness.call(produce, a_request(batch), 12))
            assert result.error_code == E.INVALID_TXN_STATE
            assert (result.base_offset, result.log_start_offset) == (-1, 0)

    run(main())


def test_a_refusal_comes_before_what_is_wrong_with_the_batch(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            assert await write(world, producer, version=11, acks=5) == (
                E.TRANSACTION_ABORTABLE,
                -1,
            )
            assert await write(world, producer, acks=5) == (E.INVALID_REQUIRED_ACKS, -1)

    run(main())


@pytest.mark.parametrize("value", [b"x" * 1000, b"x" * 200_000])
def test_compressed_batches_are_admitted_when_they_are_decompressed(
    tmp_path: Path, value: bytes
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            stranger = ProducerIdAndEpoch(producer.producer_id + 5, 0)
            for codec in (Codec.GZIP, Codec.NONE):
                assert await write(world, stranger, value=value, codec=codec) == (
                    E.INVALID_PRODUCER_ID_MAPPING,
                    -1,
                )
            assert await write(world, producer, value=value, codec=Codec.GZIP) == (E.NONE, 0)
            assert await write(world, producer, 1, value=value) == (E.NONE, 1)

    run(main())


def test_what_fails_while_it_is_waited_for_refuses_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()

            async def fail() -> None:
                raise KafkaError(E.CONCURRENT_TRANSACTIONS)

            monkeypatch.setattr(
                world.transactions, "add_partitions", lambda *arguments, **options: fail()
            )
            assert await write(world, producer) == (E.CONCURRENT_TRANSACTIONS, -1)
            assert world.harness.log("t").log_end_offset == 0

    run(main())


def test_a_request_has_batches_of_one_producer(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            request = a_request(a_transactional_batch(), transactional_id=ID)
            other = a_batch(is_transactional=True, producer_id=8, producer_epoch=0, base_sequence=0)
            request.topic_data += a_request(other, partition=1).topic_data
            with pytest.raises(KafkaError) as caught:
                await world.harness.call(produce, request, 12)
            assert caught.value.code is E.INVALID_PRODUCER_ID_MAPPING

    run(main())
