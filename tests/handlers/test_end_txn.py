from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import end_txn
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.end_txn import EndTxnRequest
from tests.harness.answers import answer
from tests.harness.loop import run
from tests.harness.transactional_broker import TransactionalBroker, a_transactional_broker
from tests.harness.transactions import ID

EVERY_VERSION = pytest.mark.parametrize("version", range(6))


async def ask(world: TransactionalBroker, version: int, *fields: Any) -> Any:
    return await answer(world.harness, end_txn, EndTxnRequest(*fields), version)


@EVERY_VERSION
@pytest.mark.parametrize("committed", [False, True])
def test_the_markers_are_there_with_the_answer(
    tmp_path: Path, version: int, committed: bool
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0, 1)
            response = await ask(world, version, ID, *producer, committed)
            assert response.error_code == ErrorCode.NONE
            epoch = 1 if version == 5 else 0
            marker = (producer.producer_id, epoch, committed)
            assert world.markers(partition=0) == world.markers(partition=1) == [marker]
            if version == 5:
                assert (response.producer_id, response.producer_epoch) == marker[:2]
            again = await ask(world, version, ID, *producer, committed)
            assert again == response
            crossed = await ask(world, version, ID, *producer, not committed)
            assert crossed.error_code == ErrorCode.INVALID_TXN_STATE

    run(main())


@EVERY_VERSION
def test_refusals(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer_id, epoch = await world.begin()
            mapping = ErrorCode.INVALID_PRODUCER_ID_MAPPING
            fenced = ErrorCode.PRODUCER_FENCED if version >= 2 else ErrorCode.INVALID_PRODUCER_EPOCH
            for fields, code in [
                (("", producer_id, epoch, True), ErrorCode.INVALID_REQUEST),
                ((ID, producer_id, epoch + 1, True), fenced),
                ((ID, 99, epoch, True), mapping),
                (("x", producer_id, epoch, True), mapping),
                ((ID, producer_id, epoch, True), ErrorCode.INVALID_TXN_STATE),
            ]:
                assert (await ask(world, version, *fields)).error_code == code

    run(main())


def test_an_abort_of_nothing_bumps_the_epoch_from_version_5_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            old = await ask(world, 4, ID, *producer, False)
            assert old.error_code == ErrorCode.INVALID_TXN_STATE
            new = await ask(world, 5, ID, *producer, False)
            assert (new.error_code, new.producer_epoch) == (ErrorCode.NONE, 1)

    run(main())
