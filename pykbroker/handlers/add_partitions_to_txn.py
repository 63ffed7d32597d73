"""AddPartitionsToTxn (API key 24), versions 0-5.

Clients send v0 to v3, for one transaction: v2 has PRODUCER_FENCED in place of
INVALID_PRODUCER_EPOCH, v3 is flexible. Brokers send v4 and v5 (KIP-890), for many transactions, to
add partitions or only to ask whether they are part of one; v5 knows TRANSACTION_ABORTABLE.
"""

from collections.abc import Callable, Iterable
from typing import Final

from pykbroker.coordinator.transaction.metadata import (
    FIRST_VERSION_WITH_EPOCH_BUMP,
    TopicPartition,
)
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.metadata.topics import is_internal_topic
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)
from pykbroker.request_context import RequestContext

FIRST_VERSION_WITH_FENCING: Final = 2  # KIP-588
FIRST_BATCHED_VERSION: Final = 4  # KIP-890

CodeOf = Callable[[TopicPartition], ErrorCode]


async def handle(
    context: RequestContext, request: AddPartitionsToTxnRequest
) -> AddPartitionsToTxnResponse:
    """Make partitions part of transactions, or say whether they are.

    Errors are told per partition. UNKNOWN_TOPIC_OR_PARTITION of one keeps the others of its
    transaction from being added: OPERATION_NOT_ATTEMPTED. TOPIC_AUTHORIZATION_FAILED for internal
    topics where a client asks. INVALID_REQUEST for an empty transactional id,
    INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, NOT_COORDINATOR,
    COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE; TRANSACTION_ABORTABLE for what is asked
    about and not part of the transaction.

    Raises:
        KafkaError: UNSUPPORTED_VERSION, a broker adds partitions while transaction.version is 0.
    """
    if context.api_version >= FIRST_BATCHED_VERSION:
        return AddPartitionsToTxnResponse(
            results_by_transaction=[
                AddPartitionsToTxnResult(
                    transaction.transactional_id, await _answer(context, transaction)
                )
                for transaction in request.transactions
            ]
        )
    transaction = AddPartitionsToTxnTransaction(
        transactional_id=request.v3_and_below_transactional_id,
        producer_id=request.v3_and_below_producer_id,
        producer_epoch=request.v3_and_below_producer_epoch,
        topics=request.v3_and_below_topics,
    )
    results = await _answer(context, transaction)
    return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=results)


def error_response(
    request: AddPartitionsToTxnRequest, code: ErrorCode, message: str | None = None
) -> AddPartitionsToTxnResponse:
    """Answer with the same error for every partition, or from v4 on for the request."""
    return AddPartitionsToTxnResponse(
        error_code=code,
        results_by_topic_v3_and_below=_results(request.v3_and_below_topics, lambda partition: code),
    )


async def _answer(
    context: RequestContext, transaction: AddPartitionsToTxnTransaction
) -> list[AddPartitionsToTxnTopicResult]:
    topics = transaction.topics
    refused = _refused(context, topics)
    if refused:
        rest = ErrorCode.OPERATION_NOT_ATTEMPTED
        return _results(topics, lambda partition: refused.get(partition, rest))
    if not transaction.transactional_id:
        return _results(topics, lambda partition: ErrorCode.INVALID_REQUEST)
    try:
        if transaction.verify_only:
            return _verify(context, transaction)
        await _add(context, transaction)
    except KafkaError as error:
        code = error.code
        if code is ErrorCode.UNSUPPORTED_VERSION:
            raise  # it is told for the whole request
        is_old = context.api_version < FIRST_VERSION_WITH_FENCING
        if is_old and code is ErrorCode.PRODUCER_FENCED:
            code = ErrorCode.INVALID_PRODUCER_EPOCH
        return _results(topics, lambda partition: code)
    return _results(topics, lambda partition: ErrorCode.NONE)


def _refused(
    context: RequestContext, topics: Iterable[AddPartitionsToTxnTopic]
) -> dict[TopicPartition, ErrorCode]:
    """What cannot be part of a transaction, whatever it is."""
    image = context.broker.metadata.image
    is_client = context.api_version < FIRST_BATCHED_VERSION
    refused = {}
    for name, partition in _partitions(topics):
        topic = image.topic(name)
        if is_client and is_internal_topic(name):
            refused[name, partition] = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        elif topic is None or not 0 <= partition < len(topic.partitions):
            refused[name, partition] = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return refused


async def _add(context: RequestContext, transaction: AddPartitionsToTxnTransaction) -> None:
    is_client = context.api_version < FIRST_BATCHED_VERSION
    await context.broker.transactions.ensure_partitions(
        transaction.transactional_id,
        ProducerIdAndEpoch(transaction.producer_id, transaction.producer_epoch),
        _partitions(transaction.topics),
        client_version=0 if is_client else FIRST_VERSION_WITH_EPOCH_BUMP,
    )


def _verify(
    context: RequestContext, transaction: AddPartitionsToTxnTransaction
) -> list[AddPartitionsToTxnTopicResult]:
    producer = ProducerIdAndEpoch(transaction.producer_id, transaction.producer_epoch)
    return _results(
        transaction.topics,
        lambda partition: context.broker.transactions.verify(
            transaction.transactional_id, producer, partition
        ),
    )


def _partitions(topics: Iterable[AddPartitionsToTxnTopic]) -> list[TopicPartition]:
    return [(topic.name, partition) for topic in topics for partition in topic.partitions]


def _results(
    topics: Iterable[AddPartitionsToTxnTopic], code_of: CodeOf
) -> list[AddPartitionsToTxnTopicResult]:
    return [
        AddPartitionsToTxnTopicResult(
            topic.name,
            [
                AddPartitionsToTxnPartitionResult(partition, code_of((topic.name, partition)))
                for partition in topic.partitions
            ],
        )
        for topic in topics
    ]
