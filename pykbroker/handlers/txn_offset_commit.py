"""TxnOffsetCommit (API key 28), versions 0-5: remember how far a group has read, if the transaction
is committed.

v2 adds the leader epoch (KIP-320), v3 is flexible and adds the member (KIP-447), v4 may be answered
with TRANSACTION_ABORTABLE, v5 makes the group's partition part of the transaction itself (KIP-890);
before that AddOffsetsToTxn must have done so.
"""

from typing import Final

from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from pykbroker.request_context import RequestContext

FIRST_VERSION_WITH_LOAD_IN_PROGRESS: Final = 2
FIRST_VERSION_WITH_ABORTABLE: Final = 4  # KIP-890
FIRST_VERSION_THAT_ADDS: Final = 5  # KIP-890
OFFSETS_TOPIC: Final = "__consumer_offsets"
TRANSACTION_VERSION_THAT_ADDS: Final = 2


async def handle(
    context: RequestContext, request: TxnOffsetCommitRequest
) -> TxnOffsetCommitResponse:
    """Commit what is known of the metadata, and answer for the rest.

    Errors are per partition: UNKNOWN_TOPIC_OR_PARTITION, OFFSET_METADATA_TOO_LARGE; on every known
    partition alike INVALID_PRODUCER_ID_MAPPING, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE,
    TRANSACTION_ABORTABLE (v4+), CONCURRENT_TRANSACTIONS, UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION,
    FENCED_INSTANCE_ID, and those of every group request.
    """
    refused = _take_out_unknown(context.broker.metadata.image, request)
    if not request.topics:
        return TxnOffsetCommitResponse(topics=_merge(refused))

    async def confirm(index: int) -> None:
        await _confirm(context, request, index)

    try:
        response = await context.broker.groups.commit_offsets_in_transaction(request, confirm)
    except KafkaError as error:
        response = error_response(request, _code_for(context.api_version, error.code))
    if refused:
        response.topics = _merge(refused + response.topics)
    return response


def error_response(
    request: TxnOffsetCommitRequest, code: ErrorCode, message: str | None = None
) -> TxnOffsetCommitResponse:
    """Answer with the same error on every partition."""
    return TxnOffsetCommitResponse(
        topics=[_refuse(topic.name, topic.partitions, code) for topic in request.topics]
    )


def _take_out_unknown(
    image: MetadataImage, request: TxnOffsetCommitRequest
) -> list[TxnOffsetCommitResponseTopic]:
    """Leave in the request what the metadata knows; returns the answer for the rest."""
    known: list[TxnOffsetCommitRequestTopic] = []
    refused: list[TxnOffsetCommitResponseTopic] = []
    for topic in request.topics:
        existing: list[TxnOffsetCommitRequestPartition] = []
        missing: list[TxnOffsetCommitRequestPartition] = []
        for partition in topic.partitions:
            found = image.partition(topic.name, partition.partition_index)
            (missing if found is None else existing).append(partition)
        if missing or image.topic(topic.name) is None:
            refused.append(_refuse(topic.name, missing, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        if existing:
            known.append(TxnOffsetCommitRequestTopic(topic.name, existing))
    request.topics = known
    return refused


async def _confirm(context: RequestContext, request: TxnOffsetCommitRequest, index: int) -> None:
    """Make sure that a partition of __consumer_offsets is part of the transaction.

    Raises:
        KafkaError: It is not, or not for this producer. A producer that is fenced is told so by
            INVALID_PRODUCER_EPOCH, as in Produce.
    """
    if not request.transactional_id:
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    transactions = context.broker.transactions
    producer = ProducerIdAndEpoch(request.producer_id, request.producer_epoch)
    partition = (OFFSETS_TOPIC, index)
    try:
        if context.api_version >= FIRST_VERSION_THAT_ADDS:
            await transactions.ensure_partitions(
                request.transactional_id,
                producer,
                [partition],
                client_version=TRANSACTION_VERSION_THAT_ADDS,
            )
            return
        code = transactions.verify(request.transactional_id, producer, partition)
    except KafkaError as error:
        if error.code is ErrorCode.PRODUCER_FENCED:
            raise KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH) from error
        if error.code is ErrorCode.NOT_COORDINATOR:  # of the transaction: the group's it is
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE) from error
        raise
    if code is not ErrorCode.NONE:
        raise KafkaError(code)


def _code_for(api_version: int, code: ErrorCode) -> ErrorCode:
    """Say an error in the words of a version."""
    if code is ErrorCode.TRANSACTION_ABORTABLE and api_version < FIRST_VERSION_WITH_ABORTABLE:
        return ErrorCode.INVALID_TXN_STATE
    is_loading = code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    if is_loading and api_version < FIRST_VERSION_WITH_LOAD_IN_PROGRESS:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    return code


def _refuse(
    topic: str, partitions: list[TxnOffsetCommitRequestPartition], code: ErrorCode
) -> TxnOffsetCommitResponseTopic:
    return TxnOffsetCommitResponseTopic(
        topic,
        [TxnOffsetCommitResponsePartition(each.partition_index, code) for each in partitions],
    )


def _merge(topics: list[TxnOffsetCommitResponseTopic]) -> list[TxnOffsetCommitResponseTopic]:
    """Put all partitions of one topic into one entry."""
    merged: dict[str, TxnOffsetCommitResponseTopic] = {}
    for topic in topics:
        entry = merged.setdefault(topic.name, topic)
        if entry is not topic:
            entry.partitions.extend(topic.partitions)
    return list(merged.values())
