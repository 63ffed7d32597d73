from __future__ import annotations

from pathlib import Path

from pykbroker.handlers import describe_transactions
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_transactions import (
    DescribeTransactionsRequest,
    TopicData,
    TransactionState,
)
from tests.harness.answers import answer
from tests.harness.loop import run
from tests.harness.transactional_broker import a_transactional_broker
from tests.harness.transactions import ID, MINUTE_MS


def test_ids_are_described_each_for_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0, 1)
            started_ms = world.clock.now_ms()
            request = DescribeTransactionsRequest([ID, "", "nobody"])
            response = await answer(world.harness, describe_transactions, request, 0)
            known, empty, nobody = response.transaction_states
            assert known == TransactionState(
                transactional_id=ID,
                transaction_state="Ongoing",
                transaction_timeout_ms=MINUTE_MS,
                transaction_start_time_ms=started_ms,
                producer_id=producer.producer_id,
                producer_epoch=0,
                topics=[TopicData("t", [0, 1])],
            )
            assert empty == TransactionState(ErrorCode.INVALID_REQUEST)
            not_found = ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
            assert nobody == TransactionState(not_found, "nobody")

    run(main())


def test_the_start_stays_known_after_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0)
            started_ms = world.clock.now_ms()
            world.clock.advance(50)
            await world.end(producer)
            request = DescribeTransactionsRequest([ID])
            response = await answer(world.harness, describe_transactions, request, 0)
            (known,) = response.transaction_states
            assert known.transaction_state == "CompleteCommit"
            assert (known.transaction_start_time_ms, known.topics) == (started_ms, [])

    run(main())


def test_an_error_of_the_request_is_told_for_every_id() -> None:
    request = DescribeTransactionsRequest(["a", "b"])
    response = describe_transactions.error_response(request, ErrorCode.UNKNOWN_SERVER_ERROR)
    assert [each.error_code for each in response.transaction_states] == [-1, -1]
