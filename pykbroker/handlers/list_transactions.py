"""ListTransactions (API key 66), versions 0-2 (KIP-664): the transactional ids of this broker.

v1 filters by how long a transaction has gone on (KIP-994), v2 by a regular expression of ids
(KIP-1152).
"""

from collections.abc import Callable

from pykbroker.coordinator.transaction.admin import ListFilters
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from pykbroker.request_context import RequestContext


async def handle(
    context: RequestContext, request: ListTransactionsRequest
) -> ListTransactionsResponse:
    """List the ids that pass all filters; an empty filter lets all pass.

    Raises:
        KafkaError: INVALID_REGULAR_EXPRESSION, COORDINATOR_LOAD_IN_PROGRESS,
            COORDINATOR_NOT_AVAILABLE.
    """
    filters = ListFilters(
        states=frozenset(request.state_filters),
        producer_ids=frozenset(request.producer_id_filters),
        longer_than_ms=request.duration_filter,
        matches=_matcher(request.transactional_id_pattern),
    )
    return ListTransactionsResponse(
        unknown_state_filters=filters.unknown_states,
        transaction_states=list(await context.broker.transactions.list_transactions(filters)),
    )


def error_response(
    request: ListTransactionsRequest, code: ErrorCode, message: str | None = None
) -> ListTransactionsResponse:
    """Answer with an error and no ids."""
    return ListTransactionsResponse(error_code=code)


def _matcher(pattern: str | None) -> Callable[[str], bool] | None:
    """What says whether an expression matches a whole id; None where all are asked for."""
    if not pattern:
        return None
    from pykbroker.coordinator.regex.machine import Regex  # takes a while
    from pykbroker.coordinator.regex.syntax import MAX_REPEAT, RegexError

    try:
        return Regex(pattern, MAX_REPEAT).matches
    except RegexError as error:
        raise KafkaError(ErrorCode.INVALID_REGULAR_EXPRESSION, str(error)) from error
