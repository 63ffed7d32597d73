from __future__ import annotations

from pathlib import Path

import pytest

from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.handlers import add_offsets_to_txn
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from tests.harness.answers import answer
from tests.harness.loop import run
from tests.harness.transactional_broker import (
    OFFSETS_TOPIC,
    TransactionalBroker,
    a_transactional_broker,
)
from tests.harness.transactions import ID

EVERY_VERSION = pytest.mark.parametrize("version", range(5))


async def ask(world: TransactionalBroker, request: AddOffsetsToTxnRequest, version: int) -> int:
    response = await answer(world.harness, add_offsets_to_txn, request, version)
    return int(response.error_code)


@EVERY_VERSION
def test_the_partition_of_the_group_becomes_part_of_the_transaction(
    tmp_path: Path, version: int
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            await world.harness.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            producer = await world.begin()
            request = AddOffsetsToTxnRequest(ID, *producer, "g")
            assert await ask(world, request, version) == ErrorCode.NONE
            index = partition_for("g", 2)
            assert world.known.partitions == {(OFFSETS_TOPIC, index)}
            await world.end(producer)
            assert len(world.markers(OFFSETS_TOPIC, index)) == 1

    run(main())


@EVERY_VERSION
def test_refusals(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer_id, epoch = await world.begin()
            fenced = ErrorCode.PRODUCER_FENCED if version >= 2 else ErrorCode.INVALID_PRODUCER_EPOCH
            for request, code in [
                (AddOffsetsToTxnRequest("", producer_id, epoch, "g"), ErrorCode.INVALID_REQUEST),
                (AddOffsetsToTxnRequest(ID, producer_id, 5, "g"), fenced),
                (
                    AddOffsetsToTxnRequest(ID, 99, epoch, "g"),
                    ErrorCode.INVALID_PRODUCER_ID_MAPPING,
                ),
            ]:
                assert await ask(world, request, version) == code

    run(main())
