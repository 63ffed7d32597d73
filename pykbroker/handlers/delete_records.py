"""DeleteRecords (API key 21), versions 0-2.

v2 flexible. Moves the log start offset of partitions forward; the records below it are gone for
every reader at once, their segments follow. Offset -1 means all records. The answer waits until
the new start is on the disk, so that no crash brings records back; requests share the writes.

`timeout_ms` is for replicas to follow; with one replica there is nothing to wait for.
"""

import asyncio
from typing import Final

from pykbroker.leadership import led_log
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.delete_records import (
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)
from pykbroker.request_context import RequestContext
from pykbroker.storage.partition_log import PartitionLog

NO_LOW_WATERMARK: Final = -1


async def handle(context: RequestContext, request: DeleteRecordsRequest) -> DeleteRecordsResponse:
    """Delete the records below an offset of each partition.

    Per partition: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION (internal topic),
    NOT_LEADER_OR_FOLLOWER, POLICY_VIOLATION (the topic is only compacted), OFFSET_OUT_OF_RANGE
    (above the high watermark, or below -1), KAFKA_STORAGE_ERROR.
    """
    # A partition that is named twice gets its last offset, as in Kafka.
    wanted: dict[str, dict[int, int]] = {}
    for topic in request.topics:
        offsets = wanted.setdefault(topic.name, {})
        for asked in topic.partitions:
            offsets[asked.partition_index] = asked.offset
    response = DeleteRecordsResponse()
    waits: list[tuple[DeleteRecordsPartitionResult, asyncio.Future[None]]] = []
    for name, offsets in wanted.items():
        results = []
        for partition, offset in offsets.items():
            result = DeleteRecordsPartitionResult(partition, NO_LOW_WATERMARK)
            results.append(result)
            try:
                log = _deletable_log(context, name, partition)
                result.low_watermark = log.delete_records(offset, context.broker.clock.now_ms())
                checkpoints = context.broker.logs.checkpoints_of(log)
                written = context.broker.start_offsets.submit(checkpoints, checkpoints.note_move())
                if written is not None:
                    waits.append((result, written))
            except KafkaError as error:
                result.error_code = error.code
        if results:
            response.topics.append(DeleteRecordsTopicResult(name=name, partitions=results))
    for result, written in waits:
        try:
            await written
        except KafkaError as error:
            result.low_watermark = NO_LOW_WATERMARK
            result.error_code = error.code
    return response


def error_response(
    request: DeleteRecordsRequest, code: ErrorCode, message: str | None = None
) -> DeleteRecordsResponse:
    """Answer with the same error for every partition."""
    return DeleteRecordsResponse(
        topics=[
            DeleteRecordsTopicResult(
                name=topic.name,
                partitions=[
                    DeleteRecordsPartitionResult(asked.partition_index, NO_LOW_WATERMARK, code)
                    for asked in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )


def _deletable_log(context: RequestContext, name: str, partition: int) -> PartitionLog:
    broker = context.broker
    topic = broker.metadata.image.topic(name)
    if topic is None or broker.metadata.image.partition(name, partition) is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if topic.is_internal:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION)
    log = led_log(broker, name, partition)
    if log.config.cleanup_policy == {"compact"}:  # without any policy it is allowed, as in Kafka
        raise KafkaError(ErrorCode.POLICY_VIOLATION)
    return log
