from pathlib import Path

import pytest

from pykbroker.handlers import init_producer_id
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.init_producer_id import (
    InitProducerIdRequest,
    InitProducerIdResponse,
)
from tests.harness.answers import answer
from tests.harness.broker import a_broker
from tests.harness.loop import run
from tests.harness.transactional_broker import a_transactional_broker
from tests.harness.transactions import ID


def test_everyone_gets_an_id_of_his_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            taken = []
            for version in (*range(6), *range(6)):
                request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=-1)
                response = await broker.call(init_producer_id, request, version)
                assert (response.error_code, response.producer_epoch) == (0, 0)
                taken.append(response.producer_id)
            assert len(set(taken)) == 12
            assert min(taken) >= 0

    run(main())


def test_no_id_is_given_twice_even_after_a_restart(tmp_path: Path) -> None:
    async def take() -> int:
        async with a_broker(tmp_path) as broker:
            request = InitProducerIdRequest(transactional_id=None)
            producer_id = (await broker.call(init_producer_id, request, 4)).producer_id
            assert isinstance(producer_id, int)
            return producer_id

    assert run(take()) != run(take())


def test_an_id_that_the_producer_had_makes_no_difference(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            for producer_id in (77, -5):
                request = InitProducerIdRequest(
                    transactional_id=None, producer_id=producer_id, producer_epoch=2
                )
                response = await broker.call(init_producer_id, request, 3)
                assert (response.error_code, response.producer_epoch) == (0, 0)
                assert response.producer_id != producer_id

    run(main())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"producer_id": 5}, ErrorCode.INVALID_REQUEST),
        ({"producer_epoch": 5}, ErrorCode.INVALID_REQUEST),
        ({"transactional_id": ""}, ErrorCode.INVALID_REQUEST),
        ({"transactional_id": "x"}, ErrorCode.INVALID_TRANSACTION_TIMEOUT),
        ({"transactional_id": "x", "transaction_timeout_ms": 5}, ErrorCode.NOT_COORDINATOR),
    ],
)
def test_refusals(tmp_path: Path, fields: dict[str, int], code: ErrorCode) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            request = InitProducerIdRequest(**({"transactional_id": None} | fields))  # type: ignore[arg-type]
            with pytest.raises(KafkaError) as caught:
                await broker.call(init_producer_id, request, 4)
            assert caught.value.code == code
            assert init_producer_id.error_response(request, code) == InitProducerIdResponse(
                error_code=code, producer_id=-1, producer_epoch=-1
            )

    run(main())


@pytest.mark.parametrize("version", range(6))
def test_a_transactional_id_is_taken_over(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            request = InitProducerIdRequest(ID, 5)
            first, second = [
                await answer(world.harness, init_producer_id, request, version) for _ in range(2)
            ]
            assert (first.error_code, first.producer_epoch) == (ErrorCode.NONE, 0)
            assert (second.producer_id, second.producer_epoch) == (first.producer_id, 1)
            if version < 3:
                return
            again = InitProducerIdRequest(ID, 5, first.producer_id, 1)
            third = await answer(world.harness, init_producer_id, again, version)
            assert third.producer_epoch == 2
            stale = InitProducerIdRequest(ID, 5, first.producer_id, 0)
            refused = await answer(world.harness, init_producer_id, stale, version)
            assert refused.error_code == (
                ErrorCode.PRODUCER_FENCED if version >= 4 else ErrorCode.INVALID_PRODUCER_EPOCH
            )
            assert (refused.producer_id, refused.producer_epoch) == (-1, -1)

    run(main())
