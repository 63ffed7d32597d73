"""AddOffsetsToTxn (API key 25), versions 0-4.

Makes the partition of __consumer_offsets that a group belongs to part of a transaction, before
TxnOffsetCommit v4 and older. v2 has PRODUCER_FENCED in place of INVALID_PRODUCER_EPOCH, v3 is
flexible, v4 knows TRANSACTION_ABORTABLE (KIP-890).
"""

from typing import Final

from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.add_offsets_to_txn import (
    AddOffsetsToTxnRequest,
    AddOffsetsToTxnResponse,
)
from pykbroker.request_context import RequestContext

OFFSETS_TOPIC: Final = "__consumer_offsets"
FIRST_VERSION_WITH_FENCING: Final = 2  # KIP-588


async def handle(
    context: RequestContext, request: AddOffsetsToTxnRequest
) -> AddOffsetsToTxnResponse:
    """Make the offsets of a group part of a transaction.

    Raises:
        KafkaError: INVALID_REQUEST for an empty transactional id, INVALID_PRODUCER_ID_MAPPING,
            PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, NOT_COORDINATOR,
            COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE.
    """
    if not request.transactional_id:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "the transactional id is empty")
    partition = context.broker.groups.offsets_partition(request.group_id)
    try:
        await context.broker.transactions.ensure_partitions(
            request.transactional_id,
            ProducerIdAndEpoch(request.producer_id, request.producer_epoch),
            [(OFFSETS_TOPIC, partition)],
        )
    except KafkaError as error:
        is_old = context.api_version < FIRST_VERSION_WITH_FENCING
        if is_old and error.code is ErrorCode.PRODUCER_FENCED:
            raise KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH) from error
        raise
    return AddOffsetsToTxnResponse()


def error_response(
    request: AddOffsetsToTxnRequest, code: ErrorCode, message: str | None = None
) -> AddOffsetsToTxnResponse:
    """Answer with an error."""
    return AddOffsetsToTxnResponse(error_code=code)
