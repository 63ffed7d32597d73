from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import list_transactions
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.list_transactions import ListTransactionsRequest
from tests.harness.answers import answer
from tests.harness.loop import run
from tests.harness.transactional_broker import TransactionalBroker, a_transactional_broker
from tests.harness.transactions import ID, MINUTE_MS


async def ask(world: TransactionalBroker, version: int, **filters: Any) -> tuple[set[str], Any]:
    request = ListTransactionsRequest(**filters)
    response = await answer(world.harness, list_transactions, request, version)
    return {each.transactional_id for each in response.transaction_states}, response


@pytest.mark.parametrize("version", range(3))
def test_filters_by_state_and_producer(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            other = await world.transactions.init_producer("other", MINUTE_MS, None)
            await world.write(await world.begin(), 0)
            listed, response = await ask(world, version)
            assert listed == {ID, "other"}
            assert {each.transaction_state for each in response.transaction_states} == {
                "Ongoing",
                "Empty",
            }
            listed, response = await ask(world, version, state_filters=["Ongoing", "ongoing"])
            assert (listed, response.unknown_state_filters) == ({ID}, ["ongoing"])
            listed, _ = await ask(world, version, producer_id_filters=[other.producer_id])
            assert listed == {"other"}

    run(main())


def test_filters_by_duration_and_expression(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            await world.transactions.init_producer("other", MINUTE_MS, None)
            await world.write(await world.begin(), 0)
            world.clock.advance(100)
            assert (await ask(world, 1, duration_filter=99))[0] == {ID, "other"}
            assert (await ask(world, 1, duration_filter=100))[0] == {"other"}
            assert (await ask(world, 2, transactional_id_pattern="i.*"))[0] == {ID}
            assert (await ask(world, 2, transactional_id_pattern="i"))[0] == set()
            assert (await ask(world, 2, transactional_id_pattern=""))[0] == {ID, "other"}
            long = "x" * 300
            await world.transactions.init_producer(long, MINUTE_MS, None)
            for pattern, found in [("x{300}", {long}), ("x{299}", set()), ("x{251,}", {long})]:
                assert (await ask(world, 2, transactional_id_pattern=pattern))[0] == found
            _, response = await ask(world, 2, transactional_id_pattern="(")
            assert response.error_code == ErrorCode.INVALID_REGULAR_EXPRESSION

    run(main())
