"""WriteTxnMarkers (API key 27), versions 1-2.

A coordinator on another broker sends it, and an administrator who ends a hanging transaction
(`kafka-transactions abort`). v2 says by which version of transactions the epoch is looked at
(KIP-1228). The coordinator's own state stays as it is.
"""

import asyncio

from pykbroker.coordinator.runtime.markers import Marker
from pykbroker.coordinator.transaction.metadata import TopicPartition
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)
from pykbroker.request_context import RequestContext

Wait = asyncio.Future[None] | None
Results = dict[TopicPartition, ErrorCode]


async def handle(
    context: RequestContext, request: WriteTxnMarkersRequest
) -> WriteTxnMarkersResponse:
    """Append the markers, and answer when they are durable.

    Per partition: UNKNOWN_TOPIC_OR_PARTITION, INVALID_PRODUCER_EPOCH,
    TRANSACTION_COORDINATOR_FENCED, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR; INVALID_REQUEST
    for a producer or a version that there cannot be, which Kafka does not expect. A producer is
    answered once, also when it has several markers, and not where nothing was to be written.
    """
    # All are appended before the first one is waited for: their flushes run side by side.
    written = [
        (marker.producer_id, partition, _write(context, marker, partition))
        for marker in request.markers
        for partition in _partitions(marker)
    ]
    results: dict[int, Results] = {}
    for producer_id, partition, outcome in written:
        results.setdefault(producer_id, {})[partition] = await _code_of(outcome)
    return _response(results)


def error_response(
    request: WriteTxnMarkersRequest, code: ErrorCode, message: str | None = None
) -> WriteTxnMarkersResponse:
    """Answer with the same error for every partition."""
    results: dict[int, Results] = {}
    for marker in request.markers:
        for partition in _partitions(marker):
            results.setdefault(marker.producer_id, {})[partition] = code
    return _response(results)


def _write(
    context: RequestContext, marker: WritableTxnMarker, partition: TopicPartition
) -> Wait | KafkaError:
    if min(marker.producer_id, marker.producer_epoch, marker.transaction_version) < 0:
        return KafkaError(ErrorCode.INVALID_REQUEST)
    try:
        return context.broker.transactions.markers.write(
            Marker(
                marker.producer_id,
                marker.producer_epoch,
                is_commit=marker.transaction_result,
                coordinator_epoch=marker.coordinator_epoch,
                transaction_version=marker.transaction_version,
            ),
            *partition,
        )
    except KafkaError as error:
        return error


async def _code_of(outcome: Wait | KafkaError) -> ErrorCode:
    if isinstance(outcome, KafkaError):
        return outcome.code
    try:
        if outcome is not None:
            await outcome
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


def _partitions(marker: WritableTxnMarker) -> list[TopicPartition]:
    return [(topic.name, index) for topic in marker.topics for index in topic.partition_indexes]


def _response(results: dict[int, Results]) -> WriteTxnMarkersResponse:
    return WriteTxnMarkersResponse(
        [
            WritableTxnMarkerResult(producer_id, _topics(of_producer))
            for producer_id, of_producer in results.items()
        ]
    )


def _topics(results: Results) -> list[WritableTxnMarkerTopicResult]:
    topics: dict[str, WritableTxnMarkerTopicResult] = {}
    for (name, index), code in results.items():
        topic = topics.setdefault(name, WritableTxnMarkerTopicResult(name))
        topic.partitions.append(WritableTxnMarkerPartitionResult(index, code))
    return list(topics.values())
