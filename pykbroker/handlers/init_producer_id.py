"""InitProducerId (API key 22), versions 0-5.

v2 flexible; v3 producer id and epoch of a producer that wants its epoch bumped (KIP-360); v4
PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH; v5 the same for transactions (KIP-890).

Without a transactional id every caller gets a fresh producer id with epoch 0, whatever id it had.
With one it takes the id over: who had it is fenced, and the transaction that was open is aborted.
"""

from collections.abc import Awaitable
from typing import Final

from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.init_producer_id import (
    InitProducerIdRequest,
    InitProducerIdResponse,
)
from pykbroker.request_context import RequestContext

NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
FIRST_VERSION_WITH_FENCING: Final = 4  # KIP-588


def handle(
    context: RequestContext, request: InitProducerIdRequest
) -> InitProducerIdResponse | Awaitable[InitProducerIdResponse]:
    """Give out a producer id and epoch.

    Raises:
        KafkaError: INVALID_REQUEST if producer id and epoch do not come together or the
            transactional id is empty; with a transactional id INVALID_TRANSACTION_TIMEOUT,
            PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, COORDINATOR_LOAD_IN_PROGRESS,
            COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR.
    """
    has_id = request.producer_id != NO_PRODUCER_ID
    if has_id != (request.producer_epoch != NO_PRODUCER_EPOCH):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "producer id and producer epoch must come together"
        )
    if request.transactional_id is not None:
        if not request.transactional_id:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "the transactional id is empty")
        return _init_transactional(context, request, request.transactional_id)
    producer_id = context.broker.producer_ids.take_at_once()
    return _wait(context) if producer_id is None else _response(producer_id)


def error_response(
    request: InitProducerIdRequest, code: ErrorCode, message: str | None = None
) -> InitProducerIdResponse:
    """Answer with an error."""
    return InitProducerIdResponse(
        error_code=code, producer_id=NO_PRODUCER_ID, producer_epoch=NO_PRODUCER_EPOCH
    )


async def _init_transactional(
    context: RequestContext, request: InitProducerIdRequest, transactional_id: str
) -> InitProducerIdResponse:
    expected = ProducerIdAndEpoch(request.producer_id, request.producer_epoch)
    try:
        producer = await context.broker.transactions.init_producer(
            transactional_id,
            request.transaction_timeout_ms,
            None if request.producer_id == NO_PRODUCER_ID else expected,
        )
    except KafkaError as error:
        is_old = context.api_version < FIRST_VERSION_WITH_FENCING
        if is_old and error.code is ErrorCode.PRODUCER_FENCED:
            raise KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH) from error
        raise
    return InitProducerIdResponse(producer_id=producer.producer_id, producer_epoch=producer.epoch)


async def _wait(context: RequestContext) -> InitProducerIdResponse:
    return _response(await context.broker.producer_ids.take())


def _response(producer_id: int) -> InitProducerIdResponse:
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)
