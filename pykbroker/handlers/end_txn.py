"""EndTxn (API key 26), versions 0-5.

v2 has PRODUCER_FENCED in place of INVALID_PRODUCER_EPOCH, v3 is flexible, v4 knows
TRANSACTION_ABORTABLE. With v5 (KIP-890) the end bumps the producer's epoch, and the answer says the
id and epoch by which it goes on.

Deviation: Kafka answers before it writes the markers; here they are visible with the answer.
"""

from typing import Final

from pykbroker.coordinator.transaction.metadata import FIRST_VERSION_WITH_EPOCH_BUMP
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from pykbroker.request_context import RequestContext

FIRST_VERSION_WITH_FENCING: Final = 2  # KIP-588
FIRST_BUMPING_VERSION: Final = 5  # KIP-890


async def handle(context: RequestContext, request: EndTxnRequest) -> EndTxnResponse:
    """Commit or abort a transaction.

    Raises:
        KafkaError: INVALID_REQUEST for an empty transactional id, INVALID_PRODUCER_ID_MAPPING,
            PRODUCER_FENCED, INVALID_TXN_STATE, CONCURRENT_TRANSACTIONS, NOT_COORDINATOR,
            COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE.
    """
    if not request.transactional_id:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "the transactional id is empty")
    bumps = context.api_version >= FIRST_BUMPING_VERSION
    try:
        producer = await context.broker.transactions.end_transaction(
            request.transactional_id,
            ProducerIdAndEpoch(request.producer_id, request.producer_epoch),
            is_commit=request.committed,
            client_version=FIRST_VERSION_WITH_EPOCH_BUMP if bumps else 0,
        )
    except KafkaError as error:
        is_old = context.api_version < FIRST_VERSION_WITH_FENCING
        if is_old and error.code is ErrorCode.PRODUCER_FENCED:
            raise KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH) from error
        raise
    if not bumps:
        return EndTxnResponse()
    return EndTxnResponse(producer_id=producer.producer_id, producer_epoch=producer.epoch)


def error_response(
    request: EndTxnRequest, code: ErrorCode, message: str | None = None
) -> EndTxnResponse:
    """Answer with an error."""
    return EndTxnResponse(error_code=code)
