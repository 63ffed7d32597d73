"""DescribeTransactions (API key 65), version 0 (KIP-664): transactional ids as they stand."""

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionState,
)
from pykbroker.request_context import RequestContext


async def handle(
    context: RequestContext, request: DescribeTransactionsRequest
) -> DescribeTransactionsResponse:
    """Describe each transactional id.

    Per id: INVALID_REQUEST for the empty one, TRANSACTIONAL_ID_NOT_FOUND, NOT_COORDINATOR,
    COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE.
    """
    return DescribeTransactionsResponse(
        transaction_states=[
            await _describe(context, transactional_id)
            for transactional_id in request.transactional_ids
        ]
    )


def error_response(
    request: DescribeTransactionsRequest, code: ErrorCode, message: str | None = None
) -> DescribeTransactionsResponse:
    """Answer with the same error for every id."""
    return DescribeTransactionsResponse(
        transaction_states=[_refuse(each, code) for each in request.transactional_ids]
    )


async def _describe(context: RequestContext, transactional_id: str) -> TransactionState:
    if not transactional_id:
        return _refuse(transactional_id, ErrorCode.INVALID_REQUEST)
    try:
        return await context.broker.transactions.describe(transactional_id)
    except KafkaError as error:
        return _refuse(transactional_id, error.code)


def _refuse(transactional_id: str, code: ErrorCode) -> TransactionState:
    return TransactionState(error_code=code, transactional_id=transactional_id)
